//! Pickles that were made to do harm. Nothing in them runs, whatever it is.

use std::fs;
use std::path::Path;

use quantizer::checkpoint::{Checkpoint, CheckpointError};
use safetensors::tensor::Dtype;

use crate::fixture::handmade::*;

const QUERY: &str = "esm.encoder.layer.1.attention.self.query.weight";

/// A call of `os.system` with a command that leaves a file at `trace`.
fn call(module: &str, trace: &Path) -> Vec<u8> {
    let command = text(&format!("touch {}", trace.display()));
    [format!("c{module}\nsystem\n").into_bytes(), command, b"\x85R".to_vec()].concat()
}

/// The fixture as `pytorch_model.bin`, with `extra` entries before its tensors.
fn model(folder: &Path, extra: &[(&str, Vec<u8>)]) {
    let tensors = tensors();
    let (state, storages) = pickled_state(&tensors);
    let (before, after) = (dict(extra), state);
    // Both dictionaries' items go into one.
    let root = [b"\x80\x02", &before[..], &after[1..], b"."].concat();
    let storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    torch_file(&folder.join("pytorch_model.bin"), &root, &storages);
}

#[test]
fn a_pickle_that_calls_the_shell_is_refused_and_runs_nothing() {
    let folder = folder("esm2-head16");
    let trace = folder.path().join("OWNED");
    model(folder.path(), &[]);
    assert!(Checkpoint::open(folder.path()).is_ok());
    for module in ["os", "posix", "nt", "subprocess"] {
        let nested = dict(&[("inner", [b"]".to_vec(), call(module, &trace), b"a".to_vec()].concat())]);
        let wrapped =
            [b"cargparse\nNamespace\n)\x81".to_vec(), dict(&[("x", call(module, &trace))]), b"b".to_vec()]
                .concat();
        let below =
            [b"ctorch._utils\n_rebuild_parameter\n".to_vec(), call(module, &trace), b"\x85R".to_vec()]
                .concat();
        for hidden in [call(module, &trace), nested, wrapped, below] {
            for key in ["hyper_parameters", "classifier.weight"] {
                model(folder.path(), &[(key, hidden.clone())]);
                let error = open_error(folder.path());
                let CheckpointError::Hostile { function, .. } = &error else { panic!("{error}") };
                assert_eq!(function, &format!("{module}.system"));
                assert!(error.to_string().contains("It was not run"), "{error}");
                assert!(!trace.exists());
            }
        }
    }
    // In the place of the whole model.
    torch_file(
        &folder.path().join("pytorch_model.bin"),
        &[b"\x80\x02", &call("os", &trace)[..], b"."].concat(),
        &[],
    );
    assert!(matches!(open_error(folder.path()), CheckpointError::Hostile { .. }));
    assert!(!trace.exists());
}

/// The error of reading the fixture's query weight if its tensor is `pickled`.
fn read_error(pickled: Vec<u8>) -> String {
    let folder = folder("esm2-head16");
    let mut tensors = tensors();
    tensors.remove(QUERY);
    let (state, storages) = pickled_state(&tensors);
    let root = [b"\x80\x02", &dict(&[(QUERY, pickled)])[..], &state[1..], b"."].concat();
    let mut storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    storages.push(("forged", vec![0; 128]));
    torch_file(&folder.path().join("pytorch_model.bin"), &root, &storages);
    match Checkpoint::open(folder.path()) {
        Ok(checkpoint) => {
            checkpoint.read("encoder.layer.1.attention.self.query.weight").unwrap_err().to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn tensors_outside_of_their_storage_are_refused() {
    let good = |shape: &[usize], offset| pickled_tensor("forged", Dtype::F16, shape, offset);
    assert!(read_error(good(&[64, 64], 0)).contains("lies outside its storage"));
    assert!(read_error(good(&[64, 64], 1 << 30)).contains("lies outside its storage"));
    assert!(
        read_error(good(&[1 << 20, 1 << 20], 0)).contains("has shape [1048576, 1048576], expected [64, 64]")
    );
    assert!(read_error(pickled_tensor("absent", Dtype::F16, &[64, 64], 0)).contains("tensor "));
    let not_a_view = b"ctorch._utils\n_rebuild_tensor_v2\nN\x85R".to_vec();
    assert!(read_error(not_a_view).contains("described in a way that is not understood"));
}

#[test]
fn a_forged_table_of_frequencies_takes_no_memory() {
    let folder = folder("esm2-head16");
    let table = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq";
    let mut tensors = tensors();
    tensors.remove(table);
    let (state, storages) = pickled_state(&tensors);
    // 2^40 values of stride 0.
    let view = pickled_tensor("0", Dtype::F16, &[1], 0);
    let one = [tuple(&[1]), tuple(&[1])].concat();
    let at = view.windows(one.len()).position(|window| window == one).unwrap();
    let long = [b"(".to_vec(), b"\x8a\x06\0\0\0\0\0\x01".to_vec(), b"t".to_vec(), tuple(&[0])].concat();
    let view = [&view[..at], &long, &view[at + one.len()..]].concat();
    let root = [b"\x80\x02", &dict(&[(table, view)])[..], &state[1..], b"."].concat();
    let storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    torch_file(&folder.path().join("pytorch_model.bin"), &root, &storages);
    let error = Checkpoint::open(folder.path()).unwrap().rotary_frequencies().unwrap_err().to_string();
    assert!(error.contains("has shape [1099511627776], expected [8]"), "{error}");
}

#[test]
fn pickles_that_grow_without_end_are_read_in_their_own_size() {
    let folder = folder("esm2-head16");
    let mut doubling = b"\x80\x02)q\0".to_vec();
    for _ in 0..10_000 {
        doubling.extend(b"h\0h\0\x86q\0");
    }
    doubling.push(b'.');
    torch_file(&folder.path().join("pytorch_model.bin"), &doubling, &[]);
    assert!(open_error(folder.path()).to_string().contains("not a dictionary"));
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat();
    torch_file(&folder.path().join("pytorch_model.bin"), &deep, &[]);
    assert!(open_error(folder.path()).to_string().contains("not a dictionary"));
}

#[test]
fn compressed_members_are_refused() {
    let folder = folder("esm2-head16");
    model(folder.path(), &[]);
    let path = folder.path().join("pytorch_model.bin");
    let mut bytes = fs::read(&path).unwrap();
    // The method of the first member, in its own header and in the directory: deflate instead of stored.
    for signature in [b"PK\x03\x04", b"PK\x01\x02"] {
        let at = bytes.windows(4).position(|window| window == signature).unwrap();
        bytes[at + if signature[2] == 3 { 8 } else { 10 }] = 8;
    }
    fs::write(&path, bytes).unwrap();
    let error = open_error(folder.path()).to_string();
    assert!(error.contains("ompress"), "{error}");
}
