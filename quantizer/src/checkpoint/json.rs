//! JSON files beside the weights.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{CheckpointError, foreign};

/// What some editors put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What Python's `json` writes for numbers that JSON doesn't have.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Reads the file at `path`.
///
/// # Errors
/// It can't be read, is something else (a pointer of Git LFS, a web page), or isn't what was expected.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = std::fs::read(path).map_err(|source| CheckpointError::Io { path: path.into(), source })?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let not_json = |reason| CheckpointError::NotACheckpoint { path: path.into(), reason };
    if let Some(what) = foreign::beginning(text) {
        return Err(not_json(format!("it is {what}")));
    }
    serde_json::from_slice(text).map_err(|source| match no_number(text, &source) {
        Some(found) => not_json(format!(
            "{found} in line {} is no number of JSON (Python writes it); expected a finite one",
            source.line()
        )),
        None => CheckpointError::Json { path: path.into(), source },
    })
}

/// The value of [`NO_NUMBERS`] that `error` is about.
fn no_number(text: &[u8], error: &serde_json::Error) -> Option<&'static str> {
    let line = text.split(|&byte| byte == b'\n').nth(error.line().checked_sub(1)?)?;
    // The column is that of the character that can't be, somewhere in the value.
    let before = &line[..error.column().min(line.len())];
    let start = before.iter().rposition(|byte| b":,[ \t".contains(byte)).map_or(0, |at| at + 1);
    let value = &line[start..];
    NO_NUMBERS.into_iter().find(|name| value.starts_with(name.as_bytes()))
}
