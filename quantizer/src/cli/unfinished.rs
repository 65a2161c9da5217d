//! What an unfinished run leaves beside the model file that it was to write.

use std::io;
use std::path::{Path, PathBuf};

use quantizer::calibrate::CalibrationError;
use quantizer::encode::{EncodeError, RECORDS};
use quantizer::work::Work;

/// The folder of a run that is to write `out`.
pub fn folder(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".work");
    out.with_file_name(name)
}

/// Keeps `work` if the same command could go on with it later; what the checkpoint itself is to blame for
/// would fail again.
pub fn end(error: anyhow::Error, work: Work, folder: &Path) -> anyhow::Error {
    let is_kept = error.chain().any(|cause| cause.is::<io::Error>())
        || matches!(error.downcast_ref(), Some(CalibrationError::Work(_)))
        || matches!(error.downcast_ref(), Some(EncodeError::Work(_)));
    if is_kept {
        eprintln!("note: what is done is kept in {}; the same command goes on from there", folder.display());
    } else if let Err(error) = work.remove(&RECORDS) {
        eprintln!("note: {error}");
    }
    error
}
