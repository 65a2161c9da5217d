//! Directory entries of 128 bytes, one for each tensor.

use super::cursor::{Fields, Filler};
use super::dtype::DType;
use super::error::EntryFault;
use super::shape::{MAX_RANK, Shape};
use super::tensor_name::MAX_NAME_BYTES;
use core::cmp::Ordering;

/// Size of a directory entry in bytes.
pub const ENTRY_BYTES: usize = 128;

const RESERVED_BYTES: usize = 26;

/// One entry of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// 1 to 64 printable ASCII characters (0x21 to 0x7e).
    pub name: &'a str,
    /// Where the payload begins, in bytes from the start of the file; a multiple of 64.
    pub offset: u64,
    /// Length of the payload in bytes, without the padding after it.
    pub length: u64,
    /// Extents, outermost first.
    pub shape: Shape,
    /// [`checksum`](super::checksum) of the payload.
    pub checksum: u32,
    /// Type of the elements.
    pub dtype: DType,
}

/// Whether a tensor can have this name.
pub fn name_is_valid(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic())
}

/// Length of a payload in bytes, or `None` if it exceeds 64 bits.
pub fn payload_length(dtype: DType, shape: &Shape) -> Option<u64> {
    shape.elements()?.checked_mul(dtype.size() as u64)
}

/// How the entry's name compares with this one, byte by byte.
pub(super) fn compare_name(block: &[u8; ENTRY_BYTES], name: &str) -> Ordering {
    let stored = stored_name(block);
    let (head, after) = stored.split_at_checked(name.len()).unwrap_or((stored, &[]));
    // The zero bytes after a stored name are none of it.
    let longer =
        || if after.first().is_some_and(|&byte| byte != 0) { Ordering::Greater } else { Ordering::Equal };
    head.cmp(name.as_bytes()).then_with(longer)
}

/// A valid name as the directory stores it: zero bytes after it.
fn padded_name(name: &str) -> Option<[u8; MAX_NAME_BYTES]> {
    if !name_is_valid(name) {
        return None;
    }
    let mut padded = [0; MAX_NAME_BYTES];
    padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(padded)
}

/// The stored name of an entry's block.
pub(super) fn stored_name(block: &[u8; ENTRY_BYTES]) -> &[u8] {
    block.get(..MAX_NAME_BYTES).unwrap_or(block)
}

impl<'a> Entry<'a> {
    /// The entry's bytes as they stand in the file. The name must be valid ([`name_is_valid`]); any other is
    /// stored as the empty name, which no reader takes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut block = [0; ENTRY_BYTES];
        let (dims, rank) = self.shape.stored();
        let mut filler = Filler::new(&mut block);
        filler.put(&padded_name(self.name).unwrap_or([0; MAX_NAME_BYTES]));
        filler.put(&self.offset.to_le_bytes());
        filler.put(&self.length.to_le_bytes());
        for extent in dims {
            filler.put(&extent.to_le_bytes());
        }
        filler.put(&self.checksum.to_le_bytes());
        filler.put(&[self.dtype.code(), rank]);
        filler.put(&[0; RESERVED_BYTES]);
        block
    }

    /// Reads an entry and checks all that can be known from it alone: where the payload lies is the caller's.
    pub(super) fn decode(block: &'a [u8; ENTRY_BYTES]) -> Result<Self, EntryFault> {
        let name = decode_name(stored_name(block)).ok_or(EntryFault::Name)?;
        let raw = RawEntry::read(block).ok_or(EntryFault::Reserved)?;
        if raw.reserved != [0; RESERVED_BYTES] {
            return Err(EntryFault::Reserved);
        }
        let dtype = DType::from_code(raw.dtype).ok_or(EntryFault::Type(raw.dtype))?;
        let shape = Shape::from_stored(raw.dims, raw.rank).ok_or(EntryFault::Shape)?;
        if payload_length(dtype, &shape) != Some(raw.length) {
            return Err(EntryFault::Length);
        }
        Ok(Self { name, offset: raw.offset, length: raw.length, shape, checksum: raw.checksum, dtype })
    }
}

struct RawEntry {
    offset: u64,
    length: u64,
    dims: [u32; MAX_RANK],
    checksum: u32,
    dtype: u8,
    rank: u8,
    reserved: [u8; RESERVED_BYTES],
}

impl RawEntry {
    fn read(block: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let mut fields = Fields::new(block);
        fields.skip(MAX_NAME_BYTES)?;
        Some(Self {
            offset: fields.u64()?,
            length: fields.u64()?,
            dims: [fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?],
            checksum: fields.u32()?,
            dtype: fields.u8()?,
            rank: fields.u8()?,
            reserved: fields.array()?,
        })
    }
}

fn decode_name(stored: &[u8]) -> Option<&str> {
    let length = stored.iter().position(|&c| c == 0).unwrap_or(stored.len());
    let (used, rest) = stored.split_at_checked(length)?;
    let name = core::str::from_utf8(used).ok()?;
    (name_is_valid(name) && rest.iter().all(|&c| c == 0)).then_some(name)
}
