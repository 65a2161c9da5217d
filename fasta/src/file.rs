//! Bytes to records: what is compressed is decompressed, and what is no UTF-8 decoded.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;

use encoding_rs_io::DecodeReaderBytesBuilder;

use crate::error::{FastaError, Warning};
use crate::gzip::{MAGIC, Members};
use crate::kind;
use crate::lookahead::Lookahead;
use crate::records::{Record, Records, Stop};

/// Bytes that a file is recognised by.
const HEAD: usize = 4096;

/// What was in the files of a run.
#[derive(Default)]
pub(crate) struct Files {
    pub records: Vec<Record>,
    pub warnings: Vec<Warning>,
    pub failures: Vec<FastaError>,
}

/// The text of a file, as UTF-8 where it was UTF-16.
struct Text<'i> {
    text: Lookahead<Box<dyn Read + 'i>>,
    compressed: bool,
    /// Bytes behind compressed data, once that was read.
    trailing: Rc<Cell<u64>>,
}

/// The text in `input`, or what it is that isn't text.
fn open<'i>(input: impl Read + 'i) -> Result<Text<'i>, &'static str> {
    let trailing = Rc::new(Cell::new(0));
    let mut bytes: Lookahead<Box<dyn Read + 'i>> = Lookahead::new(Box::new(input));
    let compressed = bytes.peek(HEAD).starts_with(&MAGIC);
    if compressed {
        bytes = Lookahead::new(Box::new(Members::new(bytes, trailing.clone())));
    }
    let head = bytes.peek(HEAD);
    if head.starts_with(&MAGIC) {
        return Err("gzip within gzip (decompress it once)");
    }
    if let Some(what) = kind::binary(head) {
        return Err(what);
    }
    if let Some(encoding) = kind::utf16(head) {
        let decoded = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(bytes);
        bytes = Lookahead::new(Box::new(decoded));
    }
    match kind::text(bytes.peek(HEAD)) {
        Some(what) => Err(what),
        None => Ok(Text { text: bytes, compressed, trailing }),
    }
}

impl Files {
    /// Reads a file, or the standard input if `path` is `-`.
    pub fn open(&mut self, path: &Path, max_len: usize) {
        if path.as_os_str() == "-" {
            return self.read(io::stdin().lock(), "<stdin>", max_len);
        }
        let file = path.display().to_string();
        match File::open(path) {
            Ok(input) => self.read(input, &file, max_len),
            Err(reason) => self.failures.push(FastaError::Unreadable { file, reason }),
        }
    }

    /// Reads what is called `file` in messages.
    pub fn read(&mut self, input: impl Read, file: &str, max_len: usize) {
        let name = file.to_owned();
        let Text { text, compressed, trailing } = match open(input) {
            Ok(text) => text,
            Err(what) => return self.failures.push(FastaError::SomethingElse { file: name, what }),
        };
        let mut records = Records::new(text, file, max_len);
        let before = self.records.len();
        let mut utf8 = true;
        let stop = loop {
            match records.next() {
                Ok(Some(record)) => {
                    if !record.utf8 && std::mem::take(&mut utf8) {
                        self.warnings.push(Warning::NotUtf8 { place: Box::new(record.place.clone()) });
                    }
                    self.records.push(record);
                }
                Ok(None) => break None,
                Err(stop) => break Some(stop),
            }
        };
        if records.mixed_line_ends() {
            self.warnings.push(Warning::MixedLineEnds { file: name.clone() });
        }
        if trailing.get() > 0 {
            self.warnings.push(Warning::TrailingBytes { file: name.clone(), count: trailing.get() });
        }
        match stop {
            None if records.number() == 0 => self.failures.push(FastaError::Empty { file: name }),
            None => {}
            Some(Stop::NoHeader { line, found, bare }) => {
                self.failures.push(FastaError::NoHeader { file: name, line, found, bare });
            }
            Some(Stop::Io(reason, _)) if compressed && is_damage(&reason) => {
                self.records.truncate(before);
                self.failures.push(FastaError::Damaged { file: name, reason });
            }
            Some(Stop::Io(reason, cut)) => {
                let complete = self.records.len() - before;
                self.records.extend(cut.map(|record| *record));
                self.failures.push(if records.number() == 0 {
                    FastaError::Unreadable { file: name, reason }
                } else {
                    FastaError::Cut { file: name, reason, complete }
                });
            }
        }
    }
}

/// Whether an error says that compressed data is wrong, and not only that it ends too early or can't be read.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
}
