//! What can be wrong with a FASTA file, and how it is said.

use std::fmt;
use std::io;

use super::residues::Replaced;

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in bytes, from 1; `None` where the whole line or record is meant.
    pub column: Option<usize>,
    /// Number of the record in the file, from 1.
    pub record: usize,
    /// Identifier of the record; empty if it has none.
    pub id: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": record {}", self.record)?;
        if !self.id.is_empty() {
            write!(f, " (`{}`)", self.id)?;
        }
        Ok(())
    }
}

/// A file that holds no usable FASTA.
#[derive(Debug, thiserror::Error)]
pub enum FastaError {
    /// It could not be opened, read or decompressed.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// What the system said.
        reason: io::Error,
    },
    /// It has no record.
    #[error("{file}: is empty; expected FASTA: a line `>identifier`, then lines of residues")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// There is text before the first header.
    #[error(
        "{file}: line {line}, column 1: expected a header `>identifier` before any sequence, found `{}`",
        found.escape_default()
    )]
    NoHeader {
        /// Name of the file.
        file: String,
        /// Line of the text, from 1.
        line: usize,
        /// The first character of that line.
        found: char,
    },
}

impl FastaError {
    pub(super) fn from_reader(error: seq_io::fasta::Error, file: &str) -> Self {
        use seq_io::fasta::Error;
        let file = file.to_owned();
        match error {
            Error::Io(reason) => Self::Unreadable { file, reason },
            Error::InvalidStart { line, found } => Self::NoHeader { file, line, found: char::from(found) },
            Error::BufferLimit => {
                let reason =
                    io::Error::new(io::ErrorKind::OutOfMemory, "a record is too large to be held in memory");
                Self::Unreadable { file, reason }
            }
        }
    }
}

/// A record that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct RecordError {
    /// Where it is.
    pub place: Box<Place>,
    /// What is wrong.
    pub problem: RecordProblem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The header is a bare `>`.
    #[error("the header has no identifier; expected `>identifier`")]
    NoIdentifier,
    /// An earlier record has the same identifier.
    #[error("the identifier is already used at line {first_line}; expected identifiers to differ")]
    DuplicateIdentifier {
        /// Line of the earlier header.
        first_line: u64,
    },
    /// Another identifier gives the same file name once it is made safe.
    #[error(
        "its output would be named `{stem}`, as that of `{other}` at line {line}; expected identifiers that give different file names"
    )]
    SameFileName {
        /// The common stem.
        stem: String,
        /// Identifier of the earlier record.
        other: String,
        /// Line of its header.
        line: u64,
    },
    /// There are no residues.
    #[error("the sequence is empty; expected at least one residue")]
    EmptySequence,
    /// A `:` has no residues before or after it.
    #[error("chain {chain} is empty; expected at least one residue before and after each `:`")]
    EmptyChain {
        /// Number of the chain in the record, from 1.
        chain: usize,
    },
    /// There are several chains where one is all that can be used.
    #[error(
        "the sequence has {chains} chains, separated by `:`; expected one (several are for folding only)"
    )]
    SeveralChains {
        /// How many.
        chains: usize,
    },
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
    /// Anything else.
    #[error("found {}; expected one of the amino-acid letters ACDEFGHIKLMNPQRSTVWY or X (B, Z, U, O, J are read as X)", describe(*.0))]
    BadCharacter(u8),
}

fn describe(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("the byte 0x{byte:02x}") }
}

/// A record that was changed to be usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where the first change was made.
    pub place: Place,
    /// What was replaced.
    pub replaced: Replaced,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaced { count, letters, .. } = &self.replaced;
        let (noun, verb) = if *count == 1 { ("residue", "is") } else { ("residues", "are") };
        write!(f, "{}: {count} {noun} ({letters}) {verb} read as X", self.place)
    }
}
