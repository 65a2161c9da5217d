//! Float checkpoints of OmegaFold (`release1.pt`, `release2.pt`): the original's state_dict, under its names.

mod config;
mod expected;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::archive::{self, Archive};
use super::hashes::hashes;
use super::locate;
use super::{CheckpointError, Element};

pub use config::OmegaFoldConfig;

/// The tensor by which an OmegaFold is recognised.
const EMBEDDING: &str = "omega_plm.input_embedding.weight";

/// The file that a folder has its tensors in.
const WEIGHTS: &str = "model.safetensors";

/// An open checkpoint whose tensors are all known to be there and of the right shape; values are read when
/// they are asked for.
pub struct OmegaFold {
    archive: Box<dyn Archive>,
    config: OmegaFoldConfig,
}

impl OmegaFold {
    /// Whether an OmegaFold is at `path`: not if nothing can be read there.
    pub fn is_at(path: &Path) -> bool {
        let archive = archive::open(&file(path));
        archive.is_ok_and(|archive| archive.entries().contains_key(EMBEDDING))
    }

    /// Opens a file of PyTorch's or safetensors' format, or a folder with `model.safetensors`, and checks
    /// that every tensor is there.
    ///
    /// # Errors
    /// Any [`CheckpointError`] but [`CheckpointError::NonFinite`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = file(path);
        if !locate::is_file(&file)? {
            return Err(CheckpointError::NotACheckpoint {
                path: path.into(),
                reason: format!("expected release1.pt of OmegaFold, or a folder with {WEIGHTS}"),
            });
        }
        let archive = archive::open(&file)?;
        if !archive.entries().contains_key(EMBEDDING) {
            return Err(CheckpointError::NotACheckpoint {
                path: file,
                reason: format!("no OmegaFold: it has no tensor {EMBEDDING}"),
            });
        }
        let config = OmegaFoldConfig::of(archive.as_ref())?;
        let checkpoint = Self { archive, config };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    /// The file that the tensors are read from.
    pub fn path(&self) -> &Path {
        self.archive.path()
    }

    /// As [`Checkpoint::hashes`](super::Checkpoint::hashes).
    ///
    /// # Errors
    /// The file can't be read.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>, CheckpointError> {
        hashes(std::iter::once(self.path()))
    }

    /// The model's dimensions.
    pub fn config(&self) -> &OmegaFoldConfig {
        &self.config
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.archive.entries().keys().map(String::as_str)
    }

    /// Shape of tensor `name`, outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.archive.entries().get(name).map(|entry| entry.shape.as_slice())
    }

    /// Reads the values of tensor `name`, in row-major order.
    ///
    /// # Errors
    /// No such tensor, a value that is not finite, or a damaged file.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let values = self.archive.read(name)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(CheckpointError::NonFinite {
                path: self.path().into(),
                tensor: name.into(),
                index,
                value: values[index],
            }),
        }
    }

    /// Checks that the tensors are those that the configuration says, and no others.
    fn check(&self) -> Result<(), CheckpointError> {
        let (path, entries) = (self.path(), self.archive.entries());
        let expected = expected::expected(&self.config);
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        let missing = names(expected.keys().filter(|name| !entries.contains_key(*name)).collect());
        if !missing.is_empty() {
            return Err(CheckpointError::MissingTensors { path: path.into(), names: missing });
        }
        let unexpected = names(entries.keys().filter(|name| !expected.contains_key(*name)).collect());
        if !unexpected.is_empty() {
            return Err(CheckpointError::UnexpectedTensors { path: path.into(), names: unexpected });
        }
        for (tensor, shape) in expected {
            let entry = &entries[&tensor];
            if entry.element == Element::Other {
                return Err(CheckpointError::NotFloat { path: path.into(), tensor, found: entry.element });
            }
            if entry.shape != shape {
                let (path, found) = (path.into(), entry.shape.clone());
                return Err(CheckpointError::Shape { path, tensor, expected: shape, found });
            }
        }
        Ok(())
    }
}

/// The file that has the tensors at `path`.
fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(WEIGHTS) } else { path.to_owned() }
}
