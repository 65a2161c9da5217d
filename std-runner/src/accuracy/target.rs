//! A sequence and its experimental contacts: structures matched to FASTA records and aligned to them.

use std::path::{Path, PathBuf};

use super::structure::{ChainResidue, distance};

/// C-beta atoms nearer than this (in ångström) are a contact.
pub const CONTACT_DISTANCE: f64 = 8.0;
/// Longer sequences are left out.
pub const MAX_LENGTH: usize = 600;
/// Targets with fewer aligned residues are left out.
pub const MIN_RESIDUES: usize = 40;
/// Residue numbers and sequence positions may differ by this much.
const MAX_OFFSET: isize = 60;

/// The resolved residues of a target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Places of the resolved residues in the sequence, from 0, ascending.
    pub positions: Vec<usize>,
    /// For each pair of [`positions`](Self::positions), row-major: are they in contact?
    pub contacts: Vec<bool>,
}

/// Why a structure is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// The sequence is too long.
    #[error("{length} residues, more than {limit}")]
    TooLong {
        /// Its residues.
        length: usize,
        /// Most there may be.
        limit: usize,
    },
    /// Structure and sequence do not belong together, or too little is resolved.
    #[error(
        "{matched} of {resolved} resolved residues agree with the sequence (at least 90% and {least} are needed)"
    )]
    Mismatch {
        /// Residues that agree at the best offset.
        matched: usize,
        /// Residues of the structure.
        resolved: usize,
        /// How many of them must agree.
        least: usize,
    },
}

impl Target {
    /// Aligns a chain to its sequence as [`align`] does.
    ///
    /// # Errors
    /// [`NoTarget`] with the rule that was broken.
    pub fn align(sequence: &[u8], chain: &[ChainResidue]) -> Result<Self, NoTarget> {
        if sequence.len() > MAX_LENGTH {
            return Err(NoTarget::TooLong { length: sequence.len(), limit: MAX_LENGTH });
        }
        let aligned = align(sequence, chain, MIN_RESIDUES, |r| (r.number, r.letter))?;
        let near = |(_, a): &(usize, &ChainResidue), (_, b): &(usize, &ChainResidue)| {
            distance(a.c_beta, b.c_beta) < CONTACT_DISTANCE
        };
        let contacts = aligned.iter().flat_map(|a| aligned.iter().map(move |b| near(a, b))).collect();
        Ok(Self { positions: aligned.iter().map(|&(p, _)| p).collect(), contacts })
    }
}

/// Aligns a chain to its sequence: residue number plus an offset is the position, at the offset (of -60 to 60) where most
/// residues are identical; those that differ are left out. `key` gives a residue's number and letter. Returns residues with
/// their positions, from 0.
///
/// # Errors
/// [`NoTarget::Mismatch`] if fewer than `least` residues or than 90% are identical.
pub fn align<'r, R>(
    sequence: &[u8],
    chain: &'r [R],
    least: usize,
    key: impl Fn(&R) -> (isize, u8),
) -> Result<Vec<(usize, &'r R)>, NoTarget> {
    let place = |r: &R, offset: isize| -> Option<usize> {
        let (number, letter) = key(r);
        let position = usize::try_from(number.checked_add(offset - 1)?).ok()?;
        (*sequence.get(position)? == letter).then_some(position)
    };
    let matches = |offset: isize| chain.iter().filter(|r| place(r, offset).is_some()).count();
    // The first of equally good offsets.
    let offset = (-MAX_OFFSET..=MAX_OFFSET).rev().max_by_key(|&o| matches(o)).unwrap_or(0);
    let aligned: Vec<(usize, &'r R)> = chain.iter().filter_map(|r| Some((place(r, offset)?, r))).collect();
    let (matched, resolved) = (aligned.len(), chain.len());
    if matched * 10 < resolved * 9 || matched < least {
        return Err(NoTarget::Mismatch { matched, resolved, least });
    }
    Ok(aligned)
}

/// Structure files (`.pdb`, `.pdb.gz`) of a folder with their stems, sorted by path.
///
/// # Errors
/// The system's, if the folder cannot be read.
pub fn structure_files(dir: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix(".pdb").or_else(|| name.strip_suffix(".pdb.gz")) {
            files.push((stem.to_owned(), path));
        }
    }
    files.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(files)
}

/// Does the structure `stem` belong to the record `id`? It must equal the identifier, or what is before its first `_`.
pub fn names_match(stem: &str, id: &str) -> bool {
    stem == id || id.split_once('_').is_some_and(|(entry, _)| entry == stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A straight chain, residues `spacing` ångström apart.
    fn chain(sequence: &[u8], first: isize, spacing: f64) -> Vec<ChainResidue> {
        let residue = |(i, &letter): (usize, &u8)| ChainResidue {
            number: first + i as isize,
            letter,
            c_beta: [i as f64 * spacing, 0.0, 0.0],
        };
        sequence.iter().enumerate().map(residue).collect()
    }

    const SEQUENCE: &[u8] = b"MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG";

    #[test]
    fn offsets_are_found() {
        for first in [1, -20, 41] {
            let mut residues = chain(SEQUENCE, first, 3.8);
            residues.drain(10..14);
            let target = Target::align(SEQUENCE, &residues).expect("a target");
            assert_eq!(target.positions.len(), SEQUENCE.len() - 4);
            assert_eq!(target.positions[9..12], [9, 14, 15]);
        }
    }

    #[test]
    fn contacts_are_nearer_than_eight() {
        let target = Target::align(SEQUENCE, &chain(SEQUENCE, 1, 3.8)).expect("a target");
        let n = target.positions.len();
        let row: Vec<bool> = target.contacts[..n].to_vec();
        assert_eq!(row[..4], [true, true, true, false]);
        let exact = Target::align(SEQUENCE, &chain(SEQUENCE, 1, 4.0)).expect("a target");
        assert_eq!(exact.contacts[..3], [true, true, false]);
    }

    #[test]
    fn what_is_left_out() {
        let other = SEQUENCE.iter().rev().copied().collect::<Vec<u8>>();
        assert!(matches!(Target::align(SEQUENCE, &chain(&other, 1, 3.8)), Err(NoTarget::Mismatch { .. })));
        let short = chain(&SEQUENCE[..39], 1, 3.8);
        assert_eq!(
            Target::align(SEQUENCE, &short).err(),
            Some(NoTarget::Mismatch { matched: 39, resolved: 39, least: 40 })
        );
        let too_long = NoTarget::TooLong { length: 601, limit: 600 };
        assert_eq!(Target::align(&[b'A'; 601], &[]).err(), Some(too_long));
        assert!(Target::align(SEQUENCE, &chain(SEQUENCE, isize::MAX - 100, 3.8)).is_err());
    }

    #[test]
    fn names() {
        assert!(names_match("7ACY", "7ACY_B") && names_match("7ACY_B", "7ACY_B") && names_match("x", "x"));
        assert!(!names_match("7ACY", "7ACYB") && !names_match("7ACY_B", "7ACY"));
    }
}
