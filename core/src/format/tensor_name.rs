//! A tensor's name that errors can carry without a heap.

use core::fmt;

/// The longest tensor name in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A tensor's name by value, at most 64 bytes, so that an error can name the tensor and stay `Copy`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TensorName {
    bytes: [u8; MAX_NAME_BYTES],
    length: u8,
}

impl TensorName {
    /// The name.
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|used| core::str::from_utf8(used).ok())
            .unwrap_or("")
    }
}

/// Keeps as many whole characters as fit [`MAX_NAME_BYTES`]; no tensor of a model file has a longer name.
impl From<&str> for TensorName {
    fn from(name: &str) -> Self {
        let length = name.floor_char_boundary(MAX_NAME_BYTES);
        let mut bytes = [0; MAX_NAME_BYTES];
        for (to, from) in bytes.iter_mut().zip(name.bytes().take(length)) {
            *to = from;
        }
        Self { bytes, length: length as u8 }
    }
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
