//! A file of named tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CheckpointError, Element, foreign};

/// What a file says about one of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Type of the stored values.
    pub element: Element,
    /// Size of each dimension, outermost first.
    pub shape: Vec<usize>,
}

/// A file of named tensors whose values are read one tensor at a time.
pub trait Archive: Send + Sync {
    /// Where the file is.
    fn path(&self) -> &Path;

    /// Every tensor in it, by the name it has there.
    fn entries(&self) -> &BTreeMap<String, Entry>;

    /// The values of tensor `name` in row-major order.
    ///
    /// # Errors
    /// No such tensor, a tensor that holds no floats, or a damaged file.
    fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError>;

    /// The number called `key` in fair-esm's training arguments, if they were saved along with the tensors.
    fn size_setting(&self, _key: &str) -> Option<usize> {
        None
    }

    /// The true or false called `key` in fair-esm's training arguments, if they were saved along with the
    /// tensors.
    fn flag_setting(&self, _key: &str) -> Option<bool> {
        None
    }
}

/// Opens the tensor file at `path`, of the format that its extension says.
///
/// # Errors
/// [`CheckpointError::NotACheckpoint`] for what is another format in truth; else as the format's reader.
pub(super) fn open(path: &Path) -> Result<Box<dyn Archive>, CheckpointError> {
    foreign::check_file(path)?;
    match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors") => Ok(Box::new(super::safetensors::SafetensorsArchive::open(path)?)),
        _ => Ok(Box::new(super::torch::TorchArchive::open(path)?)),
    }
}
