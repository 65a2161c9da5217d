//! Names of tensors.

use super::error::FormatError;
use super::tensor_name::MAX_NAME_BYTES;
use core::fmt::Write;

/// The name `prefix.part`, as the parts of a model spell their tensors' names.
///
/// # Errors
/// [`FormatError::MissingTensor`] for a name longer than [`MAX_NAME_BYTES`]: no file has such a tensor.
pub fn join(prefix: &str, part: &str) -> Result<heapless::String<MAX_NAME_BYTES>, FormatError> {
    let mut name = heapless::String::new();
    for piece in [prefix, ".", part] {
        name.push_str(piece).map_err(|_| FormatError::missing_tensor(prefix))?;
    }
    Ok(name)
}

/// The name `{before}{index}{after}`: that of a layer, block or site with a number.
///
/// # Errors
/// [`FormatError::MissingTensor`] for a name longer than [`MAX_NAME_BYTES`]: no file has such a tensor.
pub fn numbered(
    before: &str,
    index: usize,
    after: &str,
) -> Result<heapless::String<MAX_NAME_BYTES>, FormatError> {
    let mut name = heapless::String::new();
    write!(name, "{before}{index}{after}").map_err(|_| FormatError::missing_tensor(before))?;
    Ok(name)
}
