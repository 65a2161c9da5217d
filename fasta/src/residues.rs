//! The lines of one record, checked letter by letter.

use super::error::{Place, RecordError, RecordProblem};

/// Letters that were read as X.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// How many residues.
    pub count: usize,
    /// The different letters, in order of appearance.
    pub letters: String,
}

/// What is in the lines of a record.
pub(super) struct Cleaned {
    /// Residues of all chains, upper-case.
    pub residues: Vec<u8>,
    /// How many residues each chain has; at least one chain, and none of them empty.
    pub chains: Vec<usize>,
    /// What was replaced by X.
    pub replaced: Option<Replaced>,
}

/// Checks the lines. `:` ends a chain and begins the next one; `*` may end a chain.
pub(super) fn clean(lines: &[Vec<u8>], header: &Place) -> Result<Cleaned, RecordError> {
    let mut residues = Vec::with_capacity(lines.iter().map(Vec::len).sum());
    let mut replaced = Replaced { count: 0, letters: String::new() };
    let mut ends: Vec<usize> = Vec::new();
    let mut stop: Option<Box<Place>> = None;
    // Where the last `:` was.
    let mut colon: Option<Box<Place>> = None;
    for (row, line) in (1..).zip(lines) {
        for (column, &byte) in (1..).zip(line) {
            let place =
                || Box::new(Place { line: header.line + row, column: Some(column), ..header.clone() });
            let fail = |problem| Err(RecordError { place: place(), problem });
            if byte.is_ascii_whitespace() {
                continue;
            }
            if byte == b':' {
                if residues.len() == ends.last().copied().unwrap_or(0) {
                    return fail(RecordProblem::EmptyChain { chain: ends.len() + 1 });
                }
                ends.push(residues.len());
                (stop, colon) = (None, Some(place()));
                continue;
            }
            if let Some(place) = stop {
                return Err(RecordError { place, problem: RecordProblem::InnerStop });
            }
            let letter = byte.to_ascii_uppercase();
            match letter {
                b'*' => stop = Some(place()),
                b'B' | b'Z' | b'U' | b'O' | b'J' => {
                    residues.push(b'X');
                    replaced.count += 1;
                    if !replaced.letters.contains(char::from(letter)) {
                        replaced.letters.push(char::from(letter));
                    }
                }
                b'A'..=b'Z' => residues.push(letter),
                b'-' | b'.' => return fail(RecordProblem::Gap(char::from(letter))),
                _ => return fail(RecordProblem::BadCharacter(byte)),
            }
        }
    }
    if residues.len() == ends.last().copied().unwrap_or(0) {
        return Err(match colon {
            Some(place) => {
                RecordError { place, problem: RecordProblem::EmptyChain { chain: ends.len() + 1 } }
            }
            None => RecordError { place: Box::new(header.clone()), problem: RecordProblem::EmptySequence },
        });
    }
    ends.push(residues.len());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let chains = starts.zip(&ends).map(|(start, end)| end - start).collect();
    Ok(Cleaned { residues, chains, replaced: (replaced.count > 0).then_some(replaced) })
}
