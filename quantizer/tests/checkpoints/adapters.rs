//! LoRA adapters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quantizer::checkpoint::{Checkpoint, CheckpointError};
use quantizer::reference::{Reference, Want};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::handmade::*;
use crate::fixture::{expected, golden};

/// Largest difference allowed from what PyTorch computes with the model that PEFT merged.
const TOLERANCE: f32 = 1e-4;
const ALL: Want = Want { contacts: true, logits: true, hidden: true };
const QUERY: &str = "esm.encoder.layer.1.attention.self.query";

fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= TOLERANCE, "{name} differs by {difference}");
}

fn assert_is_what_peft_merged(adapter: &str, checkpoint: &Checkpoint) {
    let reference = Reference::new(checkpoint).unwrap();
    for (i, expected) in expected(&format!("esm2-lora/{adapter}")).iter().enumerate() {
        let outputs = reference.run(&expected.tokens, ALL).unwrap();
        assert_close(&format!("{adapter} {i} contacts"), &outputs.contacts, &expected.contacts);
        assert_close(&format!("{adapter} {i} logits"), &outputs.logits, &expected.logits);
        assert_close(&format!("{adapter} {i} hidden"), &outputs.hidden.concat(), &expected.hidden);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn text(checkpoint: &Checkpoint) -> String {
    checkpoint.remarks().iter().map(|remark| format!("{remark}\n")).collect()
}

#[test]
fn adapters_that_peft_wrote_give_what_peft_merges() {
    let base = golden("esm2-lora/base");
    for (adapter, modules) in [("all-linear", 14), ("regex", 5)] {
        let path = golden("esm2-lora").join(adapter);
        let checkpoint = Checkpoint::open_with_base(&path, Some(&base)).unwrap();
        assert_is_what_peft_merged(adapter, &checkpoint);
        assert_eq!(checkpoint.name(), format!("base + {adapter}"));
        let said = format!(
            "note: {adapter} (LoRA on {modules} modules), trained on example/esm2-tiny, is merged into base"
        );
        assert!(text(&checkpoint).contains(&said), "{}", text(&checkpoint));
        let files: Vec<_> = checkpoint.files().map(|f| f.file_name().unwrap().to_owned()).collect();
        assert_eq!(files.len(), 2, "the adapter's file counts too: {files:?}");

        // Beside the weights in one folder, and as a file.
        let together = tempfile::tempdir().unwrap();
        copy(&base, together.path());
        copy(&path, together.path());
        let checkpoint = Checkpoint::open(together.path()).unwrap();
        assert_is_what_peft_merged(adapter, &checkpoint);
        let said = format!(
            "note: the adapter in it (LoRA on {modules} modules, trained on example/esm2-tiny) is merged\n"
        );
        assert!(text(&checkpoint).contains(&said), "{}", text(&checkpoint));
        let folder = together.path().file_name().unwrap().to_string_lossy();
        assert_eq!(checkpoint.name(), format!("{folder} (with its adapter)"));
        let both = Checkpoint::open_with_base(together.path(), Some(&base)).map(|_| ()).unwrap_err();
        assert!(both.to_string().contains("both weights beside the adapter and a base"), "{both}");
    }
    let file = golden("esm2-lora/all-linear/adapter_model.safetensors");
    assert_is_what_peft_merged("all-linear", &Checkpoint::open_with_base(&file, Some(&base)).unwrap());
}

#[test]
fn an_adapter_alone_says_what_is_missing() {
    let error = open_error(&golden("esm2-lora/regex")).to_string();
    assert!(error.contains("without the weights that it belongs to (example/esm2-tiny)"), "{error}");
    assert!(error.contains("--base DIR"), "{error}");
    let of_adapter =
        Checkpoint::open_with_base(&golden("esm2-lora/regex"), Some(&golden("esm2-lora/all-linear")));
    assert!(of_adapter.map(|_| ()).unwrap_err().to_string().contains("is an adapter too"));
    let of_model = Checkpoint::open_with_base(&golden("esm2-lora/base"), Some(&golden("esm2-head16")));
    assert!(of_model.map(|_| ()).unwrap_err().to_string().contains("a base is only for an adapter"));
}

/// An adapter of rank 2 on `modules` of the fixture `esm2-head16`.
fn factors(modules: &[&str]) -> BTreeMap<String, RawTensor> {
    let pairs = modules.iter().flat_map(|module| {
        let name = |part: &str| format!("base_model.model.{module}.lora_{part}.weight");
        [
            (name("A"), stored(&[2, 64], |i| (i as f32).sin())),
            (name("B"), stored(&[64, 2], |i| (i as f32).cos())),
        ]
    });
    pairs.collect()
}

/// A folder with the fixture `esm2-head16` and an adapter after `change`.
fn adapted(change: impl FnOnce(&mut BTreeMap<String, RawTensor>, &mut Value)) -> TempDir {
    let (folder, mut tensors) = (changed(|_| ()), factors(&[QUERY]));
    let mut config = json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["query"] });
    change(&mut tensors, &mut config);
    write(&folder.path().join("adapter_model.safetensors"), &tensors);
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    folder
}

fn weight(folder: &TempDir) -> Vec<f32> {
    Checkpoint::open(folder.path()).unwrap().read("encoder.layer.1.attention.self.query.weight").unwrap()
}

#[test]
fn a_weight_is_w_plus_alpha_over_r_b_a() {
    let before = weight(&changed(|_| ()));
    let scales: [(Value, f64); 4] = [
        (json!({}), 4.0),
        (json!({ "use_rslora": true }), 8.0 / 2f64.sqrt()),
        (json!({ "alpha_pattern": { "layer.1.attention.self.query": 3 } }), 1.5),
        // nn.Linear is stored as [outputs, inputs] whatever this says, and PEFT ignores it there.
        (json!({ "fan_in_fan_out": true }), 4.0),
    ];
    for (extra, scale) in scales {
        let folder = adapted(|_, config| {
            config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        });
        for (i, (before, after)) in before.iter().zip(weight(&folder)).enumerate() {
            let product = |r: usize| {
                f64::from(((i / 64 * 2 + r) as f32).cos()) * f64::from(((r * 64 + i % 64) as f32).sin())
            };
            let exact = f64::from(*before) + scale * (product(0) + product(1));
            assert!((f64::from(after) - exact).abs() < 1e-6, "{i}: {after}, {exact}");
        }
    }
}

#[test]
fn other_names_of_the_same_modules_are_found() {
    let expected = weight(&adapted(|_, _| ()));
    for (from, to) in [
        ("base_model.model.", ""),
        ("esm.", ""),
        ("esm.", "backbone.esm."),
        ("esm.", "module.esm."),
        (".weight", ".default.weight"),
        (".weight", ".trained.weight"),
    ] {
        let folder = adapted(|tensors, _| {
            let old = std::mem::take(tensors);
            tensors.extend(old.into_iter().map(|(name, tensor)| (name.replace(from, to), tensor)));
        });
        assert_eq!(weight(&folder), expected, "{from} to {to}");
    }
}

#[test]
fn an_adapter_of_a_fair_esm_model_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = |module: &str| {
        [
            (format!("base_model.model.{module}.lora_A.weight"), stored(&[1, 32], |i| i as f32)),
            (format!("base_model.model.{module}.lora_B.weight"), stored(&[32, 1], |_| 0.5)),
        ]
    };
    write(
        &folder.path().join("adapter_model.safetensors"),
        &pairs("layers.1.self_attn.k_proj").into_iter().collect(),
    );
    let config = json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": "all-linear" });
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let base = golden("esm2-fair").join("tiny.pt");
    let read =
        |checkpoint: &Checkpoint| checkpoint.read("encoder.layer.1.attention.self.key.weight").unwrap();
    let merged = read(&Checkpoint::open_with_base(folder.path(), Some(&base)).unwrap());
    for (i, (merged, before)) in merged.iter().zip(read(&Checkpoint::open(&base).unwrap())).enumerate() {
        assert_eq!(*merged, before + (i % 32) as f32);
    }
}

#[test]
fn heads_of_the_adapter_are_merged_if_they_are_ours_and_noted_otherwise() {
    let folder = adapted(|tensors, config| {
        config["modules_to_save"] = json!(["classifier", "my_task"]);
        tensors.insert("base_model.model.classifier.dense.weight".into(), stored(&[64, 64], |_| 0.0));
        tensors.insert("base_model.model.my_task.weight".into(), stored(&[1, 64], |_| 0.0));
        tensors.insert("base_model.model.classifier.out_proj.bias".into(), stored(&[2], |_| 0.0));
        tensors.insert(
            "base_model.model.lm_head.modules_to_save.default.bias".into(),
            stored(&[33], |i| i as f32),
        );
        let pooler = factors(&["esm.pooler.dense"]);
        tensors.extend(pooler);
    });
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.read("lm_head.bias").unwrap()[32], 32.0);
    let text = text(&checkpoint);
    for said in [
        "the adapter's classifier (2 tensors)",
        "the adapter's my_task (1 tensors)",
        "esm.pooler (2 tensors)",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_bias_of_the_second_factor_is_added() {
    let name = "encoder.layer.1.attention.self.query.bias";
    let folder = adapted(|tensors, config| {
        config["lora_bias"] = json!(true);
        tensors.insert(format!("base_model.model.{QUERY}.lora_B.bias"), stored(&[64], |i| i as f32));
    });
    let before = Checkpoint::open(&golden("esm2-head16")).unwrap().read(name).unwrap();
    let after = Checkpoint::open(folder.path()).unwrap().read(name).unwrap();
    assert!(
        after.iter().zip(before).enumerate().all(|(i, (after, before))| *after == before + 4.0 * i as f32)
    );
}

#[test]
fn an_adapted_embedding_leaves_a_tied_decoder_as_it_was() {
    let embedding = "embeddings.word_embeddings.weight";
    let folder = adapted(|tensors, _| {
        let name =
            |part: &str| format!("base_model.model.esm.embeddings.word_embeddings.lora_embedding_{part}");
        tensors.insert(name("A"), stored(&[2, 33], |i| i as f32));
        tensors.insert(name("B"), stored(&[64, 2], |_| 1.0));
    });
    let (before, after) =
        (Checkpoint::open(&golden("esm2-head16")).unwrap(), Checkpoint::open(folder.path()).unwrap());
    let original = before.read(embedding).unwrap();
    assert_eq!(after.read("lm_head.decoder.weight").unwrap(), original);
    let changed = after.read(embedding).unwrap();
    assert!((changed[64 + 3] - original[64 + 3] - 4.0 * (1.0 + 34.0)).abs() < 1e-4);
    assert!(text(&after).contains("the decoder of the language-model head stays the original one"));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let layer = |name: &str| name.replace("layer.1", "layer.7");
    type Change = Box<dyn FnOnce(&mut BTreeMap<String, RawTensor>, &mut Value)>;
    let a = format!("base_model.model.{QUERY}.lora_A.weight");
    let b = format!("base_model.model.{QUERY}.lora_B.weight");
    let (a1, a2, b1, b2) = (a.clone(), a.clone(), b.clone(), b.clone());
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(move |t, _| drop(t.remove(&b1))), "has no lora_B: the adapter is incomplete"),
        (Box::new(move |t, _| drop(t.remove(&a1))), "has no lora_A: the adapter is incomplete"),
        (Box::new(|t, _| t.clear()), "it has no LoRA factors"),
        (
            Box::new(move |t, _| t.extend(factors(&[&layer(QUERY)]))),
            "module esm.encoder.layer.7.attention.self.query is none of the base's",
        ),
        (
            Box::new(|t, _| {
                drop(t.insert(
                    "base_model.model.esm.encoder.layer.9.output.dense.bias".into(),
                    stored(&[64], |_| 0.0),
                ))
            }),
            "layer.9.output.dense.bias matches no weight of the base",
        ),
        (
            Box::new(|t, _| drop(t.insert("base_model.model.decoder.weight".into(), stored(&[64], |_| 0.0)))),
            "tensor base_model.model.decoder.weight matches no weight of the base",
        ),
        (Box::new(|_, c| c["r"] = json!(4)), "lora_A.weight has shape [2, 64], expected [4, 64]"),
        (
            Box::new(move |t, _| drop(t.insert(b2, stored(&[32, 2], |_| 0.0)))),
            "lora_B.weight has shape [32, 2], expected [64, 2]",
        ),
        (
            Box::new(|t, _| {
                drop(t.insert(
                    format!("base_model.model.{QUERY}.lora_magnitude_vector"),
                    stored(&[64], |_| 1.0),
                ))
            }),
            "DoRA",
        ),
        (Box::new(|_, c| c["use_dora"] = json!(true)), "DoRA (`use_dora`)"),
        (Box::new(|_, c| c["peft_type"] = json!("IA3")), "an adapter of type IA3"),
        (
            Box::new(|t, _| {
                let second = std::mem::take(t);
                for name in ["one", "two"] {
                    t.extend(second.iter().map(|(n, s)| {
                        let module = if name == "one" { n.clone() } else { n.replace("query", "key") };
                        (module.replace(".weight", &format!(".{name}.weight")), s.clone())
                    }));
                }
            }),
            "it holds several adapters, one, two",
        ),
    ];
    for (change, expected) in cases {
        let error = open_error(adapted(change).path()).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let not_finite =
        adapted(|t, _| t.get_mut(&a2).unwrap().bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
    let read =
        Checkpoint::open(not_finite.path()).unwrap().read("encoder.layer.1.attention.self.query.weight");
    assert!(matches!(read, Err(CheckpointError::NonFinite { .. })));
}

#[test]
fn adapters_that_lie_elsewhere_are_not_passed_over() {
    let lora_inside = changed(|tensors| tensors.extend(factors(&[QUERY])));
    let error = open_error(lora_inside.path()).to_string();
    assert!(error.contains("an adapter that isn't merged lies among the weights"), "{error}");

    let below = changed(|_| ());
    fs::create_dir(below.path().join("trained")).unwrap();
    fs::write(below.path().join("trained/adapter_config.json"), "{}").unwrap();
    assert!(remarks(below.path()).contains("trained holds an adapter, which isn't merged"));

    let without_tensors = tempfile::tempdir().unwrap();
    fs::write(
        without_tensors.path().join("adapter_config.json"),
        r#"{"peft_type":"LORA","r":2,"lora_alpha":2}"#,
    )
    .unwrap();
    let open = Checkpoint::open_with_base(without_tensors.path(), Some(&golden("esm2-head16")));
    assert!(open.map(|_| ()).unwrap_err().to_string().contains("neither adapter_model.safetensors nor"));
}

#[test]
fn a_product_that_is_too_large_for_a_float_is_an_error() {
    let folder = adapted(|_, config| config["lora_alpha"] = json!(1e308));
    let name = "encoder.layer.1.attention.self.query.weight";
    let error = Checkpoint::open(folder.path()).unwrap().read(name).unwrap_err();
    let CheckpointError::NonFinite { path, tensor, .. } = &error else { panic!("{error}") };
    assert!(path.ends_with("adapter_model.safetensors") && tensor == name, "{error}");
}

#[test]
fn an_adapters_tensors_without_its_configuration_are_an_error() {
    let alone = tempfile::tempdir().unwrap();
    let weights = changed(|_| ());
    for file in
        ["adapter_model.safetensors", "adapter_model.bin", "my_LoRA.safetensors", "pytorch_adapter.bin"]
    {
        for folder in [alone.path(), weights.path()] {
            let path = folder.join(file);
            write(&path, &factors(&[QUERY]));
            let error = open_error(folder).to_string();
            assert!(
                error.contains(file) && error.contains("no adapter_config.json beside them"),
                "{file}: {error}"
            );
            fs::remove_file(path).unwrap();
        }
    }
    Checkpoint::open(weights.path()).unwrap();
    // The adapter's file itself, and weights that are given as a base.
    let file = alone.path().join("adapter_model.safetensors");
    write(&file, &factors(&[QUERY]));
    assert!(open_error(&file).to_string().contains("no adapter_config.json beside them"));
    write(&weights.path().join("adapter_model.safetensors"), &factors(&[QUERY]));
    let open = Checkpoint::open_with_base(&golden("esm2-lora/regex"), Some(weights.path())).map(|_| ());
    assert!(open.unwrap_err().to_string().contains("no adapter_config.json beside them"));
}

#[test]
fn a_configuration_that_is_no_file_is_an_error() {
    let folder = changed(|_| ());
    write(&folder.path().join("adapter_model.safetensors"), &factors(&[QUERY]));
    let config = folder.path().join("adapter_config.json");
    fs::create_dir(&config).unwrap();
    assert!(open_error(folder.path()).to_string().contains("adapter_config.json: it is no file"));
    fs::remove_dir(&config).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("absent", &config).unwrap();
        let error = open_error(folder.path()).to_string();
        assert!(error.contains("it is a link to absent, which isn't there"), "{error}");
    }
}

#[test]
fn a_second_adapter_below_the_first_is_named() {
    let first = tempfile::tempdir().unwrap();
    copy(&golden("esm2-lora/regex"), first.path());
    fs::create_dir(first.path().join("second")).unwrap();
    copy(&golden("esm2-lora/regex"), &first.path().join("second"));
    let checkpoint = Checkpoint::open_with_base(first.path(), Some(&golden("esm2-lora/base"))).unwrap();
    assert!(
        text(&checkpoint).contains("second holds an adapter, which isn't merged"),
        "{}",
        text(&checkpoint)
    );
}

#[test]
fn an_adapter_on_a_tied_decoder_says_that_it_is_tied() {
    let folder = adapted(|tensors, _| {
        let module = "base_model.model.lm_head.decoder";
        tensors.insert(format!("{module}.lora_A.weight"), stored(&[2, 64], |_| 1.0));
        tensors.insert(format!("{module}.lora_B.weight"), stored(&[33, 2], |_| 1.0));
    });
    let error = open_error(folder.path()).to_string();
    assert!(error.contains("module lm_head.decoder is tied to the embedding"), "{error}");
}
