//! What can be wrong with a model file.

use super::dtype::DType;
use super::shape::Shape;
use super::tensor_name::TensorName;

/// Why a byte slice isn't the model file that the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// There are no bytes at all.
    #[error("the model file is empty (0 bytes)")]
    Empty,
    /// The file doesn't begin with [`MAGIC`](super::MAGIC).
    #[error("not a Foldpoint model file (it does not begin with \"FOLDPNT\")")]
    NotAModel,
    /// The file is of another format version.
    #[error("model format version {found} is not supported (this program reads version {supported})")]
    UnsupportedVersion {
        /// The file's version.
        found: u32,
        /// The version that this reader understands.
        supported: u32,
    },
    /// The file is shorter than it says, or than its header.
    #[error("the model file is truncated: {expected} bytes expected, {actual} found")]
    Truncated {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that are.
        actual: u64,
    },
    /// The slice is longer than the file says (see [`stored_length`](super::ModelFile::stored_length)).
    #[error("the model file has bytes after its end: {expected} bytes expected, {actual} found")]
    TrailingBytes {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that are.
        actual: u64,
    },
    /// The header is damaged.
    #[error("the model file's header is damaged (checksum mismatch)")]
    HeaderChecksum,
    /// The header is intact and contradicts itself or the directory: a faulty writer.
    #[error("the model file's header is invalid: {reason}")]
    BadHeader {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The directory is damaged.
    #[error("the model file's directory is damaged (checksum mismatch)")]
    DirectoryChecksum,
    /// A directory entry is intact and invalid: a faulty writer.
    #[error("directory entry {index} of the model file is invalid: {reason}")]
    BadEntry {
        /// Place of the entry in the directory, from 0.
        index: u32,
        /// What is wrong with it.
        reason: EntryFault,
    },
    /// A tensor's bytes are damaged.
    #[error("tensor {tensor} is damaged (checksum mismatch)")]
    PayloadChecksum {
        /// The tensor.
        tensor: TensorName,
    },
    /// The bytes that fill up to the next multiple of 64 after a tensor aren't zero.
    #[error("the padding after tensor {tensor} is not zero")]
    NonZeroPadding {
        /// The tensor before the padding.
        tensor: TensorName,
    },
    /// The caller's slice begins at an address at which the tensor can't be viewed in place.
    #[error(
        "tensor {tensor} lies at an address that is not a multiple of {needed}: load the model file aligned to 64 bytes"
    )]
    Misaligned {
        /// The tensor.
        tensor: TensorName,
        /// Alignment of its elements in bytes.
        needed: usize,
    },
    /// The model lacks a tensor.
    #[error("the model file has no tensor {tensor}")]
    MissingTensor {
        /// Its name.
        tensor: TensorName,
    },
    /// A tensor has another element type than the one asked for.
    #[error("tensor {tensor} has elements of type {found}, expected {expected}")]
    WrongType {
        /// The tensor.
        tensor: TensorName,
        /// The type asked for.
        expected: DType,
        /// The type in the file.
        found: DType,
    },
    /// A tensor has another shape than the one asked for.
    #[error("tensor {tensor} has shape {found}, expected {expected}")]
    WrongShape {
        /// The tensor.
        tensor: TensorName,
        /// The shape asked for.
        expected: Shape,
        /// The shape in the file.
        found: Shape,
    },
    /// A tensor is intact and holds a value that its reader can't accept (a configuration or codec out of
    /// range).
    #[error("tensor {tensor} holds an invalid value: {what}")]
    BadValue {
        /// The tensor.
        tensor: TensorName,
        /// Which value, and what it may be.
        what: &'static str,
    },
}

impl FormatError {
    /// [`FormatError::MissingTensor`] for the tensor with this name.
    pub fn missing_tensor(tensor: &str) -> Self {
        Self::MissingTensor { tensor: tensor.into() }
    }

    /// [`FormatError::BadValue`] for the tensor with this name.
    pub fn bad_value(tensor: &str, what: &'static str) -> Self {
        Self::BadValue { tensor: tensor.into(), what }
    }
}

/// What is wrong with a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// The name isn't 1 to 64 printable ASCII characters followed by zero bytes.
    #[error("its name is not 1 to 64 printable ASCII characters followed by zero bytes")]
    Name,
    /// The name isn't greater than the one before it.
    #[error("its name does not come after the name before it")]
    Order,
    /// The element type is unknown.
    #[error("element type {0} is unknown")]
    Type(u8),
    /// The rank is not 1 to 4, or an extent beyond the rank isn't zero.
    #[error("its rank is not 1 to 4, or an extent beyond its rank is not zero")]
    Shape,
    /// The length in bytes isn't the one that follows from type and shape.
    #[error("its length does not follow from its type and shape")]
    Length,
    /// The payload doesn't begin at the next multiple of 64 after what is before it.
    #[error("its payload does not begin at the next multiple of 64 after what is before it")]
    Offset,
    /// The payload doesn't end within the file.
    #[error("its payload does not end within the file")]
    OutOfFile,
    /// The reserved bytes aren't zero.
    #[error("its reserved bytes are not zero")]
    Reserved,
}
