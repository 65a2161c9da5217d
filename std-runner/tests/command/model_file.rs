//! Model files made of another by hand, with right checksums. Offsets are those of docs/FORMAT.md.

use foldpoint_core::format::{ALIGNMENT, ENTRY_BYTES, HEADER_BYTES, ModelFile, checksum};
use std_runner::arena::Arena;

/// The bare-metal example's model, which folds.
pub const FOLDING: &[u8] = include_bytes!("../../../examples/bare-metal/tiny.fpm");

/// Looks at a model file in memory, at an address that suits it.
pub fn with<T>(bytes: &[u8], look: impl FnOnce(&ModelFile) -> T) -> T {
    let mut arena = Arena::new(bytes.len()).expect("memory");
    arena.bytes().copy_from_slice(bytes);
    look(&ModelFile::parse(arena.bytes()).expect("a model file"))
}

/// The folding model with all bytes of a tensor changed, and right checksums.
pub fn with_tensor(entry: usize, byte: u8) -> Vec<u8> {
    let mut bytes = FOLDING.to_vec();
    let at = HEADER_BYTES + entry * ENTRY_BYTES;
    let number =
        |at: usize| u64::from_le_bytes(FOLDING[at..at + 8].try_into().expect("eight bytes")) as usize;
    let tensor = number(at + 64)..number(at + 64) + number(at + 72);
    bytes[tensor.clone()].fill(byte);
    let sum = checksum(&bytes[tensor]);
    bytes[at + 96..at + 100].copy_from_slice(&sum.to_le_bytes());
    sealed(bytes)
}

/// After a change to the directory: with right checksums of directory and header.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let count = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let sum = checksum(&bytes[HEADER_BYTES..HEADER_BYTES + count * ENTRY_BYTES]);
    bytes[24..28].copy_from_slice(&sum.to_le_bytes());
    let sum = checksum(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The folding model without its folding part.
pub fn language_model() -> Vec<u8> {
    let (mut directory, mut payloads) = (Vec::new(), Vec::new());
    let lm: Vec<(Vec<u8>, Vec<u8>)> = with(FOLDING, |file| {
        let entries = FOLDING[HEADER_BYTES..].chunks(ENTRY_BYTES).map(<[u8]>::to_vec);
        let tensors = file.tensors().map(|tensor| tensor.bytes.to_vec());
        entries.zip(tensors).filter(|(entry, _)| entry.starts_with(b"lm.")).collect()
    });
    let start = HEADER_BYTES + lm.len() * ENTRY_BYTES;
    for (entry, payload) in &lm {
        let mut entry = entry.clone();
        entry[64..72].copy_from_slice(&((start + payloads.len()) as u64).to_le_bytes());
        directory.extend(entry);
        payloads.extend(payload);
        payloads.resize(payloads.len().next_multiple_of(ALIGNMENT), 0);
    }
    let mut bytes = [&FOLDING[..HEADER_BYTES], &directory, &payloads].concat();
    bytes[12..16].copy_from_slice(&(lm.len() as u32).to_le_bytes());
    let length = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    sealed(bytes)
}
