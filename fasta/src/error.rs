//! What can be wrong with a FASTA file, and how it is said.

use std::fmt;
use std::io;

use crate::place::Place;
use crate::text::is_blank;

/// A file, or a folder, that was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FastaError {
    /// It could not be opened or read.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A folder without a file that is FASTA by its name.
    #[error(
        "{folder}: this folder holds no FASTA; expected files *.fa, *.fas, *.fasta or *.faa, or these with .gz \
         (folders in it are not looked into)"
    )]
    NothingInFolder {
        /// Name of the folder.
        folder: String,
    },
    /// It has no record.
    #[error("{file}: is empty; expected FASTA: a line `>identifier`, then lines of residues")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// It is something else.
    #[error("{file}: this looks like {what}; expected FASTA: a line `>identifier`, then lines of residues")]
    SomethingElse {
        /// Name of the file.
        file: String,
        /// What it looks like, and what can be done.
        what: &'static str,
    },
    /// There is text before the first header.
    #[error(
        "{file}: line {line}, column 1: expected a header `>identifier` before any sequence, found {found}{}",
        if *bare { " (a bare sequence? put a line `>name` before it)" } else { "" }
    )]
    NoHeader {
        /// Name of the file.
        file: String,
        /// Line of the text, from 1.
        line: u64,
        /// The first character of that line.
        found: Found,
        /// The line looks like residues.
        bare: bool,
    },
    /// Decompressed, it is not what was compressed.
    #[error("{file}: is damaged: {reason}; none of its records is used, since any of them may be wrong")]
    Damaged {
        /// Name of the file.
        file: String,
        /// What is wrong.
        reason: io::Error,
    },
    /// It could not be read to its end.
    #[error("{file}: breaks off: {reason}; complete records before that: {complete}; others may be missing")]
    Cut {
        /// Name of the file.
        file: String,
        /// What the system, or the decompressor, said.
        reason: io::Error,
        /// Records before the one that is cut.
        complete: usize,
    },
}

/// A record that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct RecordError {
    /// Where it is.
    pub place: Box<Place>,
    /// As [`Sequence::id`](crate::Sequence::id).
    pub id: String,
    /// As [`Sequence::header`](crate::Sequence::header).
    pub header: String,
    /// Line of the header, from 1; the place may be within the sequence.
    pub header_line: u64,
    /// The file name that it would have had; no other record gets it.
    pub stem: String,
    /// As [`Sequence::index`](crate::Sequence::index).
    pub index: usize,
    /// What is wrong.
    pub problem: RecordProblem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// There are no residues.
    #[error("the sequence is empty; expected at least one residue")]
    EmptySequence,
    /// A `:` or `/` has no residues before or after it.
    #[error("chain {chain} is empty; expected at least one residue before and after each `:` or `/`")]
    EmptyChain {
        /// Number of the chain in the record, from 1.
        chain: usize,
    },
    /// There are several chains where one is all that can be used.
    #[error("the sequence has {chains} chains, separated by `:` or `/`; expected one")]
    SeveralChains {
        /// How many.
        chains: usize,
    },
    /// There is a mask where only residues can be used.
    #[error("found a mask (`<mask>` or `_`); expected a residue: a masked sequence cannot be folded")]
    Masked,
    /// There are more residues than `--max-len`.
    #[error("the sequence has {length} residues; expected at most {max_len} (--max-len)")]
    TooLong {
        /// Residues in the record.
        length: usize,
        /// The limit.
        max_len: usize,
    },
    /// `*` before the end.
    #[error("found `*` (stop) inside the sequence; expected it at the end of a chain only")]
    InnerStop,
    /// `-` or `.`
    #[error("found the gap `{0}`; expected an unaligned sequence of amino-acid letters")]
    Gap(char),
    /// `>` in a line of residues.
    #[error(
        "found `>` inside a line of residues; expected it at the beginning of a line (is a line end missing?)"
    )]
    HeaderInside,
    /// A header behind a record that ends in `<mask`.
    #[error(
        "this `>` may be the end of the `<mask` in the line before, or the beginning of a header; expected `<mask>` on one line"
    )]
    MaskOrHeader,
    /// Codes of three letters.
    #[error(
        "chain {chain} is written in three-letter codes (such as Met or ALA); expected one letter for each residue"
    )]
    ThreeLetterCodes {
        /// Number of the chain, from 1.
        chain: usize,
    },
    /// Anything else.
    #[error(
        "found {0}; expected one of the amino-acid letters ACDEFGHIKLMNPQRSTVWY or X (or B, Z, U, O, J), \
         `:` or `/` between chains, or (not to fold) a mask `_`"
    )]
    BadCharacter(Found),
    /// The header has a byte 0.
    #[error("the header has a byte 0x00; expected text (was the file damaged?)")]
    NulInHeader,
    /// The header is one of PIR (NBRF).
    #[error(
        "this is a header of PIR (NBRF), where the next line is a description and not residues; expected FASTA"
    )]
    Pir,
    /// `;` after residues, where records begin with `;`.
    #[error(
        "found a line that begins with `;` after residues, in a record whose header begins with `;`: it may be a comment or \
         the next header; expected headers that begin with `>`"
    )]
    CommentOrHeader,
    /// The file breaks off within it.
    #[error("the file breaks off in this record; expected all of its residues")]
    Cut,
}

/// A character, or a byte that is none, where something else was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A character.
    Char(char),
    /// A byte that is not UTF-8.
    Byte(u8),
}

impl Found {
    /// The first character of `bytes`; byte 0 if there is none.
    pub(crate) fn first(bytes: &[u8]) -> Self {
        let chunk = bytes.utf8_chunks().next();
        let c = chunk.and_then(|chunk| chunk.valid().chars().next());
        c.map_or(Self::Byte(bytes.first().copied().unwrap_or(0)), Self::Char)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Char(c) if c.is_ascii_graphic() => write!(f, "`{c}`"),
            Self::Char(c) if c.is_ascii() => write!(f, "the byte 0x{:02x}", u32::from(c)),
            Self::Char(c) if c.is_control() || is_blank(c) => write!(f, "U+{:04X}", u32::from(c)),
            Self::Char(c) => write!(f, "`{c}` (U+{:04X})", u32::from(c)),
            Self::Byte(byte) => write!(f, "the byte 0x{byte:02x}"),
        }
    }
}

/// Something that was changed, or that deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Rare letters of a record were read as others.
    #[error("{place}: {count} {} ({letters}) {} read as {read_as}", if *count == 1 { "residue" } else { "residues" }, if *count == 1 { "is" } else { "are" })]
    Replaced {
        /// Where the record's header is.
        place: Box<Place>,
        /// How many residues.
        count: usize,
        /// The different letters, in order of appearance.
        letters: String,
        /// What each of them is read as, or all of them.
        read_as: String,
    },
    /// A chain looks like DNA or RNA.
    #[error(
        "{place}: chain {chain} has the letters of nucleotides only: is it DNA or RNA? It is read as a protein"
    )]
    Nucleotides {
        /// Where the record's header is.
        place: Box<Place>,
        /// Number of the chain, from 1.
        chain: usize,
    },
    /// A header was not UTF-8.
    #[error(
        "{place}: the header is not UTF-8; it, and others of this file that are not, are read as Windows-1252"
    )]
    NotUtf8 {
        /// Where the first such header is.
        place: Box<Place>,
    },
    /// LF and CR end lines of the same file.
    #[error(
        "{file}: lines end in several ways, some with a bare CR; each of LF, CRLF and CR is read as a line end"
    )]
    MixedLineEnds {
        /// Name of the file.
        file: String,
    },
    /// There is something behind the last gzip member.
    #[error("{file}: behind the end of the compressed data, {count} {} ignored", if *count == 1 { "byte is" } else { "bytes are" })]
    TrailingBytes {
        /// Name of the file.
        file: String,
        /// How many.
        count: u64,
    },
    /// The same file was given more than once.
    #[error("{file}: was given more than once; it is read once")]
    GivenTwice {
        /// Name of the file as it was given the second time.
        file: String,
    },
}

impl Warning {
    /// Where the record is that it is about; `None` if it is about a whole file.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Replaced { place, .. } | Self::Nucleotides { place, .. } | Self::NotUtf8 { place } => {
                Some(place)
            }
            Self::MixedLineEnds { .. } | Self::TrailingBytes { .. } | Self::GivenTwice { .. } => None,
        }
    }
}
