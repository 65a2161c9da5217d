//! Models and files of other kinds are named, with what to do.

use std::fs;

use quantizer::checkpoint::CheckpointError;
use serde_json::{Value, json};

use crate::fixture::golden;
use crate::fixture::handmade::*;

fn message(folder: &tempfile::TempDir) -> String {
    open_error(folder.path()).to_string()
}

/// The fixture with `key` of its configuration set to `value`.
fn configured(key: &str, value: Value) -> tempfile::TempDir {
    let folder = changed(|_| ());
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
    folder
}

#[test]
fn what_would_give_other_numbers_is_refused_by_its_key() {
    let cases = [
        ("position_embedding_type", json!("absolute"), "`position_embedding_type` is absolute"),
        ("emb_layer_norm_before", json!(true), "`emb_layer_norm_before` is true"),
        ("is_folding_model", json!(true), "`is_folding_model` is true"),
        ("is_decoder", json!(true), "`is_decoder` is true"),
        ("vocab_size", json!(64), "`vocab_size` is 64"),
        ("rope_theta", json!(500000.0), "`rope_theta` is 500000"),
        (
            "rope_parameters",
            json!({ "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5 }),
            "`partial_rotary_factor` is 0.5",
        ),
        (
            "quantization_config",
            json!({ "quant_method": "bitsandbytes" }),
            "`quantization_config` is bitsandbytes",
        ),
        ("model_type", json!("nv_esm"), "NVIDIA's port of ESM-2"),
        ("model_type", json!("esmc"), "ESM C"),
        ("num_hidden_layers", json!(2), "encoder.layer.2.LayerNorm"),
        ("num_hidden_layers", json!(4), "missing: encoder.layer.3"),
        ("tie_word_embeddings", json!(false), "missing: lm_head.decoder.weight"),
    ];
    for (key, value, expected) in cases {
        let error = message(&configured(key, value));
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn tensors_inside_of_layers_that_the_model_has_no_place_for_are_refused() {
    for name in [
        "esm.encoder.layer.0.output.adapters.task.adapter_down.0.weight",
        "esm.encoder.layer.1.crossattention.self.query.weight",
        "esm.encoder.layer.1.attention.self.query.weight_scale",
    ] {
        let error = open_error(changed(|t| drop(t.insert(name.into(), stored(&[4], |_| 0.0)))).path());
        let CheckpointError::UnexpectedTensors { names, .. } = &error else { panic!("{error}") };
        assert_eq!(names, &[name.replace("esm.", "")]);
    }
}

#[test]
fn a_folding_model_that_is_not_said_to_be_one_is_refused() {
    let folder = folder("esm2-head16");
    fs::copy(golden("esmfold-tiny").join("model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    let error = message(&folder);
    assert!(error.contains("`is_folding_model` is not true") && error.contains("a folding model"), "{error}");
}

#[test]
fn folders_of_other_programs_are_named() {
    let cases = [
        ("tf_model.h5", "tf_model.h5 is weights for TensorFlow"),
        ("flax_model.msgpack", "weights for Flax"),
        ("model.gguf", "weights for llama.cpp"),
        ("model.onnx", "an ONNX model"),
        ("params_model_1.npz", "NumPy arrays (AlphaFold's parameters"),
        ("esm2.nemo", "a NeMo checkpoint"),
        ("zero_to_fp32.py", "join them with `zero_to_fp32.py` first"),
        (".metadata", "PyTorch's distributed checkpoint"),
        ("latest_checkpointed_iteration.txt", "a checkpoint of Megatron"),
    ];
    for (file, expected) in cases {
        for folder in [folder("esm2-head16"), tempfile::tempdir().unwrap()] {
            fs::write(folder.path().join(file), "x").unwrap();
            let error = message(&folder);
            assert!(error.contains(expected), "{file}: {error}");
        }
    }
    let runs = tempfile::tempdir().unwrap();
    for run in ["checkpoint-500", "checkpoint-1000"] {
        fs::create_dir(runs.path().join(run)).unwrap();
        fs::write(runs.path().join(run).join("config.json"), "{}").unwrap();
    }
    let error = message(&runs);
    assert!(error.contains("give one of checkpoint-1000, checkpoint-500"), "{error}");
}

#[test]
fn files_of_other_programs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (file, contents, expected) in [
        ("model.h5", "x", "weights for TensorFlow"),
        ("model.pt", "\u{89}HDF", "damaged or in an unknown format"),
        ("model.bin", "GGUFxxxx", "it is GGUF, weights for llama.cpp"),
        ("model.pth", "version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("page.bin", "\n\n<!doctype HTML><p>", "a web page"),
        ("page.safetensors", " <HTML>", "a web page"),
        ("error.bin", "\n{\"error\": \"x\"}", "a server's error message"),
        (
            "zip.safetensors",
            "PK\u{3}\u{4}xxxxxxxxxx",
            "a PyTorch file (a zip archive), not safetensors: rename it",
        ),
        ("tensors.bin", "\u{20}\0\0\0\0\0\0\0{\"a\":1}", "a safetensors file: rename it to .safetensors"),
        (
            "text.safetensors",
            "Invalid username or password.",
            "it is a text (`Invalid username or password.`...)",
        ),
        ("model.npz", "x", "NumPy arrays"),
        ("model.txt", "x", "expected a HuggingFace folder"),
    ] {
        let path = folder.path().join(file);
        fs::write(&path, contents).unwrap();
        let error = open_error(&path).to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn models_of_other_architectures_are_named_by_their_tensors() {
    let cases = [
        ("esm.encoder.layers.0.self_attention.layernorm_qkv.weight", "nv_esm"),
        ("transformer.blocks.0.attn.layernorm_qkv.1.weight", "ESM C"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", "T5"),
        ("module.evoformer.blocks.0.msa_transition.linear_1.weight", "OpenFold"),
        ("base_model.model.esm.encoder.layer.0.attention.self.query.lora_A.weight", "tensors of an adapter"),
    ];
    for (name, expected) in cases {
        let other = changed(|tensors| {
            tensors.clear();
            tensors.insert(name.into(), stored(&[4], |_| 0.0));
        });
        let error = message(&other);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_shard_that_is_missing_is_named_with_its_index() {
    let folder = folder("esm2-head16");
    let index = r#"{"weight_map": {"lm_head.bias": "model-00001-of-00002.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let error = message(&folder);
    assert!(
        error.contains("index.json: not a checkpoint: it names the shard model-00001-of-00002.safetensors"),
        "{error}"
    );
}

#[test]
fn a_configuration_that_is_something_else_is_named_and_a_byte_order_mark_is_read() {
    let folder = changed(|_| ());
    let path = folder.path().join("config.json");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{good}")).unwrap();
    assert_eq!(outputs(folder.path()), outputs(&golden("esm2-head16")));
    let nan = good.replacen('{', "{\"classifier_dropout\": NaN,", 1);
    for (text, expected) in [
        ("version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("<html>", "a web page"),
        (nan.as_str(), "NaN in line 1 is no number of JSON"),
        ("{\"hidden_size\": -Infinity}", "-Infinity in line 1 is no number of JSON"),
        ("{", "invalid JSON"),
    ] {
        fs::write(&path, text).unwrap();
        let error = message(&folder);
        assert!(error.contains("config.json") && error.contains(expected), "{text}: {error}");
    }
}
