//! Every layout of files, with every type of floats, gives the same model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use quantizer::checkpoint::{Checkpoint, CheckpointError};
use safetensors::tensor::Dtype;

use crate::fixture::golden;
use crate::fixture::handmade::*;

const QUERY: &str = "esm.encoder.layer.1.attention.self.query.weight";
const FLOATS: [Dtype; 4] = [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];
const SHARDS: usize = 3;

type Tensors = BTreeMap<String, RawTensor>;

/// `tensor`, which is f16, with values of type `dtype`.
fn converted(tensor: &RawTensor, dtype: Dtype) -> RawTensor {
    assert_eq!(tensor.dtype, Dtype::F16);
    let values = tensor.bytes.as_chunks::<2>().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32());
    let bytes = values.flat_map(|value| match dtype {
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        other => panic!("{other:?}"),
    });
    RawTensor { dtype, shape: tensor.shape.clone(), bytes: bytes.collect() }
}

/// Writes `tensors` as PyTorch does.
fn write_torch(path: &Path, tensors: &Tensors) {
    let (state, storages) = pickled_state(tensors);
    let storages: Vec<(&str, Vec<u8>)> = storages.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    torch_file(path, &[b"\x80\x02", &state[..], b"."].concat(), &storages);
}

/// Writes `tensors` into `folder` as `whole`, or in shards with an index.
fn write_folder(folder: &Path, whole: &str, tensors: &Tensors, shards: usize) {
    let write = if whole.ends_with(".bin") { write_torch } else { write };
    if shards == 1 {
        return write(&folder.join(whole), tensors);
    }
    let (stem, ending) = whole.split_once('.').unwrap();
    let mut weight_map = BTreeMap::new();
    for shard in 0..shards {
        let name = format!("{stem}-{:05}-of-{shards:05}.{ending}", shard + 1);
        let part = tensors.iter().enumerate().filter(|(i, _)| i % shards == shard);
        let part: Tensors = part.map(|(_, (name, tensor))| (name.clone(), tensor.clone())).collect();
        weight_map.extend(part.keys().map(|tensor| (tensor.clone(), name.clone())));
        write(&folder.join(&name), &part);
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": weight_map });
    fs::write(folder.join(format!("{whole}.index.json")), index.to_string()).unwrap();
}

#[test]
fn every_float_type_is_read_from_every_layout_of_files() {
    let original = Checkpoint::open(&golden("esm2-head16")).unwrap();
    for dtype in FLOATS {
        let tensors: Tensors =
            tensors().iter().map(|(name, tensor)| (name.clone(), converted(tensor, dtype))).collect();
        for whole in ["model.safetensors", "pytorch_model.bin"] {
            for shards in [1, SHARDS] {
                let folder = folder("esm2-head16");
                write_folder(folder.path(), whole, &tensors, shards);
                let found = Checkpoint::open(folder.path()).unwrap();
                assert_eq!(found.files().count(), shards, "{whole}");
                assert!(found.names().eq(original.names()));
                for name in original.names() {
                    let mut expected = original.read(name).unwrap();
                    if dtype == Dtype::BF16 {
                        expected.iter_mut().for_each(|value| *value = bf16::from_f32(*value).to_f32());
                    }
                    assert_eq!(found.read(name).unwrap(), expected, "{dtype:?}, {whole}, {name}");
                }
            }
        }
    }
}

#[test]
fn a_double_that_no_float_can_hold_is_refused() {
    let folder = changed(|tensors| {
        let mut double = converted(&tensors[QUERY], Dtype::F64);
        double.bytes[24..32].copy_from_slice(&1e300f64.to_le_bytes());
        tensors.insert(QUERY.into(), double);
    });
    let name = "encoder.layer.1.attention.self.query.weight";
    let error = Checkpoint::open(folder.path()).unwrap().read(name).unwrap_err();
    assert!(matches!(error, CheckpointError::NonFinite { index: 3, .. }), "{error}");
    assert!(error.to_string().contains("query.weight is inf at index 3, expected finite values"), "{error}");
}
