//! What a checkpoint may look like, and what is said about one that is wrong.

mod fixture;

use std::collections::{BTreeMap, HashMap};
use std::fs;

use fixture::golden;
use fixture::handmade::{RawTensor, changed, folder, open_error, outputs, tensors, write};
use quantizer::checkpoint::{Checkpoint, CheckpointError};
use quantizer::reference::{Reference, Want};
use safetensors::tensor::Dtype;
use tempfile::TempDir;

const QUERY: &str = "esm.encoder.layer.1.attention.self.query.weight";

#[test]
fn names_without_prefix_and_with_weight_and_bias_are_the_same_model() {
    let renamed = changed(|tensors| {
        assert!(tensors.contains_key("esm.encoder.layer.0.LayerNorm.gamma"));
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().map(|(name, tensor)| {
            let name = name.replace("esm.", "").replace(".gamma", ".weight").replace(".beta", ".bias");
            (name, tensor)
        }));
        assert!(tensors.contains_key("encoder.layer.0.LayerNorm.weight"));
    });
    assert_eq!(outputs(renamed.path()), outputs(&golden("esm2-head16")));
}

#[test]
fn safetensors_shards_are_one_model() {
    let sharded = folder("esm2-head16");
    let all = tensors();
    let mut shards: [BTreeMap<String, RawTensor>; 3] = Default::default();
    let mut weight_map = HashMap::new();
    for (i, (name, tensor)) in all.into_iter().enumerate() {
        weight_map.insert(name.clone(), format!("model-{}.safetensors", i % 3));
        shards[i % 3].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        write(&sharded.path().join(format!("model-{i}.safetensors")), shard);
    }
    let index = sharded.path().join("model.safetensors.index.json");
    fs::write(&index, serde_json::json!({ "weight_map": weight_map }).to_string()).unwrap();
    assert_eq!(outputs(sharded.path()), outputs(&golden("esm2-head16")));

    shards[2].remove(QUERY).or_else(|| shards[1].remove(QUERY)).or_else(|| shards[0].remove(QUERY)).unwrap();
    for (i, shard) in shards.iter().enumerate() {
        write(&sharded.path().join(format!("model-{i}.safetensors")), shard);
    }
    let CheckpointError::MissingTensors { path, names } = open_error(sharded.path()) else { panic!() };
    assert_eq!(names, [QUERY]);
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), weight_map[QUERY]);

    fs::remove_file(sharded.path().join("model-1.safetensors")).unwrap();
    let CheckpointError::NotACheckpoint { path, reason } = open_error(sharded.path()) else { panic!() };
    assert!(path.ends_with("model.safetensors.index.json"));
    assert!(reason.contains("the shard model-1.safetensors, which isn't beside it"), "{reason}");
}

#[test]
fn bin_shards_are_one_model() {
    let sharded = folder("esm2-head24");
    let shard = "pytorch_model-00001-of-00001.bin";
    fs::copy(golden("esm2-head24").join("pytorch_model.bin"), sharded.path().join(shard)).unwrap();
    let weight_map = serde_json::json!({ "weight_map": { "lm_head.bias": shard, QUERY: shard } });
    fs::write(sharded.path().join("pytorch_model.bin.index.json"), weight_map.to_string()).unwrap();
    assert_eq!(outputs(sharded.path()), outputs(&golden("esm2-head24")));
}

#[test]
fn heads_are_optional() {
    let bare = changed(|tensors| tensors.retain(|name, _| name.starts_with("esm.e")));
    let checkpoint = Checkpoint::open(bare.path()).unwrap();
    assert!(!checkpoint.has_contact_head() && !checkpoint.has_lm_head());
    let reference = Reference::new(&checkpoint).unwrap();
    let error = |want| reference.run(&[0, 4, 2], want).unwrap_err().to_string();
    assert!(error(Want { contacts: true, ..Want::default() }).contains("no contact head"));
    assert!(error(Want { logits: true, ..Want::default() }).contains("no language-model head"));
}

#[test]
fn a_fair_esm_file_alone_has_no_contact_head() {
    let alone = tempfile::tempdir().unwrap();
    let path = alone.path().join("tiny.pt");
    fs::copy(golden("esm2-fair").join("tiny.pt"), &path).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert!(checkpoint.has_lm_head() && !checkpoint.has_contact_head());
    let with_head = Checkpoint::open(&golden("esm2-fair").join("tiny.pt")).unwrap();
    assert!(with_head.has_contact_head());
    assert_eq!(checkpoint.config(), with_head.config());
    assert_eq!(checkpoint.config().heads, 2);
}

#[test]
fn all_missing_tensors_are_named() {
    let gone = ["esm.encoder.layer.0.LayerNorm.beta", QUERY, "lm_head.bias"];
    let broken = changed(|tensors| {
        for name in gone {
            tensors.remove(name).unwrap();
        }
    });
    let error = open_error(broken.path());
    let message = error.to_string();
    let CheckpointError::MissingTensors { names, .. } = error else { panic!("{message}") };
    assert_eq!(
        names,
        ["encoder.layer.0.LayerNorm.bias", "encoder.layer.1.attention.self.query.weight", "lm_head.bias"]
    );
    assert!(message.contains("3 tensors missing: encoder.layer.0.LayerNorm.bias, "), "{message}");
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    let broken = changed(|tensors| tensors.get_mut(QUERY).unwrap().shape = vec![32, 128]);
    let error = open_error(broken.path());
    assert!(matches!(&error, CheckpointError::Shape { .. }));
    let message = "model.safetensors: tensor encoder.layer.1.attention.self.query.weight has shape [32, 128], expected [64, 64]";
    assert!(error.to_string().ends_with(message), "{error}");
}

#[test]
fn values_that_are_not_finite_are_named_with_their_index() {
    for (bits, value) in [(0x7e00u16, "NaN"), (0xfc00, "-inf")] {
        let broken = changed(|tensors| {
            tensors.get_mut(QUERY).unwrap().bytes[14..16].copy_from_slice(&bits.to_le_bytes())
        });
        let checkpoint = Checkpoint::open(broken.path()).unwrap();
        let reference = Reference::new(&checkpoint).unwrap();
        let error = reference.run(&[0, 4, 2], Want::default()).unwrap_err().to_string();
        let expected = format!("tensor encoder.layer.1.attention.self.query.weight is {value} at index 7");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn stored_rotary_frequencies_must_fit() {
    let name = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq";
    let error = |broken: &TempDir| {
        Checkpoint::open(broken.path()).unwrap().rotary_frequencies().unwrap_err().to_string()
    };
    let short = changed(|tensors| {
        let table = tensors.get_mut(name).unwrap();
        (table.shape, table.bytes) = (vec![7], table.bytes[..14].to_vec());
    });
    assert!(error(&short).contains("has shape [7], expected [8]"), "{}", error(&short));
    let different = changed(|tensors| {
        let mut table = tensors[name].clone();
        table.bytes[3] ^= 1;
        tensors.insert(name.replace('*', "1"), table);
    });
    assert!(error(&different).contains("differ; expected one rotary embedding"), "{}", error(&different));
    let absent = changed(|tensors| drop(tensors.remove(name)));
    let frequencies = Checkpoint::open(absent.path()).unwrap().rotary_frequencies().unwrap();
    assert_eq!((frequencies.len(), frequencies[0]), (8, 1.0));
    assert!((frequencies[4] - 0.01).abs() < 1e-15);
}

#[test]
fn integers_are_no_weights() {
    let broken = changed(|tensors| tensors.get_mut(QUERY).unwrap().dtype = Dtype::I16);
    assert!(matches!(open_error(broken.path()), CheckpointError::NotFloat { .. }));
}

#[test]
fn a_tensor_under_two_names_is_refused() {
    let broken = changed(|tensors| {
        let copy = tensors[QUERY].clone();
        tensors.insert(QUERY.replace("esm.", ""), copy);
    });
    let CheckpointError::DuplicateTensor { tensor, .. } = open_error(broken.path()) else { panic!() };
    assert_eq!(tensor, QUERY.replace("esm.", ""));
}

#[test]
fn what_is_no_checkpoint_is_said() {
    let empty = tempfile::tempdir().unwrap();
    assert!(open_error(empty.path()).to_string().ends_with("not a checkpoint: it has no config.json"));
    let error = open_error(folder("esm2-head16").path()).to_string();
    assert!(error.contains("it has none of model.safetensors, model.safetensors.index.json, "), "{error}");
    let file = golden("esm2-head16").join("expected.safetensors");
    assert!(matches!(open_error(&file), CheckpointError::NotACheckpoint { .. }));
    assert!(open_error(&golden("make_esm2.py")).to_string().contains("expected a HuggingFace folder"));
    assert!(matches!(open_error(&empty.path().join("absent")), CheckpointError::Io { .. }));
    let regression = golden("esm2-fair").join("tiny-contact-regression.pt");
    let error = open_error(&regression).to_string();
    assert!(error.contains("no tensor embed_tokens.weight"), "{error}");
    fs::write(empty.path().join("config.json"), "{").unwrap();
    assert!(matches!(open_error(empty.path()), CheckpointError::Json { .. }));
}

#[test]
fn damaged_files_are_refused() {
    let good = fs::read(golden("esm2-head16").join("model.safetensors")).unwrap();
    let broken = folder("esm2-head16");
    for len in [0, 7, 100, good.len() - 1] {
        fs::write(broken.path().join("model.safetensors"), &good[..len]).unwrap();
        let error = open_error(broken.path());
        assert!(
            matches!(error, CheckpointError::Format { .. } | CheckpointError::NotACheckpoint { .. }),
            "{len}: {error}"
        );
    }

    let mut good = fs::read(golden("esm2-head24").join("pytorch_model.bin")).unwrap();
    let broken = folder("esm2-head24");
    let path = broken.path().join("pytorch_model.bin");
    for len in [0, 100, good.len() / 2] {
        fs::write(&path, &good[..len]).unwrap();
        let error = open_error(broken.path());
        assert!(
            matches!(error, CheckpointError::Format { .. } | CheckpointError::NotACheckpoint { .. }),
            "{len}: {error}"
        );
    }
    // A flipped bit among the values is seen by the member's checksum.
    let values = good.len() / 2;
    good[values] ^= 1;
    fs::write(&path, &good).unwrap();
    let checkpoint = Checkpoint::open(broken.path()).unwrap();
    let unreadable: Vec<&str> = checkpoint
        .names()
        .filter(|name| matches!(checkpoint.read(name), Err(CheckpointError::Format { .. })))
        .collect();
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
}
