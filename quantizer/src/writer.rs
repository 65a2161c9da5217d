//! Writing model files (`docs/FORMAT.md`): collects named tensors, then lays them out as core reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use foldpoint_core::format::{
    ALIGNMENT, DType, ENTRY_BYTES, Entry, HEADER_BYTES, Header, Shape, checksum, name_is_valid,
    payload_length,
};
use serde::{Deserialize, Serialize};

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
    /// A tensor can't be kept in the file that tensors wait in.
    #[error("can't keep tensors: {0}")]
    Kept(#[source] io::Error),
    /// A tensor that waited in a file isn't what it was.
    #[error("tensor {name}, kept in a file, isn't as it was written")]
    Damaged {
        /// The tensor.
        name: String,
    },
}

/// Collects the tensors of a model file, in any order: the same tensors always give the same bytes.
#[derive(Debug, Default)]
pub struct ModelWriter {
    /// By name, in byte order as the directory must be.
    tensors: BTreeMap<String, Payload>,
    /// Where payloads wait, if not in memory: those of a large model are larger than it.
    file: Option<File>,
}

#[derive(Debug)]
struct Payload {
    dtype: DType,
    shape: Shape,
    length: u64,
    checksum: u32,
    data: Data,
}

/// Where the bytes of a payload are.
#[derive(Debug)]
enum Data {
    Memory(Vec<u8>),
    /// In the writer's file, from this byte on.
    File(u64),
}

/// A tensor in the file that a writer keeps its payloads in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    name: String,
    dtype: u8,
    shape: Vec<usize>,
    offset: u64,
    length: u64,
    checksum: u32,
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

    /// A writer that keeps payloads behind the end of `file` instead of in memory.
    pub fn keeping_in(file: File) -> Self {
        Self { tensors: BTreeMap::new(), file: Some(file) }
    }

    /// Where the tensors that `names` says are in the writer's file.
    pub fn kept(&self, mut names: impl FnMut(&str) -> bool) -> Vec<Kept> {
        let place = |(name, payload): (&String, &Payload)| match payload.data {
            Data::Memory(_) => None,
            Data::File(offset) => Some(Kept {
                name: name.clone(),
                dtype: payload.dtype.code(),
                shape: payload.shape.dims().iter().map(|&extent| extent as usize).collect(),
                offset,
                length: payload.length,
                checksum: payload.checksum,
            }),
        };
        self.tensors.iter().filter(|(name, _)| names(name)).filter_map(place).collect()
    }

    /// Adds a tensor that an earlier writer has left in the file.
    ///
    /// # Errors
    /// As [`add`](Self::add); also if it is not of this version's types.
    pub fn restore(&mut self, kept: Kept) -> Result<(), WriteError> {
        let Kept { name, dtype, shape, offset, length, checksum } = kept;
        let dtype = DType::from_code(dtype).ok_or_else(|| WriteError::Damaged { name: name.clone() })?;
        let shape = self.check(&name, dtype, &shape, length)?;
        self.tensors.insert(name, Payload { dtype, shape, length, checksum, data: Data::File(offset) });
        Ok(())
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
        let length = bytes.len() as u64;
        let shape = self.check(name, dtype, shape, length)?;
        let checksum = checksum(&bytes);
        let data = match &mut self.file {
            None => Data::Memory(bytes),
            Some(file) => Data::File(append(file, &bytes).map_err(WriteError::Kept)?),
        };
        self.tensors.insert(name.to_owned(), Payload { dtype, shape, length, checksum, data });
        Ok(())
    }

    /// The shape as it is stored, if such a tensor can be added.
    fn check(&self, name: &str, dtype: DType, shape: &[usize], length: u64) -> Result<Shape, WriteError> {
        if !name_is_valid(name) {
            return Err(WriteError::Name { name: name.to_owned() });
        }
        if self.tensors.contains_key(name) {
            return Err(WriteError::Duplicate { name: name.to_owned() });
        }
        let Some(stored) = Shape::new(shape) else {
            return Err(WriteError::Shape { name: name.to_owned(), shape: shape.to_owned() });
        };
        if payload_length(dtype, &stored) != Some(length) {
            let (name, shape) = (name.to_owned(), shape.to_owned());
            return Err(WriteError::Length { name, dtype, shape, found: length as usize });
        }
        Ok(stored)
    }

    typed_adds!(
        add_i8: i8 => I8, add_u8: u8 => U8, add_i16: i16 => I16, add_u16: u16 => U16,
        add_i32: i32 => I32, add_u32: u32 => U32, add_i64: i64 => I64
    );

    /// The whole file.
    ///
    /// # Errors
    /// [`WriteError::TooMany`]; or tensors that wait in a file can't be read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let mut bytes = Vec::new();
        self.lay_out(&mut bytes, Path::new(""))?;
        Ok(bytes)
    }

    /// Writes the file whole or not at all: into a temporary file in the same folder, which is synced and
    /// then takes the place of whatever `path` was.
    ///
    /// # Errors
    /// [`WriteError::Io`], whereupon `path` is as it was before, or those of [`to_bytes`](Self::to_bytes).
    pub fn write_to(&self, path: &Path) -> Result<(), WriteError> {
        // The parent of a bare file name is "", which names no folder.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.write_through(folder, path)
    }

    /// As [`write_to`](Self::write_to), with the temporary file in `folder`, which is on the same disk: there
    /// a kill leaves it.
    ///
    /// # Errors
    /// As [`write_to`](Self::write_to).
    pub fn write_through(&self, folder: &Path, path: &Path) -> Result<(), WriteError> {
        let fault = |source| WriteError::Io { path: path.to_owned(), source };
        let mut temporary = temporary_file(folder).map_err(fault)?;
        let mut out = BufWriter::new(temporary.as_file_mut());
        self.lay_out(&mut out, path)?;
        out.flush().map_err(fault)?;
        drop(out);
        temporary.as_file().sync_all().map_err(fault)?;
        temporary.persist(path).map_err(|error| fault(error.error))?;
        Ok(())
    }

    /// Writes the file to `out`, which is `path` in messages.
    fn lay_out(&self, out: &mut dyn Write, path: &Path) -> Result<(), WriteError> {
        let fault = |source| WriteError::Io { path: path.to_owned(), source };
        out.write_all(&self.index()?).map_err(fault)?;
        for (name, payload) in &self.tensors {
            match (&payload.data, &self.file) {
                (Data::Memory(bytes), _) => out.write_all(bytes).map_err(fault)?,
                (Data::File(offset), Some(file)) => {
                    let bytes = read(file, *offset, payload.length).map_err(WriteError::Kept)?;
                    if checksum(&bytes) != payload.checksum {
                        return Err(WriteError::Damaged { name: name.clone() });
                    }
                    out.write_all(&bytes).map_err(fault)?;
                }
                (Data::File(_), None) => return Err(WriteError::Damaged { name: name.clone() }),
            }
            out.write_all(payload.padding()).map_err(fault)?;
        }
        Ok(())
    }

    /// Header and directory.
    fn index(&self) -> Result<Vec<u8>, WriteError> {
        let count = self.tensors.len();
        let tensor_count = u32::try_from(count).map_err(|_| WriteError::TooMany { count })?;
        let mut end = (HEADER_BYTES + count * ENTRY_BYTES) as u64;
        let mut directory = Vec::with_capacity(count * ENTRY_BYTES);
        for (name, payload) in &self.tensors {
            let Payload { dtype, shape, length, checksum, .. } = *payload;
            let entry = Entry { name, offset: end, length, shape, checksum, dtype };
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
        let length = self.length as usize;
        &ZEROS[..length.next_multiple_of(ALIGNMENT) - length]
    }
}

/// Adds `bytes` behind the end of `file`; returns where they begin.
fn append(file: &mut File, bytes: &[u8]) -> io::Result<u64> {
    let offset = file.seek(SeekFrom::End(0))?;
    file.write_all(bytes)?;
    Ok(offset)
}

fn read(mut file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
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
