//! The 64-byte header, and the constants of the layout.

use super::cursor::{Fields, Filler};
use super::error::FormatError;

/// First eight bytes of every model file.
pub const MAGIC: [u8; 8] = *b"FOLDPNT\0";

/// The format version that this crate reads and the quantizer writes.
pub const VERSION: u32 = 2;

/// Size of the header in bytes; the directory follows it directly.
pub const HEADER_BYTES: usize = 64;

/// Every tensor begins at a multiple of this many bytes from the start of the file, and the file's length is
/// one.
pub const ALIGNMENT: usize = 64;

const RESERVED_BYTES: usize = 32;
const CHECKED_BYTES: usize = HEADER_BYTES - 4;

/// CRC-32 (ISO-HDLC, as zlib, gzip and PNG have it) of `bytes`: the one checksum of the format.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// What the header says, without its magic, version and own checksum, which are constants or derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of directory entries.
    pub tensor_count: u32,
    /// Length of the whole file in bytes.
    pub file_length: u64,
    /// [`checksum`] of the directory.
    pub directory_checksum: u32,
}

impl Header {
    /// The header's bytes as they stand in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        let mut filler = Filler::new(&mut block);
        filler.put(&MAGIC);
        filler.put(&VERSION.to_le_bytes());
        filler.put(&self.tensor_count.to_le_bytes());
        filler.put(&self.file_length.to_le_bytes());
        filler.put(&self.directory_checksum.to_le_bytes());
        filler.put(&[0; RESERVED_BYTES]);
        let sum = checksum(filler.written());
        filler.put(&sum.to_le_bytes());
        block
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// The version is looked at before the length and the checksum, so that a file of a later version, whose
    /// header may differ from there on, is called that and not a damaged one.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.is_empty() {
            return Err(FormatError::Empty);
        }
        if !bytes.iter().zip(MAGIC).all(|(&found, expected)| found == expected) {
            return Err(FormatError::NotAModel);
        }
        let truncated = FormatError::Truncated { expected: HEADER_BYTES as u64, actual: bytes.len() as u64 };
        let mut fields = Fields::new(bytes);
        fields.skip(MAGIC.len()).ok_or(truncated)?;
        let version = fields.u32().ok_or(truncated)?;
        if version != VERSION {
            return Err(FormatError::UnsupportedVersion { found: version, supported: VERSION });
        }
        let header = Self {
            tensor_count: fields.u32().ok_or(truncated)?,
            file_length: fields.u64().ok_or(truncated)?,
            directory_checksum: fields.u32().ok_or(truncated)?,
        };
        let reserved: [u8; RESERVED_BYTES] = fields.array().ok_or(truncated)?;
        let stored_checksum = fields.u32().ok_or(truncated)?;
        let checked = bytes.get(..CHECKED_BYTES).ok_or(truncated)?;
        if checksum(checked) != stored_checksum {
            return Err(FormatError::HeaderChecksum);
        }
        if reserved != [0; RESERVED_BYTES] {
            return Err(FormatError::BadHeader { reason: "reserved bytes are not zero" });
        }
        Ok(header)
    }
}
