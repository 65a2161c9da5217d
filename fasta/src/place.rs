//! Where something is, for messages.

use std::borrow::Cow;
use std::fmt;

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Line, from 1. Lines end with LF, CRLF or CR.
    pub line: u64,
    /// Column in bytes (of UTF-8, where the file was something else), from 1; `None` where the whole line or
    /// record is meant.
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
            write!(f, " (`{}`)", Printable(&shorten(&self.id)))?;
        }
        Ok(())
    }
}

/// Most characters of an identifier in a message, which has the line, too.
const LONGEST: usize = 60;

/// The identifier, without its middle if it is long.
fn shorten(id: &str) -> Cow<'_, str> {
    let count = id.chars().count();
    if count <= LONGEST {
        return Cow::Borrowed(id);
    }
    let kept = LONGEST / 2;
    let (begin, end) = (id.chars().take(kept), id.chars().skip(count - kept + 1));
    Cow::Owned(begin.chain(['…']).chain(end).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_identifier_loses_its_middle() {
        let place = |id: String| Place { file: "in.fa".into(), line: 3, column: None, record: 2, id };
        let whole = format!("{}é", "x".repeat(59));
        assert_eq!(place(whole.clone()).to_string(), format!("in.fa: line 3: record 2 (`{whole}`)"));
        let long = format!("{}{}", "é".repeat(200), "z".repeat(200));
        let expected = format!("in.fa: line 3: record 2 (`{}…{}`)", "é".repeat(30), "z".repeat(29));
        assert_eq!(place(long).to_string(), expected);
    }
}
