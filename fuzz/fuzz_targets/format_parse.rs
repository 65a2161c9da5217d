//! The model-file reader on arbitrary bytes: it may refuse them, it must not panic or read out of bounds.
#![no_main]

use foldpoint_core::format::{
    ALIGNMENT, ENTRY_BYTES, Element, FormatError, HEADER_BYTES, Header, ModelFile, Tensor, checksum,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read_everything(data);
    read_everything(&with_right_checksums(data));
});

/// A file with `data` after a header that agrees with it, filled up to a whole number of 64-byte blocks. The
/// first byte of `data` is the number of tensors. No fuzzer finds a CRC-32 by chance; with this it reaches
/// every check behind the checksums of header and directory.
fn with_right_checksums(data: &[u8]) -> Vec<u8> {
    let Some((&tensor_count, rest)) = data.split_first() else { return Vec::new() };
    let mut rest = rest.to_vec();
    rest.resize(rest.len().next_multiple_of(ALIGNMENT), 0);
    let directory = &rest[..rest.len().min(usize::from(tensor_count) * ENTRY_BYTES)];
    let header = Header {
        tensor_count: tensor_count.into(),
        file_length: (HEADER_BYTES + rest.len()) as u64,
        directory_checksum: checksum(directory),
    };
    [&header.encode()[..], &rest].concat()
}

fn read_everything(bytes: &[u8]) {
    let _ = ModelFile::stored_length(bytes);
    let Ok(file) = ModelFile::parse(bytes) else { return };
    assert_eq!(file.length(), bytes.len());
    assert_eq!(file.tensors().count(), file.tensor_count());
    let _ = file.verify();
    for tensor in file.tensors() {
        let found = file.tensor(tensor.name).expect("a listed tensor is found by its name");
        assert_eq!(found.bytes.as_ptr_range(), tensor.bytes.as_ptr_range());
        let views = [
            viewed::<i8>(&tensor),
            viewed::<u8>(&tensor),
            viewed::<i16>(&tensor),
            viewed::<u16>(&tensor),
            viewed::<i32>(&tensor),
            viewed::<u32>(&tensor),
            viewed::<i64>(&tensor),
        ];
        assert_eq!(views.iter().filter(|&&v| v).count(), 1, "exactly one type is the tensor's");
        // Every byte is read, so that a sanitizer sees a slice that leaves the file.
        std::hint::black_box(tensor.bytes.iter().fold(0u8, |sum, &b| sum.wrapping_add(b)));
    }
}

/// Whether the tensor has this element type; where it has and is aligned, the view covers it all.
fn viewed<T: Element>(tensor: &Tensor<'_>) -> bool {
    match tensor.values::<T>() {
        Ok(values) => {
            assert_eq!(size_of_val(values), tensor.bytes.len());
            true
        }
        Err(FormatError::Misaligned { .. }) => true,
        Err(_) => false,
    }
}
