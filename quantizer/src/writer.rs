//! Writing model files (`docs/FORMAT.md`): collects named tensors, then lays them out as core reads them.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use foldpoint_core::format::{
    ALIGNMENT, DType, ENTRY_BYTES, Entry, HEADER_BYTES, Header, Shape, checksum, name_is_valid,
    payload_length,
};

/// Why a tensor can't be added, or a file not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name isn't 1 to 64 printable ASCII characters.
    #[error("{name:?} can't be a tensor's name: 1 to 64 printable ASCII characters are needed")]
    Name {
        /// The name.
        name: String,
    },
    /// A tensor of this name was added before.
    #[error("tensor {name} is there already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The shape isn't 1 to 4 extents of 32 bits.
    #[error("tensor {name}: shape {shape:?} is not 1 to 4 extents below 2^32")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The number of bytes isn't the one that follows from type and shape.
    #[error("tensor {name}: {dtype} of shape {shape:?} does not take {found} bytes")]
    Length {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: DType,
        /// Its shape.
        shape: Vec<usize>,
        /// Number of bytes given.
        found: usize,
    },
    /// There are 2^32 tensors or more.
    #[error("{count} tensors are more than a model file can hold")]
    TooMany {
        /// Number of tensors.
        count: usize,
    },
    /// The file can't be written.
    #[error("can't write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Collects the tensors of a model file, in any order: the same tensors always give the same bytes.
#[derive(Debug, Default)]
pub struct ModelWriter {
    /// By name, in byte order as the directory must be.
    tensors: BTreeMap<String, Payload>,
}

#[derive(Debug)]
struct Payload {
    dtype: DType,
    shape: Shape,
    bytes: Vec<u8>,
}

macro_rules! typed_adds {
    ($($method:ident: $element:ty => $dtype:ident),*) => {$(
        #[doc = concat!("Adds a tensor of `", stringify!($element), "`, row-major. See [`add`](Self::add).")]
        ///
        /// # Errors
        /// Those of [`add`](Self::add).
        pub fn $method(&mut self, name: &str, shape: &[usize], values: Vec<$element>) -> Result<(), WriteError> {
            let bytes = values.into_iter().flat_map(<$element>::to_le_bytes).collect();
            self.add(name, DType::$dtype, shape, bytes)
        }
    )*};
}

impl ModelWriter {
    /// A writer without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor: `bytes` are its elements, row-major and little-endian. Nothing is added on an error.
    ///
    /// # Errors
    /// [`WriteError::Name`], [`Duplicate`](WriteError::Duplicate), [`Shape`](WriteError::Shape) or
    /// [`Length`](WriteError::Length).
    pub fn add(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Result<(), WriteError> {
        if !name_is_valid(name) {
            return Err(WriteError::Name { name: name.to_owned() });
        }
        if self.tensors.contains_key(name) {
            return Err(WriteError::Duplicate { name: name.to_owned() });
        }
        let Some(stored_shape) = Shape::new(shape) else {
            return Err(WriteError::Shape { name: name.to_owned(), shape: shape.to_owned() });
        };
        if payload_length(dtype, &stored_shape) != Some(bytes.len() as u64) {
            let (name, shape, found) = (name.to_owned(), shape.to_owned(), bytes.len());
            return Err(WriteError::Length { name, dtype, shape, found });
        }
        self.tensors.insert(name.to_owned(), Payload { dtype, shape: stored_shape, bytes });
        Ok(())
    }

    typed_adds!(
        add_i8: i8 => I8, add_u8: u8 => U8, add_i16: i16 => I16, add_u16: u16 => U16,
        add_i32: i32 => I32, add_u32: u32 => U32, add_i64: i64 => I64
    );

    /// The whole file.
    ///
    /// # Errors
    /// [`WriteError::TooMany`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let mut file = self.index()?;
        for payload in self.tensors.values() {
            file.extend_from_slice(&payload.bytes);
            file.extend_from_slice(payload.padding());
        }
        Ok(file)
    }

    /// Writes the file whole or not at all: into a temporary file in the same folder, which is synced and
    /// then takes the place of whatever `path` was.
    ///
    /// # Errors
    /// [`WriteError::Io`], whereupon `path` is as it was before, or [`WriteError::TooMany`].
    pub fn write_to(&self, path: &Path) -> Result<(), WriteError> {
        let index = self.index()?;
        self.replace(path, &index).map_err(|source| WriteError::Io { path: path.to_owned(), source })
    }

    fn replace(&self, path: &Path, index: &[u8]) -> io::Result<()> {
        // The parent of a bare file name is "", which names no folder.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temporary = temporary_file(folder)?;
        let mut out = BufWriter::new(temporary.as_file_mut());
        out.write_all(index)?;
        for payload in self.tensors.values() {
            out.write_all(&payload.bytes)?;
            out.write_all(payload.padding())?;
        }
        out.flush()?;
        drop(out);
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        Ok(())
    }

    /// Header and directory.
    fn index(&self) -> Result<Vec<u8>, WriteError> {
        let count = self.tensors.len();
        let tensor_count = u32::try_from(count).map_err(|_| WriteError::TooMany { count })?;
        let mut end = (HEADER_BYTES + count * ENTRY_BYTES) as u64;
        let mut directory = Vec::with_capacity(count * ENTRY_BYTES);
        for (name, payload) in &self.tensors {
            let length = payload.bytes.len() as u64;
            let entry = Entry {
                name,
                offset: end,
                length,
                shape: payload.shape,
                checksum: checksum(&payload.bytes),
                dtype: payload.dtype,
            };
            directory.extend_from_slice(&entry.encode());
            end += length + payload.padding().len() as u64;
        }
        let header = Header { tensor_count, file_length: end, directory_checksum: checksum(&directory) };
        let mut index = header.encode().to_vec();
        index.append(&mut directory);
        Ok(index)
    }
}

impl Payload {
    /// The zero bytes from the payload's end to the next multiple of 64: payloads begin at one.
    fn padding(&self) -> &'static [u8] {
        const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];
        &ZEROS[..self.bytes.len().next_multiple_of(ALIGNMENT) - self.bytes.len()]
    }
}

/// A temporary file that others may read as far as the user's umask lets them, as they may read any new file.
fn temporary_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".model-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests;
