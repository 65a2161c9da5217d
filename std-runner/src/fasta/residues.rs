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

/// Residues of a record, upper-case, and what was replaced by X.
pub(super) fn clean(lines: &[Vec<u8>], header: &Place) -> Result<(Vec<u8>, Option<Replaced>), RecordError> {
    let mut residues = Vec::with_capacity(lines.iter().map(Vec::len).sum());
    let mut replaced = Replaced { count: 0, letters: String::new() };
    let mut stop: Option<Box<Place>> = None;
    for (row, line) in (1..).zip(lines) {
        for (column, &byte) in (1..).zip(line) {
            let place =
                || Box::new(Place { line: header.line + row, column: Some(column), ..header.clone() });
            if byte.is_ascii_whitespace() {
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
                b'-' | b'.' => {
                    let problem = RecordProblem::Gap(char::from(letter));
                    return Err(RecordError { place: place(), problem });
                }
                _ => return Err(RecordError { place: place(), problem: RecordProblem::BadCharacter(byte) }),
            }
        }
    }
    if residues.is_empty() {
        return Err(RecordError { place: Box::new(header.clone()), problem: RecordProblem::EmptySequence });
    }
    Ok((residues, (replaced.count > 0).then_some(replaced)))
}
