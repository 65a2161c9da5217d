//! Sequences to calibrate with or to run, as tokens.

use std::path::{Path, PathBuf};

use seq_io::fasta::{Error, Reader, Record as _};

/// The 20 amino acids and X in the order of their tokens, from [`FIRST_RESIDUE`] on.
const RESIDUES: &[u8; 21] = b"LAGVSERTIDPKQNFYMHWCX";
const FIRST_RESIDUE: u8 = 4;
const CLS: u8 = 0;
const EOS: u8 = 2;
const X: u8 = FIRST_RESIDUE + 20;

/// One sequence of a FASTA file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The header up to the first blank. Several sequences of a file may share it.
    pub id: String,
    /// Token numbers, from `<cls>` to `<eos>`.
    pub tokens: Vec<u8>,
    /// How many residues were read as X without being X.
    pub replaced: usize,
}

impl Sequence {
    /// Residues, not counting `<cls>` and `<eos>`.
    pub fn residues(&self) -> usize {
        self.tokens.len().saturating_sub(2)
    }
}

/// Why a FASTA file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FastaError {
    /// It can't be read, or does not begin with a header.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Error,
    },
    /// It has no sequences.
    #[error("{}: no sequences in it; expected FASTA", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A header without residues.
    #[error("{}: record {record} ({id}), line {line}: no residues", path.display())]
    NoResidues {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 1.
        record: usize,
        /// Its identifier.
        id: String,
        /// Line of its header, from 1.
        line: u64,
    },
}

/// Reads the FASTA file at `path`. Lower case is raised, blanks and a final `*` are dropped, and whatever is none of the
/// 20 amino acids becomes X.
///
/// # Errors
/// The file can't be read, is no FASTA, or has a record without residues.
pub fn read(path: &Path) -> Result<Vec<Sequence>, FastaError> {
    let unreadable = |source| FastaError::Unreadable { path: path.into(), source };
    let mut reader = Reader::from_path(path).map_err(|e| unreadable(Error::Io(e)))?;
    let mut sequences = Vec::new();
    while let Some(record) = reader.next() {
        let record = record.map_err(unreadable)?;
        let id = String::from_utf8_lossy(record.id_bytes()).into_owned();
        let sequence = sequence(id, record.seq_lines().flatten());
        if sequence.residues() == 0 {
            return Err(FastaError::NoResidues {
                path: path.into(),
                record: sequences.len() + 1,
                id: sequence.id,
                line: reader.position().map_or(0, |position| position.line()),
            });
        }
        sequences.push(sequence);
    }
    if sequences.is_empty() { Err(FastaError::Empty { path: path.into() }) } else { Ok(sequences) }
}

fn sequence<'a>(id: String, letters: impl Iterator<Item = &'a u8>) -> Sequence {
    let mut residues: Vec<u8> = letters.filter(|l| !l.is_ascii_whitespace()).copied().collect();
    residues.pop_if(|last| *last == b'*');
    let mut tokens = vec![CLS];
    let mut replaced = 0;
    for letter in residues {
        let place = (FIRST_RESIDUE..).zip(RESIDUES).find(|(_, r)| r.eq_ignore_ascii_case(&letter));
        replaced += usize::from(place.is_none());
        tokens.push(place.map_or(X, |(token, _)| token));
    }
    tokens.push(EOS);
    Sequence { id, tokens, replaced }
}

/// `id` made safe as the beginning of a file name, by the rule that the runner has: ASCII letters, digits and `_-+=@.` stay,
/// all else becomes `_`, and so does a leading `.`; 200 bytes at most.
pub fn file_stem(id: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "_-+=@.".contains(c);
    let mut stem: String = id.chars().map(|c| if keep(c) { c } else { '_' }).take(200).collect();
    if stem.starts_with('.') {
        stem.replace_range(..1, "_");
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Sequence>, FastaError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fasta");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn letters_become_tokens() {
        let sequences = read_text(">a first\nMKl\n w*\n>b\r\nUJx\r\n-C").unwrap();
        assert_eq!(sequences[0], Sequence { id: "a".into(), tokens: vec![0, 20, 15, 4, 22, 2], replaced: 0 });
        assert_eq!(
            sequences[1],
            Sequence { id: "b".into(), tokens: vec![0, 24, 24, 24, 24, 23, 2], replaced: 3 }
        );
        assert_eq!(sequences[1].residues(), 5);
    }

    #[test]
    fn an_identifier_may_occur_twice() {
        let sequences = read_text(">a\nM\n>a\nK\n").unwrap();
        assert_eq!(sequences.len(), 2);
    }

    #[test]
    fn what_is_no_fasta_is_an_error_with_its_place() {
        assert!(matches!(read_text(""), Err(FastaError::Empty { .. })));
        assert!(matches!(read_text("MKL\n"), Err(FastaError::Unreadable { .. })));
        let error = read_text(">a\nMK\n>b\n>c\nM\n").unwrap_err().to_string();
        assert!(error.ends_with("x.fasta: record 2 (b), line 3: no residues"), "{error}");
        assert!(matches!(read(Path::new("absent")), Err(FastaError::Unreadable { .. })));
    }

    #[test]
    fn stems_name_files_in_their_folder() {
        assert_eq!(file_stem("sp|P0CG48|UBC_HUMAN"), "sp_P0CG48_UBC_HUMAN");
        assert_eq!(file_stem("../../etc/passwd"), "_._.._etc_passwd");
        assert_eq!(file_stem(&"a".repeat(300)).len(), 200);
    }
}
