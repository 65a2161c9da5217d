//! FASTA input: what is accepted, what is changed with a warning, and what is an error, each with its place.
//!
//! | in the file | becomes |
//! |---|---|
//! | the 20 amino acids, X | themselves; lower case is raised |
//! | B, Z, U, O, J | X, with one warning for the record |
//! | `:` | the end of a chain and the beginning of the next one |
//! | `*` at the end of a chain | dropped |
//! | `*` elsewhere, gaps `-` and `.`, anything else | an error for the record |
//! | spaces and tabs in a sequence line | ignored, as by other readers of FASTA |
//!
//! An error in one record leaves the others usable; only a file that cannot be read as FASTA at all is an error as a whole.

mod error;
mod identifier;
mod residues;

pub use error::{FastaError, Place, RecordError, RecordProblem, Warning};
pub use identifier::file_stem;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use seq_io::fasta::{Reader, Record as _};

/// One accepted record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The header up to the first blank.
    pub id: String,
    /// The whole header line, without the `>`.
    pub header: String,
    /// The identifier made safe as the beginning of a file name; unique within a [`Batch`].
    pub stem: String,
    /// Upper-case letters: the 20 amino acids and X; those of all chains, one chain after another.
    pub residues: Vec<u8>,
    /// How many residues each chain has, at least 1.
    pub chain_lengths: Vec<usize>,
    /// Where its header is.
    pub place: Place,
}

impl Sequence {
    /// A sequence of one chain that is from no file. `residues` are upper-case letters.
    pub fn from_residues(id: &str, residues: Vec<u8>) -> Self {
        let place = Place { file: "<memory>".into(), line: 1, column: None, record: 1, id: id.into() };
        let chain_lengths = vec![residues.len()];
        Self { id: id.into(), header: id.into(), stem: file_stem(id), residues, chain_lengths, place }
    }

    /// The residues of each chain.
    pub fn chains(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.residues.as_slice();
        self.chain_lengths.iter().map(move |&length| {
            let (chain, others) = rest.split_at(length.min(rest.len()));
            rest = others;
            chain
        })
    }
}

/// Everything that was in a file.
#[derive(Debug, Default)]
pub struct Batch {
    /// Accepted records in the file's order.
    pub sequences: Vec<Sequence>,
    /// Records that cannot be run, in the file's order.
    pub rejected: Vec<RecordError>,
    /// What was changed in accepted records.
    pub warnings: Vec<Warning>,
}

impl Batch {
    /// The batch for a computation over single chains: records of several are rejected.
    #[must_use]
    pub fn single_chains(mut self) -> Self {
        let several = self.sequences.extract_if(.., |sequence| sequence.chain_lengths.len() > 1);
        self.rejected.extend(several.map(|sequence| RecordError {
            place: Box::new(sequence.place),
            problem: RecordProblem::SeveralChains { chains: sequence.chain_lengths.len() },
        }));
        self.rejected.sort_by_key(|error| error.place.record);
        self
    }
}

/// Reads a FASTA file, plain or gzipped (recognised by its content); `-` is the standard input.
///
/// # Errors
/// [`FastaError`] if there is no usable FASTA at all: unreadable, empty, or text before the first header. Problems of
/// single records are in [`Batch::rejected`].
pub fn read_path(path: &Path, max_len: usize) -> Result<Batch, FastaError> {
    let (name, input): (String, Box<dyn Read>) = if path.as_os_str() == "-" {
        ("<stdin>".into(), Box::new(io::stdin().lock()))
    } else {
        let name = path.display().to_string();
        let unreadable = |reason| FastaError::Unreadable { file: name.clone(), reason };
        let file = File::open(path).map_err(unreadable)?;
        // Opening a directory succeeds on Unix; only reading it fails, with a less helpful message.
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")));
        }
        (name, Box::new(file))
    };
    read(input, &name, max_len)
}

/// Reads FASTA, plain or gzipped, from anywhere; `file` is its name in messages.
///
/// # Errors
/// As [`read_path`].
pub fn read(input: impl Read, file: &str, max_len: usize) -> Result<Batch, FastaError> {
    let mut input = BufReader::new(input);
    let unreadable = |reason| FastaError::Unreadable { file: file.to_owned(), reason };
    if input.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]) {
        records(MultiGzDecoder::new(input), file, max_len)
    } else {
        records(input, file, max_len)
    }
}

fn records(input: impl Read, file: &str, max_len: usize) -> Result<Batch, FastaError> {
    let mut reader = Reader::new(input);
    let mut batch = Batch::default();
    let mut seen = Seen::default();
    let mut number = 0;
    while let Some(record) = reader.next() {
        let record = record.map_err(|e| FastaError::from_reader(e, file))?;
        number += 1;
        // The reader counts lines from 1 and has just moved to this record's header.
        let header = record.head().to_vec();
        let lines: Vec<Vec<u8>> = record.seq_lines().map(<[u8]>::to_vec).collect();
        let line = reader.position().map_or(0, |p| p.line());
        let id = identifier::from_header(&header);
        let place = Place { file: file.to_owned(), line, column: None, record: number, id: id.clone() };
        match accept(id, &header, &lines, &place, max_len, &mut seen) {
            Ok((sequence, warning)) => {
                batch.sequences.push(sequence);
                batch.warnings.extend(warning);
            }
            Err(error) => batch.rejected.push(error),
        }
    }
    if number == 0 {
        return Err(FastaError::Empty { file: file.to_owned() });
    }
    Ok(batch)
}

/// Identifiers and file stems so far, with the line of their header.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, u64>,
    stems: HashMap<String, (String, u64)>,
}

fn accept(
    id: String,
    header: &[u8],
    lines: &[Vec<u8>],
    place: &Place,
    max_len: usize,
    seen: &mut Seen,
) -> Result<(Sequence, Option<Warning>), RecordError> {
    let fail = |problem| RecordError { place: Box::new(place.clone()), problem };
    if id.is_empty() {
        return Err(fail(RecordProblem::NoIdentifier));
    }
    if let Some(&first_line) = seen.ids.get(&id) {
        return Err(fail(RecordProblem::DuplicateIdentifier { first_line }));
    }
    seen.ids.insert(id.clone(), place.line);
    let residues::Cleaned { residues, chains, replaced } = residues::clean(lines, place)?;
    if residues.len() > max_len {
        return Err(fail(RecordProblem::TooLong { length: residues.len(), max_len }));
    }
    let stem = file_stem(&id);
    if let Some((other, line)) = seen.stems.get(&stem) {
        let (other, line) = (other.clone(), *line);
        return Err(fail(RecordProblem::SameFileName { stem, other, line }));
    }
    seen.stems.insert(stem.clone(), (id.clone(), place.line));
    let warning = replaced.map(|replaced| Warning { place: place.clone(), replaced });
    let header = String::from_utf8_lossy(header).into_owned();
    Ok((Sequence { id, header, stem, residues, chain_lengths: chains, place: place.clone() }, warning))
}

#[cfg(test)]
mod tests;
