//! The model file, read in place.
//!
//! A model file is a header, a directory sorted by name, and the tensors' bytes, each tensor at a multiple of
//! 64 bytes; `docs/FORMAT.md` has it byte by byte. [`ModelFile`] is a view over the caller's bytes (a memory
//! map, an embedded file, flash): it copies nothing, and no bytes, however damaged or hostile, make it panic
//! or read out of bounds.
//!
//! ```
//! use foldpoint_core::format::{FormatError, Header, ModelFile, checksum};
//!
//! let no_tensors = Header { tensor_count: 0, file_length: 64, directory_checksum: checksum(&[]) }.encode();
//! let file = ModelFile::parse(&no_tensors)?;
//! assert_eq!(file.verify(), Ok(()));
//! assert_eq!(file.u32s("lm.config", &[16]), Err(FormatError::missing_tensor("lm.config")));
//! # Ok::<(), FormatError>(())
//! ```

mod cursor;
mod directory;
mod dtype;
mod error;
mod fault;
mod header;
mod names;
mod shape;
mod tensor_name;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use fault::Fault;

pub use directory::{ENTRY_BYTES, Entry, name_is_valid, payload_length};
pub use dtype::{DType, Element};
pub use error::{EntryFault, FormatError};
pub use header::{ALIGNMENT, HEADER_BYTES, Header, MAGIC, VERSION, checksum};
pub(crate) use names::{Name, join, numbered};
pub use shape::{MAX_RANK, Shape};
pub use tensor_name::{MAX_NAME_BYTES, TensorName};

#[cfg(not(target_endian = "little"))]
compile_error!("model files are little-endian and read in place: big-endian targets are not supported");

/// A model file whose header and directory have been checked.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile<'a> {
    bytes: &'a [u8],
    directory: &'a [[u8; ENTRY_BYTES]],
}

/// One tensor of a model file.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of its elements.
    pub dtype: DType,
    /// Its elements, row-major and little-endian.
    pub bytes: &'a [u8],
    shape: Shape,
    checksum: u32,
    padding: &'a [u8],
}

impl<'a> ModelFile<'a> {
    /// Checks magic, version, length, the checksums of header and directory, and every entry's name, order,
    /// type, size and place. Reads no tensor, so that it is cheap on a mapped file: see
    /// [`verify`](Self::verify).
    ///
    /// `bytes` must be the whole file and nothing else. It need not be aligned; but where it isn't, views of
    /// elements wider than a byte are [`FormatError::Misaligned`].
    ///
    /// # Errors
    /// Any [`FormatError`] but those that name a tensor.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let header = Header::decode(bytes)?;
        let (expected, actual) = (header.file_length, bytes.len() as u64);
        if actual < expected {
            return Err(FormatError::Truncated { expected, actual });
        }
        if actual > expected {
            return Err(FormatError::TrailingBytes { expected, actual });
        }
        let directory = directory_of(bytes, header.tensor_count)
            .ok_or(FormatError::BadHeader { reason: "the directory does not fit the file" })?;
        if checksum(directory.as_flattened()) != header.directory_checksum {
            return Err(FormatError::DirectoryChecksum);
        }
        let file = Self { bytes, directory };
        if file.check_entries()? != expected {
            return Err(FormatError::BadHeader { reason: "the file does not end with its last tensor" });
        }
        Ok(file)
    }

    /// Length in bytes of the model file that begins `bytes`, read from its header alone: for a caller who
    /// has a whole flash region and must hand [`parse`](Self::parse) the file in it.
    ///
    /// # Errors
    /// Those of a header that can't be read.
    pub fn stored_length(bytes: &[u8]) -> Result<u64, FormatError> {
        Header::decode(bytes).map(|header| header.file_length)
    }

    /// Reads every tensor and checks its checksum and the padding after it. With [`parse`](Self::parse) this
    /// covers every byte of the file.
    ///
    /// # Errors
    /// [`FormatError::PayloadChecksum`] or [`FormatError::NonZeroPadding`] for the first bad tensor.
    pub fn verify(&self) -> Result<(), FormatError> {
        self.tensors().try_for_each(|tensor| tensor.verify())
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.directory.len()
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Every tensor, in file order, which is the byte order of the names.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'a>> + use<'a> {
        let bytes = self.bytes;
        self.directory.iter().filter_map(move |block| Tensor::locate(bytes, &Entry::decode(block).ok()?))
    }

    /// The tensor with this name, found by binary search.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'a>> {
        let at = |block: &[u8; ENTRY_BYTES]| directory::compare_name(block, name);
        let place = name_is_valid(name).then(|| self.directory.binary_search_by(at).ok())??;
        Tensor::locate(self.bytes, &Entry::decode(self.directory.get(place)?).ok()?)
    }

    /// The tensors whose names begin so. Where many of them are wanted, this finds them among few, which lie
    /// together, not each one among all: between layers the directory leaves the caches.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        let prefix = prefix.as_bytes();
        let start = self.directory.partition_point(|block| directory::stored_name(block) < prefix);
        let rest = self.directory.get(start..).unwrap_or_default();
        let count = rest.iter().take_while(|block| directory::stored_name(block).starts_with(prefix)).count();
        Self { bytes: self.bytes, directory: rest.get(..count).unwrap_or_default() }
    }

    /// The tensor with this name.
    ///
    /// # Errors
    /// [`FormatError::MissingTensor`].
    pub fn required(&self, name: &str) -> Result<Tensor<'a>, FormatError> {
        self.tensor(name).ok_or_else(|| FormatError::missing_tensor(name))
    }

    /// The elements of the tensor with this name, type and shape, in place.
    ///
    /// # Errors
    /// [`MissingTensor`](FormatError::MissingTensor), [`WrongType`](FormatError::WrongType),
    /// [`WrongShape`](FormatError::WrongShape) or [`Misaligned`](FormatError::Misaligned), each with the
    /// name.
    pub fn values<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&'a [T], FormatError> {
        self.view(name, shape).map_err(|fault| {
            let found = self.tensor(name).map(|tensor| (tensor.dtype, tensor.shape));
            fault.of(name, found, shape)
        })
    }

    /// The elements of the tensor `name.part`. Never inlined, as [`part_list`](Self::part_list) isn't: the
    /// joined name and the ways in which it may be refused are on the stack for one tensor at a time.
    #[inline(never)]
    pub(crate) fn part<T: Element>(
        &self,
        name: &str,
        part: &str,
        shape: &[usize],
    ) -> Result<&'a [T], FormatError> {
        self.values(&join(name, part), shape)
    }

    /// The elements of the tensor `name.part` of one dimension, however long.
    #[inline(never)]
    pub(crate) fn part_list<T: Element>(&self, name: &str, part: &str) -> Result<&'a [T], FormatError> {
        self.list(&join(name, part))
    }

    /// The entries of the tensors `name.*` alone.
    #[inline(never)]
    pub(crate) fn parts_of(&self, name: &str) -> Self {
        self.under(&join(name, ""))
    }

    /// As [`values`](Self::values), for a tensor of one dimension, however long.
    fn list<T: Element>(&self, name: &str) -> Result<&'a [T], FormatError> {
        let length = self.tensor(name).and_then(|tensor| tensor.shape().first().copied());
        self.values(name, &[length.unwrap_or_default() as usize])
    }

    #[inline(never)]
    fn view<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&'a [T], Fault> {
        let tensor = self.tensor(name).ok_or(Fault::Missing)?;
        let values = tensor.view()?;
        if tensor.shape.matches(shape) { Ok(values) } else { Err(Fault::Shape) }
    }

    /// Adds up where each payload must lie, checks that it does, and returns where the file must end.
    fn check_entries(&self) -> Result<u64, FormatError> {
        let mut end = (HEADER_BYTES + self.directory.as_flattened().len()) as u64;
        let mut previous: &[u8] = &[];
        for (index, block) in self.directory.iter().enumerate() {
            let fault = |reason| FormatError::BadEntry { index: index as u32, reason };
            let entry = Entry::decode(block).map_err(fault)?;
            let name = directory::stored_name(block);
            if name <= previous {
                return Err(fault(EntryFault::Order));
            }
            if entry.offset != end {
                return Err(fault(EntryFault::Offset));
            }
            end = padded_end(&entry)
                .filter(|&end| end <= self.bytes.len() as u64)
                .ok_or(fault(EntryFault::OutOfFile))?;
            previous = name;
        }
        Ok(end)
    }
}

macro_rules! typed_views {
    ($($method:ident: $element:ty),*) => {
        /// One method for each element type: [`ModelFile::values`] spelled shorter, with its errors.
        impl<'a> ModelFile<'a> {$(
            #[doc = concat!("The `", stringify!($element), "` elements of the tensor with this name and shape, in place.")]
            ///
            /// # Errors
            /// Those of [`values`](Self::values).
            pub fn $method(&self, name: &str, shape: &[usize]) -> Result<&'a [$element], FormatError> {
                self.values(name, shape)
            }
        )*}
    };
}

typed_views!(i8s: i8, u8s: u8, i16s: i16, u16s: u16, i32s: i32, u32s: u32, i64s: i64);

impl<'a> Tensor<'a> {
    /// Extents, outermost first.
    pub fn shape(&self) -> &[u32] {
        self.shape.dims()
    }

    /// The elements in place, whatever the shape.
    ///
    /// # Errors
    /// [`WrongType`](FormatError::WrongType) or [`Misaligned`](FormatError::Misaligned).
    pub fn values<T: Element>(&self) -> Result<&'a [T], FormatError> {
        self.view().map_err(|fault| fault.of(self.name, Some((self.dtype, self.shape)), &[]))
    }

    fn view<T: Element>(&self) -> Result<&'a [T], Fault> {
        if self.dtype != T::DTYPE {
            return Err(Fault::Type(T::DTYPE));
        }
        // The length is a multiple of the element's size, or parse would have refused it: only the address is
        // left.
        bytemuck::try_cast_slice(self.bytes).map_err(|_| Fault::Alignment(align_of::<T>()))
    }

    /// Checks this tensor's checksum and the padding after it.
    ///
    /// # Errors
    /// [`FormatError::PayloadChecksum`] or [`FormatError::NonZeroPadding`].
    pub fn verify(&self) -> Result<(), FormatError> {
        if checksum(self.bytes) != self.checksum {
            return Err(FormatError::PayloadChecksum { tensor: self.name.into() });
        }
        if self.padding.iter().any(|&byte| byte != 0) {
            return Err(FormatError::NonZeroPadding { tensor: self.name.into() });
        }
        Ok(())
    }

    fn locate(file: &'a [u8], entry: &Entry<'a>) -> Option<Self> {
        let start = usize::try_from(entry.offset).ok()?;
        let padded = file.get(start..usize::try_from(padded_end(entry)?).ok()?)?;
        let (bytes, padding) = padded.split_at_checked(usize::try_from(entry.length).ok()?)?;
        Some(Self {
            name: entry.name,
            dtype: entry.dtype,
            bytes,
            shape: entry.shape,
            checksum: entry.checksum,
            padding,
        })
    }
}

/// Where the payload and its padding end, in bytes from the start of the file.
fn padded_end(entry: &Entry<'_>) -> Option<u64> {
    entry.offset.checked_add(entry.length)?.checked_next_multiple_of(ALIGNMENT as u64)
}

fn directory_of(bytes: &[u8], tensor_count: u32) -> Option<&[[u8; ENTRY_BYTES]]> {
    let length = usize::try_from(tensor_count).ok()?.checked_mul(ENTRY_BYTES)?;
    let (blocks, _) = bytes.get(HEADER_BYTES..)?.get(..length)?.as_chunks();
    Some(blocks)
}
