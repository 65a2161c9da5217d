//! The checkpoint that a command works on.

use std::path::Path;

use quantizer::checkpoint::Checkpoint;

/// Opens the checkpoint at `path`, an adapter with the weights in `base`, and says what a user should know about it.
pub fn open(path: &Path, base: Option<&Path>) -> anyhow::Result<Checkpoint> {
    let checkpoint = Checkpoint::open_with_base(path, base)?;
    for remark in checkpoint.remarks() {
        eprintln!("{}: {}: {}", remark.kind(), checkpoint.name(), remark.text);
    }
    Ok(checkpoint)
}
