//! What a checkpoint's files hold, in short: it goes into a model's metadata, and says of which weights
//! something was made.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Checkpoint, CheckpointError};

impl Checkpoint {
    /// SHA-256 of every file of the checkpoint, in hexadecimal, by its name there: what a hub's cache calls
    /// the file it links to doesn't matter. Reads them whole.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>, CheckpointError> {
        hashes(self.files())
    }
}

/// [`Checkpoint::hashes`] of `files`.
pub(super) fn hashes<'p>(
    files: impl Iterator<Item = &'p Path>,
) -> Result<BTreeMap<String, String>, CheckpointError> {
    let hash = |path: &Path| -> io::Result<(String, String)> {
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, format!("{:x}", hasher.finalize())))
    };
    let unreadable = |path: &Path, source| CheckpointError::Io { path: path.to_owned(), source };
    files.map(|path| hash(path).map_err(|source| unreadable(path, source))).collect()
}
