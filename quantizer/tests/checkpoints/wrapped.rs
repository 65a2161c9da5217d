//! Names that training code wrapped.

use std::collections::BTreeMap;
use std::fs;

use quantizer::checkpoint::{Checkpoint, CheckpointError};
use safetensors::tensor::Dtype;
use tempfile::TempDir;

use crate::fixture::golden;
use crate::fixture::handmade::*;

/// The fixture with every name changed.
fn renamed(change: impl Fn(&str) -> String) -> TempDir {
    changed(|tensors| {
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().map(|(name, tensor)| (change(&name), tensor)));
    })
}

#[test]
fn wrappers_are_stripped_and_said() {
    let expected = outputs(&golden("esm2-head16"));
    let wrappers = [
        "model.",
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "model.module.",
        "net.",
        "backbone.encoder.",
        "esm.",
    ];
    for wrapper in wrappers {
        let folder = renamed(|name| format!("{wrapper}{name}"));
        assert_eq!(outputs(folder.path()), expected, "{wrapper}");
        let remarks = remarks(folder.path());
        let said = format!("note: `{wrapper}` was stripped from the names of ");
        assert!(remarks.contains(&said), "{wrapper}: {remarks}");
    }
    assert!(!remarks(&golden("esm2-head16")).contains("stripped"));
}

#[test]
fn wrappers_inside_names_are_stripped_too() {
    let expected = outputs(&golden("esm2-head16"));
    let compiled = renamed(|name| name.replace("esm.", "esm._orig_mod."));
    assert_eq!(outputs(compiled.path()), expected);
    let checkpointed = renamed(|name| {
        name.replace(".layer.1.", ".layer.1._checkpoint_wrapped_module.")
            .replace("esm.encoder", "esm.module.encoder")
    });
    assert_eq!(outputs(checkpointed.path()), expected);
}

#[test]
fn a_bare_model_in_a_wrapper_is_read() {
    let folder = renamed(|name| match name.strip_prefix("esm.") {
        Some(bare) => format!("net.backbone.{bare}"),
        None => format!("net.{name}"),
    });
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    // The language-model head lies outside of the model that was found.
    assert!(checkpoint.has_contact_head() && !checkpoint.has_lm_head());
    let remarks = remarks(folder.path());
    assert!(
        remarks.contains("not used: net (5 tensors)") || remarks.contains("not used: net (6 tensors)"),
        "{remarks}"
    );
    let (found, expected) = (outputs_of_trunk(&folder), outputs(&golden("esm2-head16")));
    assert_eq!(found.hidden, expected.hidden);
}

fn outputs_of_trunk(folder: &TempDir) -> quantizer::reference::Outputs {
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let want = quantizer::reference::Want { hidden: true, ..Default::default() };
    quantizer::reference::Reference::new(&checkpoint).unwrap().run(&[0, 20, 5, 32, 7, 9, 2], want).unwrap()
}

#[test]
fn several_models_in_one_file_are_an_error_that_names_them() {
    let folder = changed(|tensors| {
        let old = std::mem::take(tensors);
        for wrapper in ["student.", "teacher."] {
            tensors.extend(old.iter().map(|(name, tensor)| (format!("{wrapper}{name}"), tensor.clone())));
        }
    });
    let CheckpointError::SeveralModels { prefixes, .. } = open_error(folder.path()) else { panic!() };
    assert_eq!(prefixes, ["student.", "teacher."]);
    // A copy under another wrapper of the same model is one tensor twice.
    let twice = changed(|tensors| {
        let old = tensors.clone();
        tensors.extend(old.into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor)));
    });
    assert!(matches!(open_error(twice.path()), CheckpointError::DuplicateTensor { .. }));
}

#[test]
fn shards_of_a_wrapped_model_are_one_model() {
    let sharded = folder("esm2-head16");
    let mut shards: [BTreeMap<String, RawTensor>; 2] = Default::default();
    let mut weight_map = BTreeMap::new();
    for (i, (name, tensor)) in tensors().into_iter().enumerate() {
        let name = format!("module.model.{name}");
        weight_map.insert(name.clone(), format!("model-{}.safetensors", i % 2));
        shards[i % 2].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        write(&sharded.path().join(format!("model-{i}.safetensors")), shard);
    }
    let index = sharded.path().join("model.safetensors.index.json");
    fs::write(&index, serde_json::json!({ "weight_map": weight_map }).to_string()).unwrap();
    let expected = outputs(&golden("esm2-head16"));
    assert_eq!(outputs(sharded.path()), expected);
    assert_eq!(outputs(&index), expected);
}

/// The fixture as PyTorch Lightning saves it: `state_dict` beside hyperparameters, epochs and an optimiser.
fn lightning(path: &std::path::Path, wrapper: &str) {
    let wrapped = tensors().into_iter().map(|(name, tensor)| (format!("{wrapper}{name}"), tensor)).collect();
    let (state, storages) = pickled_state(&wrapped);
    let moments = dict(&[("exp_avg", pickled_tensor("0", Dtype::F16, &[4], 0))]);
    let optimizer = [
        b"]".to_vec(),
        dict(&[("state", [b"}".to_vec(), number(0), moments, b"s".to_vec()].concat())]),
        b"a".to_vec(),
    ];
    let root = dict(&[
        ("epoch", number(3)),
        ("pytorch-lightning_version", text("2.5.0")),
        ("state_dict", state),
        ("optimizer_states", optimizer.concat()),
        (
            "hyper_parameters",
            [b"cargparse\nNamespace\n)\x81".to_vec(), dict(&[("lr", number(1))]), b"b".to_vec()].concat(),
        ),
    ]);
    let storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    torch_file(path, &[b"\x80\x02", root.as_slice(), b"."].concat(), &storages);
}

#[test]
fn lightning_checkpoints_are_read_with_and_without_a_configuration() {
    let expected = outputs(&golden("esm2-head16"));
    let with = folder("esm2-head16");
    lightning(&with.path().join("epoch=3.ckpt"), "model.");
    assert_eq!(outputs(&with.path().join("epoch=3.ckpt")), expected);

    let without = tempfile::tempdir().unwrap();
    let path = without.path().join("last.ckpt");
    lightning(&path, "net._orig_mod.");
    assert_eq!(outputs(&path), expected);
    assert!(remarks(&path).contains("no config.json beside the file"));
    assert_eq!(
        Checkpoint::open(&path).unwrap().config(),
        Checkpoint::open(&golden("esm2-head16")).unwrap().config()
    );
    assert_eq!(Checkpoint::open(&path).unwrap().name(), "last.ckpt");
}

#[test]
fn a_safetensors_file_with_its_configuration_beside_it_is_read() {
    let expected = outputs(&golden("esm2-head16"));
    assert_eq!(outputs(&golden("esm2-head16").join("model.safetensors")), expected);
    let other = folder("esm2-head16");
    write(&other.path().join("best.safetensors"), &tensors());
    assert_eq!(outputs(&other.path().join("best.safetensors")), expected);
    let error = open_error(other.path()).to_string();
    assert!(error.contains("give the file (best.safetensors)"), "{error}");
}

#[test]
fn wrapped_folding_models_are_read() {
    let bytes = fs::read(golden("esmfold-tiny").join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let wrapped = file.tensors().into_iter().map(|(name, view)| {
        let stored =
            RawTensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        (format!("module.model.{name}"), stored)
    });
    let folder = folder("esmfold-tiny");
    write(&folder.path().join("model.safetensors"), &wrapped.collect());
    let (found, expected) =
        (Checkpoint::open(folder.path()).unwrap(), Checkpoint::open(&golden("esmfold-tiny")).unwrap());
    assert!(found.names().eq(expected.names()));
    for name in expected.names() {
        assert_eq!(found.read(name).unwrap(), expected.read(name).unwrap(), "{name}");
    }
}

#[test]
fn a_model_is_found_beside_tensors_of_something_else_and_deeper_down() {
    let expected = outputs(&golden("esm2-head16"));
    let folder = folder("esm2-head16");
    let path = folder.path().join("best.pt");
    let (state, storages) = pickled_state(&tensors());
    let storages: Vec<(&str, Vec<u8>)> = storages.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let number_tensor = || pickled_tensor("0", Dtype::F16, &[1], 0);
    let model = || dict(&[("epoch", number(1)), ("model", state.clone())]);
    let cases = [
        dict(&[("epoch", number(3)), ("model_state_dict", state.clone()), ("loss", number_tensor())]),
        dict(&[("class_weights", number_tensor()), ("state_dict", state.clone())]),
        dict(&[("model", state.clone()), ("epoch", number_tensor())]),
        dict(&[("checkpoint", model()), ("metrics", dict(&[("best", number_tensor())]))]),
        dict(&[("run", dict(&[("checkpoint", model())]))]),
    ];
    for root in cases {
        torch_file(&path, &[b"\x80\x02", &root[..], b"."].concat(), &storages);
        assert_eq!(outputs(&path), expected);
    }
    let two = dict(&[("student", state.clone()), ("checkpoint", model())]);
    torch_file(&path, &[b"\x80\x02", &two[..], b"."].concat(), &storages);
    let error = open_error(&path).to_string();
    assert!(error.contains("several models, `student`, `checkpoint.model`"), "{error}");
}

#[test]
fn unexpected_tensors_in_a_folding_trunk_are_refused() {
    let bytes = fs::read(golden("esmfold-tiny").join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let own: BTreeMap<String, RawTensor> = file
        .tensors()
        .into_iter()
        .map(|(name, v)| {
            (name, RawTensor { dtype: v.dtype(), shape: v.shape().to_vec(), bytes: v.data().to_vec() })
        })
        .collect();
    let folder = folder("esmfold-tiny");
    for name in ["trunk.structure_module.ipa.lora.weight", "trunk.extra.weight", "trunk.blocks.0.more.weight"]
    {
        let mut tensors = own.clone();
        tensors.insert(name.into(), stored(&[2, 2], |_| 1.0));
        tensors.insert("trunk.structure_module.default_frames".into(), stored(&[2], |_| 1.0));
        write(&folder.path().join("model.safetensors"), &tensors);
        let CheckpointError::UnexpectedTensors { names, .. } = open_error(folder.path()) else { panic!() };
        assert_eq!(names, [name]);
    }
}
