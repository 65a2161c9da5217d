//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use super::Element;

/// Why a checkpoint can't be read. Every variant names the file; those about one tensor name the tensor, by
/// its [canonical name](super::names).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what its fields are")]
#[non_exhaustive]
pub enum CheckpointError {
    #[error("{}: not a checkpoint: {reason}", path.display())]
    NotACheckpoint { path: PathBuf, reason: String },

    #[error("{}: can't be read", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{}: invalid JSON", path.display())]
    Json { path: PathBuf, source: serde_json::Error },

    #[error("{}: damaged or in an unknown format: {detail}", path.display())]
    Format { path: PathBuf, detail: String },

    #[error("{}: no value for `{key}`", path.display())]
    MissingConfig { path: PathBuf, key: &'static str },

    #[error("{}: `{key}` is {found}, which is not supported; expected {expected}", path.display())]
    UnsupportedConfig { path: PathBuf, key: &'static str, found: String, expected: String },

    #[error("{}: `model_type` is {model_type}: {what}", path.display())]
    OtherModel { path: PathBuf, model_type: String, what: String },

    #[error("{}: {} missing: {}", path.display(), count(names.len()), list(names))]
    MissingTensors { path: PathBuf, names: Vec<String> },

    #[error(
        "{}: {} that the configuration has no place for, and that may change what the model computes: {}",
        path.display(), count(names.len()), list(names)
    )]
    UnexpectedTensors { path: PathBuf, names: Vec<String> },

    #[error("{}: it holds several models, whose tensors begin with {}; save the one that is meant by itself", path.display(), quoted(prefixes))]
    SeveralModels { path: PathBuf, prefixes: Vec<String> },

    #[error("{}: {reason}", path.display())]
    Adapter { path: PathBuf, reason: String },

    #[error(
        "{}: it calls {function} when Python loads it, which weights have no use for: it may be malicious. It was not run; \
         don't load it with Python",
        path.display()
    )]
    Hostile { path: PathBuf, function: String },

    #[error("{}: tensor {tensor} occurs twice under different names", path.display())]
    DuplicateTensor { path: PathBuf, tensor: String },

    #[error("{}: tensor {tensor} has shape {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, tensor: String, expected: Vec<usize>, found: Vec<usize> },

    #[error("{}: tensor {tensor} holds {found}, expected f16, bf16, f32 or f64", path.display())]
    NotFloat { path: PathBuf, tensor: String, found: Element },

    #[error("{}: tensor {tensor} is {value} at index {index}, expected finite values", path.display())]
    NonFinite { path: PathBuf, tensor: String, index: usize, value: f32 },
}

/// Names that are listed at most.
const LISTED: usize = 12;

fn list(names: &[String]) -> String {
    match names.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{} and {more} more", names[..LISTED].join(", ")),
        _ => names.join(", "),
    }
}

fn quoted(prefixes: &[String]) -> String {
    let quoted = prefixes.iter().map(|p| if p.is_empty() { "nothing".into() } else { format!("`{p}`") });
    quoted.collect::<Vec<_>>().join(" and ")
}

fn count(tensors: usize) -> String {
    if tensors == 1 { "1 tensor".into() } else { format!("{tensors} tensors") }
}
