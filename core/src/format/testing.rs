//! Model files for tests.

use super::{ALIGNMENT, DType, ENTRY_BYTES, Element, Entry, HEADER_BYTES, Header, Shape, checksum};
use crate::AlignedBytes;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// One tensor before it is written.
#[derive(Clone, Debug)]
pub struct Payload {
    pub dtype: DType,
    pub dims: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The tensors of a model by name, which is the order of a file.
#[derive(Clone, Debug, Default)]
pub struct Tensors(pub BTreeMap<String, Payload>);

impl Tensors {
    pub fn put<T: Element>(&mut self, name: &str, dims: &[usize], values: &[T]) {
        assert_eq!(dims.iter().product::<usize>(), values.len(), "{name}");
        let payload =
            Payload { dtype: T::DTYPE, dims: dims.to_vec(), bytes: bytemuck::cast_slice(values).to_vec() };
        self.0.insert(name.into(), payload);
    }

    pub fn get<T: Element>(&self, name: &str) -> Vec<T> {
        self.0[name].bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }

    /// A legal file with right checksums, whatever the payloads hold.
    pub fn file(&self) -> File {
        let mut directory = Vec::new();
        let mut payloads: Vec<u8> = Vec::new();
        let start = HEADER_BYTES + self.0.len() * ENTRY_BYTES;
        for (name, Payload { dtype, dims, bytes }) in &self.0 {
            let entry = Entry {
                name,
                offset: (start + payloads.len()) as u64,
                length: bytes.len() as u64,
                shape: Shape::new(dims).expect("1 to 4 dimensions"),
                checksum: checksum(bytes),
                dtype: *dtype,
            };
            directory.extend(entry.encode());
            payloads.extend(bytes);
            payloads.resize(payloads.len().next_multiple_of(ALIGNMENT), 0);
        }
        let header = Header {
            tensor_count: self.0.len() as u32,
            file_length: (start + payloads.len()) as u64,
            directory_checksum: checksum(&directory),
        };
        File(AlignedBytes::copy_of(&[&header.encode()[..], &directory, &payloads].concat()))
    }
}

/// A model file.
#[derive(Clone, Debug)]
pub struct File(pub AlignedBytes);
