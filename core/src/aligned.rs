//! Memory at the addresses that core needs: model files and arenas begin at a multiple of
//! [`ALIGN`](crate::ALIGN) bytes.

/// A value at a multiple of 64 bytes: `static mut` or local arenas, and model files in the binary
/// ([`include_model!`](crate::include_model)).
///
/// ```
/// use foldpoint_core::{ALIGN, Aligned};
///
/// let mut arena = Aligned([0u8; 4096]);
/// assert!(arena.0.as_mut_ptr().addr().is_multiple_of(ALIGN));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// The bytes of a model file, put into the binary where [`ModelFile::parse`](crate::format::ModelFile::parse)
/// can read them in place; the path is that of `include_bytes!`.
///
/// ```
/// use foldpoint_core::format::ModelFile;
///
/// static MODEL: &[u8] = foldpoint_core::include_model!("../../examples/bare-metal/tiny.fpm");
/// let file = ModelFile::parse(MODEL)?;
/// assert!(file.tensor_count() > 0);
/// # Ok::<(), foldpoint_core::format::FormatError>(())
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        static MODEL: &$crate::Aligned<[u8]> = &$crate::Aligned(*::core::include_bytes!($path));
        &MODEL.0
    }};
}

/// Aligned bytes on the heap. As any `Vec`, they panic or abort the process where there is not so much memory.
#[cfg(any(test, feature = "std"))]
#[derive(Debug, Default)]
pub struct AlignedBytes {
    storage: std::vec::Vec<u8>,
    start: usize,
    length: usize,
}

#[cfg(any(test, feature = "std"))]
impl AlignedBytes {
    /// `length` times `byte`.
    pub fn filled(length: usize, byte: u8) -> Self {
        use crate::arena::ALIGN;
        let storage = std::vec![byte; length.saturating_add(ALIGN - 1)];
        let address = storage.as_ptr().addr();
        Self { start: address.next_multiple_of(ALIGN) - address, storage, length }
    }

    /// `length` zeros.
    pub fn zeroed(length: usize) -> Self {
        Self::filled(length, 0)
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.bytes_mut().copy_from_slice(bytes);
        copy
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start..][..self.length]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..][..self.length]
    }
}

#[cfg(any(test, feature = "std"))]
impl Clone for AlignedBytes {
    /// Other memory is aligned otherwise: its bytes begin elsewhere in it.
    fn clone(&self) -> Self {
        Self::copy_of(self.bytes())
    }
}
