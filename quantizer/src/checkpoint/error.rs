//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use super::Element;

/// Why a checkpoint can't be read. Every variant names the file; those about one tensor name the tensor, by its
/// [canonical name](super::names).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum CheckpointError {
    #[error("{}: not a checkpoint: {reason}", path.display())]
    NotACheckpoint { path: PathBuf, reason: String },

    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{}: invalid JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },

    #[error("{}: damaged or in an unknown format: {detail}", path.display())]
    Format { path: PathBuf, detail: String },

    #[error("{}: no value for `{key}`", path.display())]
    MissingConfig { path: PathBuf, key: &'static str },

    #[error("{}: `{key}` is {found}, which is not supported; expected {expected}", path.display())]
    UnsupportedConfig { path: PathBuf, key: &'static str, found: String, expected: String },

    #[error("{}: {} missing: {}", path.display(), count(names.len()), names.join(", "))]
    MissingTensors { path: PathBuf, names: Vec<String> },

    #[error("{}: tensor {tensor} occurs twice under different names", path.display())]
    DuplicateTensor { path: PathBuf, tensor: String },

    #[error("{}: tensor {tensor} has shape {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, tensor: String, expected: Vec<usize>, found: Vec<usize> },

    #[error("{}: tensor {tensor} holds {found} values, expected f16, bf16, f32 or f64", path.display())]
    NotFloat { path: PathBuf, tensor: String, found: Element },

    #[error("{}: tensor {tensor} is {value} at index {index}, expected finite values", path.display())]
    NonFinite { path: PathBuf, tensor: String, index: usize, value: f32 },
}

fn count(tensors: usize) -> String {
    if tensors == 1 { "1 tensor".into() } else { format!("{tensors} tensors") }
}
