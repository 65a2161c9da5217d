//! FASTA input: what is accepted, what is changed with a warning, and what is an error, each with its place.
//!
//! | in the file | becomes |
//! |---|---|
//! | the 20 amino acids, X | themselves; lower case is raised |
//! | B, Z, U, O, J | X, with one warning for the record; [`Batch::read_rare`] reads them otherwise |
//! | `_` or `<mask>` | [`MASK`] |
//! | `:` or `/` | the end of a chain and the beginning of the next one |
//! | `*` at the end of a chain | dropped |
//! | `*` elsewhere, gaps `-` and `.`, `>` inside a line, anything else | an error for the record |
//! | blanks in and around a line, of any script | ignored, as by other readers of FASTA |
//! | a line that begins with `;` | a comment; if residues come before any `>`, the first such line is their header |
//!
//! Lines end with LF, CRLF or CR, each as it likes. Text is UTF-8 or UTF-16, with a byte order mark or
//! without; headers that are neither are read as Windows-1252. Gzip is recognised by its content, of several
//! members too.
//!
//! An error in one record leaves the others usable, and an unreadable file the other files. A record that
//! isn't understood is an error; never does a record get another's residues.

mod error;
mod file;
mod gzip;
mod kind;
mod lines;
mod lookahead;
pub mod names;
mod paths;
mod place;
mod records;
mod residues;
mod text;

pub use error::{FastaError, Found, RecordError, RecordProblem, Warning};
pub use names::ascii_name;
pub use place::Place;
pub use residues::MASK;

use std::io::Read;
use std::path::Path;

use file::Files;
use names::Names;
use records::Record;

/// One accepted record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// What tables show: the first word of the header as it was typed, or the stem where that is missing or
    /// another record of the run has it too. Unique within a [`Batch`]; [`Place::id`] is always the word as
    /// it was typed.
    pub id: String,
    /// The whole header line, without the `>` and without blanks around it.
    pub header: String,
    /// The beginning of its files' names ([`names`]); unique within a [`Batch`], also if case is ignored.
    pub stem: String,
    /// Upper-case letters, the 20 amino acids and X, or [`MASK`]; those of all chains, one chain after
    /// another.
    pub residues: Vec<u8>,
    /// Places in `residues` of rare letters, which are X there unless [`Batch::read_rare`] says otherwise,
    /// and the letters.
    pub rare: Vec<(usize, u8)>,
    /// How many residues each chain has, at least 1.
    pub chain_lengths: Vec<usize>,
    /// Where the first mask is, if there is one.
    pub mask: Option<Box<Place>>,
    /// Where its header is.
    pub place: Place,
    /// Its number among all records of the run, rejected ones too, from 0.
    pub index: usize,
}

impl Sequence {
    /// A sequence of one chain that is from no file. `residues` are upper-case letters.
    pub fn from_residues(id: &str, residues: Vec<u8>) -> Self {
        let place = Place { file: "<memory>".into(), line: 1, column: None, record: 1, id: id.into() };
        let chain_lengths = vec![residues.len()];
        let stem = ascii_name(id);
        let (id, header) = (id.into(), id.into());
        Self { id, header, stem, residues, rare: vec![], chain_lengths, mask: None, place, index: 0 }
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

    fn rejected(self, place: Place, problem: RecordProblem) -> RecordError {
        let Self { id, header, stem, index, place: Place { line: header_line, .. }, .. } = self;
        RecordError { place: Box::new(place), id, header, header_line, stem, index, problem }
    }
}

/// Everything that was in the files of a run.
#[derive(Debug, Default)]
#[must_use]
pub struct Batch {
    /// Accepted records in the files' order.
    pub sequences: Vec<Sequence>,
    /// Records that cannot be run, in the files' order.
    pub rejected: Vec<RecordError>,
    /// What was changed in accepted records, and what else deserves a second look.
    pub warnings: Vec<Warning>,
    /// Files that were not read, or not to their end.
    pub failures: Vec<FastaError>,
}

impl Batch {
    /// The batch for a computation over single chains: records of several are rejected.
    pub fn single_chains(self) -> Self {
        self.reject(|sequence| {
            let chains = sequence.chain_lengths.len();
            (chains > 1).then(|| (sequence.place.clone(), RecordProblem::SeveralChains { chains }))
        })
    }

    /// The batch for a computation that needs every residue, such as folding: records with a mask are
    /// rejected.
    pub fn without_masks(self) -> Self {
        self.reject(|sequence| Some((Place::clone(sequence.mask.as_ref()?), RecordProblem::Masked)))
    }

    /// The batch for a model that reads B, Z, U, O and J in its own way: as the letter that `read` gives for
    /// each, which may be the same. The warnings are about those that aren't.
    pub fn read_rare(mut self, read: impl Fn(u8) -> u8) -> Self {
        self.warnings.retain(|warning| !matches!(warning, Warning::Replaced { .. }));
        for sequence in &mut self.sequences {
            for &(place, letter) in &sequence.rare {
                sequence.residues[place] = read(letter);
            }
            self.warnings.extend(replaced(&sequence.place, &sequence.rare, &read));
        }
        self
    }

    fn reject(mut self, problem: impl Fn(&Sequence) -> Option<(Place, RecordProblem)>) -> Self {
        let (mut accepted, rejected) = (Vec::new(), &mut self.rejected);
        for sequence in self.sequences {
            match problem(&sequence) {
                None => accepted.push(sequence),
                Some((place, problem)) => rejected.push(sequence.rejected(place, problem)),
            }
        }
        rejected.sort_by_key(|error| error.index);
        Self { sequences: accepted, ..self }
    }

    fn new(files: Files) -> Self {
        let mut names = Names::default();
        for record in &files.records {
            names.add(&record.header, &record.place.file, record.place.record);
        }
        let mut batch = Self { warnings: files.warnings, failures: files.failures, ..Self::default() };
        for (index, (record, name)) in files.records.into_iter().zip(names.assign()).enumerate() {
            batch.add(record, name, index);
        }
        batch
    }

    fn add(&mut self, record: Record, name: names::Name, index: usize) {
        let Record { place, header, body, .. } = record;
        let names::Name { id, stem } = name;
        match body {
            Ok(cleaned) => {
                self.warnings.extend(replaced(&place, &cleaned.rare, |_| b'X'));
                if let Some(chain) = cleaned.nucleotides {
                    self.warnings.push(Warning::Nucleotides { place: Box::new(place.clone()), chain });
                }
                let mask = cleaned.mask.map(|spot| Box::new(place.at(spot)));
                let (residues, rare, chain_lengths) = (cleaned.residues, cleaned.rare, cleaned.chains);
                self.sequences.push(Sequence {
                    id,
                    header,
                    stem,
                    residues,
                    rare,
                    chain_lengths,
                    mask,
                    place,
                    index,
                });
            }
            Err((spot, problem)) => {
                let header_line = place.line;
                let place = Box::new(spot.map_or_else(|| place.clone(), |spot| place.at(spot)));
                self.rejected.push(RecordError { place, id, header, header_line, stem, index, problem });
            }
        }
    }
}

/// A warning, if some letters of a record are read as others.
fn replaced(place: &Place, rare: &[(usize, u8)], read: impl Fn(u8) -> u8) -> Option<Warning> {
    let changed =
        rare.iter().map(|&(_, letter)| (letter, read(letter))).filter(|(letter, read)| letter != read);
    let count = changed.clone().count();
    let (mut letters, mut read_as): (String, Vec<String>) = Default::default();
    for (letter, read) in changed.map(|(letter, read)| (char::from(letter), char::from(read))) {
        if !letters.contains(letter) {
            letters.push(letter);
            read_as.push(read.to_string());
        }
    }
    if read_as.iter().all(|read| *read == read_as[0]) {
        read_as.truncate(1);
    }
    let place = Box::new(place.clone());
    (count > 0).then(|| Warning::Replaced { place, count, letters, read_as: read_as.join(", ") })
}

/// Reads files, folders of files (`*.fa`, `*.fas`, `*.fasta`, `*.faa`, and the same with `.gz`) and, as `-`,
/// the standard input. What is wrong with one of them, or with a record, is in the batch.
pub fn read_paths(paths: &[impl AsRef<Path>], max_len: usize) -> Batch {
    let mut files = Files::default();
    let paths = paths::files(paths, &mut files.warnings);
    for path in paths {
        match path {
            Ok(path) => files.open(&path, max_len),
            Err(error) => files.failures.push(error),
        }
    }
    Batch::new(files)
}

/// Reads from anywhere; `file` is its name in messages.
pub fn read(input: impl Read, file: &str, max_len: usize) -> Batch {
    let mut files = Files::default();
    files.read(input, file, max_len);
    Batch::new(files)
}

#[cfg(test)]
mod tests;
