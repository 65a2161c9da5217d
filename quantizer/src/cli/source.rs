//! The checkpoint that a command works on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context;
use quantizer::checkpoint::Checkpoint;
use sha2::{Digest, Sha256};

/// Opens the checkpoint at `path`, an adapter with the weights in `base`, and says what a user should know
/// about it.
pub fn open(path: &Path, base: Option<&Path>) -> anyhow::Result<Checkpoint> {
    let checkpoint = Checkpoint::open_with_base(path, base)?;
    for remark in checkpoint.remarks() {
        eprintln!("{}: {}: {}", remark.kind(), checkpoint.name(), remark.text);
    }
    Ok(checkpoint)
}

/// SHA-256 of every file of the checkpoint, by its name there: what a hub's cache calls the file it links to
/// doesn't matter.
pub fn hashes(checkpoint: &Checkpoint) -> anyhow::Result<BTreeMap<String, String>> {
    let hash = |path: &Path| -> io::Result<(String, String)> {
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, format!("{:x}", hasher.finalize())))
    };
    checkpoint.files().map(|path| hash(path).with_context(|| path.display().to_string())).collect()
}
