//! Names of tensors.

use super::tensor_name::MAX_NAME_BYTES;
use core::fmt::Write;
use heapless::String;

/// A tensor's name while the tensor is looked up.
pub type Name = String<MAX_NAME_BYTES>;

/// The name `prefix.part`, as the parts of a model spell their tensors' names.
pub fn join(prefix: &str, part: &str) -> Name {
    let mut name = Name::new();
    let fits = [prefix, ".", part].iter().all(|piece| name.push_str(piece).is_ok());
    if fits { name } else { cut(name) }
}

/// The name `{before}{index}{after}`: that of a layer, block or site with a number.
pub fn numbered(before: &str, index: usize, after: &str) -> Name {
    let mut name = Name::new();
    let fits = write!(name, "{before}{index}{after}").is_ok();
    if fits { name } else { cut(name) }
}

/// What became of a name that is longer than [`MAX_NAME_BYTES`]. No file has a tensor of that name, nor of
/// this one: what it ends with isn't ASCII.
#[cold]
fn cut(mut name: Name) -> Name {
    const END: &str = "\u{2026}";
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES - END.len()));
    // There is room for it.
    let _ = name.push_str(END);
    name
}
