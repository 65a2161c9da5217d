//! Where something is, for messages.

use std::fmt;

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Line, from 1. Lines end with LF, CRLF or CR.
    pub line: u64,
    /// Column in bytes (of UTF-8, where the file was something else), from 1; `None` where the whole line or record is meant.
    pub column: Option<usize>,
    /// Number of the record in the file, from 1.
    pub record: usize,
    /// First word of the header, as it was typed; empty if it has none.
    pub id: String,
}

impl Place {
    /// A column of a line of the same record.
    pub(crate) fn at(&self, spot: Spot) -> Self {
        Self { line: spot.line, column: Some(spot.column), ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": record {}", self.record)?;
        if !self.id.is_empty() {
            write!(f, " (`{}`)", Printable(&self.id))?;
        }
        Ok(())
    }
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub line: u64,
    pub column: usize,
}

/// Text of a file as a terminal may get it: control characters are escaped.
pub(crate) struct Printable<'t>(pub &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}
