//! Lines to records.

use std::io::{self, BufRead};

use crate::error::{Found, RecordProblem};
use crate::kind::is_bare_sequence;
use crate::lines::Lines;
use crate::place::Place;
use crate::residues::{CleanSequence, Cleaner, Problem};
use crate::text::{self, skip_blanks, words};

/// What the headers of PIR (NBRF) begin with, before a `;`.
const PIR_TYPES: [&str; 9] = ["P1", "F1", "DL", "DC", "RL", "RC", "N1", "N3", "XX"];

/// A record as it is in a file.
#[derive(Debug)]
pub(crate) struct Record {
    /// Where its header is.
    pub place: Place,
    /// The header line, without the `>` and without blanks around.
    pub header: String,
    /// The header was UTF-8.
    pub utf8: bool,
    pub body: Result<CleanSequence, Problem>,
}

/// Why there are no more records before the end of the file.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Text before the first header.
    NoHeader { line: u64, found: Found, bare: bool },
    /// The file can't be read any further; the record that breaks off, if one does.
    Io(io::Error, Option<Box<Record>>),
}

/// Reads record by record.
pub(crate) struct Records<R> {
    lines: Lines<R>,
    line: Vec<u8>,
    file: String,
    max_len: usize,
    /// Records so far.
    number: usize,
    open: Option<Open>,
    /// The first line that began with `;`, while there is no record: a header, if residues follow.
    comment: Option<(u64, Vec<u8>)>,
    /// Headers begin with `;`.
    old_style: bool,
}

/// A record whose lines are still being read.
struct Open {
    place: Place,
    header: String,
    utf8: bool,
    cleaner: Cleaner,
}

impl Open {
    fn close(self) -> Record {
        let Self { place, header, utf8, cleaner } = self;
        Record { place, header, utf8, body: cleaner.finish() }
    }
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R, file: &str, max_len: usize) -> Self {
        Self {
            lines: Lines::new(input),
            line: Vec::new(),
            file: file.to_owned(),
            max_len,
            number: 0,
            open: None,
            comment: None,
            old_style: false,
        }
    }

    /// Records that were begun so far.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Whether some lines ended with CR alone and others did not.
    pub fn mixed_line_ends(&self) -> bool {
        self.lines.mixed()
    }

    /// The next record; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Record>, Stop> {
        loop {
            let number = match self.lines.next(&mut self.line) {
                Ok(Some(number)) => number,
                Ok(None) => return Ok(self.open.take().map(Open::close)),
                Err(error) => {
                    let cut = self.open.take().map(Open::close);
                    return Err(Stop::Io(
                        error,
                        cut.map(|cut| Box::new(Record { body: Err((None, RecordProblem::Cut)), ..cut })),
                    ));
                }
            };
            let line = std::mem::take(&mut self.line);
            let done = self.take(number, &line);
            self.line = line;
            if let Some(record) = done? {
                return Ok(Some(record));
            }
        }
    }

    /// Takes a line; returns the record that it ends.
    fn take(&mut self, number: u64, line: &[u8]) -> Result<Option<Record>, Stop> {
        let text = skip_blanks(line);
        match (text.first(), &mut self.open) {
            (None, _) => {}
            (Some(b'>'), open) => {
                // Behind `<mask` nobody can tell whether this ends the mask or begins a record: neither is
                // guessed.
                let ambiguous = open.as_ref().is_some_and(|open| open.cleaner.awaits_bracket());
                self.old_style = false;
                let before = self.begin(number, &text[1..]);
                if let (true, Some(open)) = (ambiguous, &mut self.open) {
                    open.cleaner.fail(None, RecordProblem::MaskOrHeader);
                }
                return Ok(before);
            }
            (Some(b';'), _) => return Ok(self.comment(number, &text[1..])),
            (Some(_), Some(open)) => open.cleaner.push(number, line),
            (Some(_), None) => {
                let Some((header_line, header)) = self.comment.take() else {
                    let (found, bare) = (Found::first(text), is_bare_sequence(text));
                    return Err(Stop::NoHeader { line: number, found, bare });
                };
                self.old_style = true;
                self.begin(header_line, &header);
                return self.take(number, line);
            }
        }
        Ok(None)
    }

    /// A line that begins with `;` is a comment; but where the first record's header does, it can also be a
    /// header: behind a `*` it is.
    fn comment(&mut self, number: u64, text: &[u8]) -> Option<Record> {
        match &mut self.open {
            None => {
                self.comment.get_or_insert_with(|| (number, text.to_vec()));
            }
            Some(open) if self.old_style && !open.cleaner.is_empty() => {
                if open.cleaner.is_stopped() {
                    return self.begin(number, text);
                }
                open.cleaner.fail(
                    Some(crate::place::Spot { line: number, column: 1 }),
                    RecordProblem::CommentOrHeader,
                );
            }
            Some(_) => {}
        }
        None
    }

    /// Begins a record and returns the one before.
    fn begin(&mut self, line: u64, header: &[u8]) -> Option<Record> {
        self.number += 1;
        let (header, utf8) = text::header(header);
        let id = words(&header).next().unwrap_or_default().to_owned();
        let place = Place { file: self.file.clone(), line, column: None, record: self.number, id };
        let mut cleaner = Cleaner::new(self.max_len);
        if header.contains('\0') {
            cleaner.fail(None, RecordProblem::NulInHeader);
        }
        if header.split_once(';').is_some_and(|(kind, _)| PIR_TYPES.contains(&kind)) {
            cleaner.fail(None, RecordProblem::Pir);
        }
        self.open.replace(Open { place, header, utf8, cleaner }).map(Open::close)
    }
}
