//! Chains of a complex, joined to the one sequence that the models read.
//!
//! Source: fair-esm, `esmfold/v1/misc.py`, `encode_sequence`: between two chains lie [`LINKER_LENGTH`]
//! glycines, and residue numbers jump by [`INDEX_JUMP`] from chain to chain, farther than any relative
//! position that the trunk tells apart. The language model alone numbers residues by their places, and sees
//! chains joined in the same way. Outputs have rows for linkers too; [`without_linkers`] says which to keep.
//!
//! ```
//! use foldpoint_core::chains::{join, joined_length, without_linkers};
//!
//! const LENGTH: usize = joined_length(&[3, 2]);
//! let chains: [&[u8]; 2] = [b"MKV", b"LY"];
//! let (mut letters, mut residue_index, mut numbers) = ([0; LENGTH], [0; LENGTH], [0; LENGTH]);
//! for (place, residue) in join(chains).enumerate() {
//!     letters[place] = residue.letter;
//!     residue_index[place] = residue.index; // of esmfold's `Input`, as the next
//!     numbers[place] = residue.chain;
//! }
//! assert!(letters.starts_with(b"MKVGGG") && letters.ends_with(b"GGGLY"));
//! assert!(without_linkers(&numbers).eq([0, 1, 2, 28, 29]));
//! ```

use core::iter::repeat_n;

/// The chain number of a linker's residues, which join chains and belong to none.
pub const LINKER: u16 = u16::MAX;
/// Residues between two chains.
pub const LINKER_LENGTH: usize = 25;
/// What a linker is made of: glycine.
pub const LINKER_RESIDUE: u8 = b'G';
/// How far residue numbers jump from chain to chain.
pub const INDEX_JUMP: i32 = 512;

/// A residue of joined chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedResidue {
    /// Its letter.
    pub letter: u8,
    /// Its number: its place among all, and [`INDEX_JUMP`] more for each chain before. A linker counts to the
    /// chain before it.
    pub index: i32,
    /// Its chain from 0, or [`LINKER`].
    pub chain: u16,
}

/// All residues of chains of letters, with linkers between. There can't be more than 65,535 chains that a
/// folding model has room for, so that those beyond need no numbers of their own.
pub fn join<'c>(chains: impl IntoIterator<Item = &'c [u8]>) -> impl Iterator<Item = JoinedResidue> {
    let parts = chains.into_iter().enumerate().flat_map(|(number, letters)| {
        let linker = number.checked_sub(1).map(|before| {
            repeat_n(LINKER_RESIDUE, LINKER_LENGTH).map(move |letter| (letter, before, LINKER))
        });
        let chain = u16::try_from(number).unwrap_or(LINKER).min(LINKER - 1);
        let letters = letters.iter().map(move |&letter| (letter, number, chain));
        linker.into_iter().flatten().chain(letters)
    });
    parts.enumerate().map(|(place, (letter, number, chain))| {
        let place = i32::try_from(place).unwrap_or(i32::MAX);
        let jumps = INDEX_JUMP.saturating_mul(i32::try_from(number).unwrap_or(i32::MAX));
        JoinedResidue { letter, index: place.saturating_add(jumps), chain }
    })
}

/// How long chains of these lengths are once they are joined.
pub const fn joined_length(chains: &[usize]) -> usize {
    let (mut length, mut chain) = (0usize, 0);
    while chain < chains.len() {
        let linker = if chain > 0 { LINKER_LENGTH } else { 0 };
        length = length.saturating_add(linker).saturating_add(chains[chain]);
        chain += 1;
    }
    length
}

/// The most chains that so many residues can be, linkers included.
pub const fn most_chains(length: usize) -> usize {
    length.saturating_add(LINKER_LENGTH) / (LINKER_LENGTH + 1)
}

/// Places of the residues that are no linker's, where `numbers` has the chain of each residue.
pub fn without_linkers(numbers: &[u16]) -> impl Iterator<Item = usize> + Clone {
    numbers.iter().enumerate().filter(|&(_, &chain)| chain != LINKER).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn joined(chains: &[&[u8]]) -> Vec<JoinedResidue> {
        join(chains.iter().copied()).collect()
    }

    #[test]
    fn one_chain_is_itself() {
        let residues = joined(&[b"MKV"]);
        let expected = [(b'M', 0), (b'K', 1), (b'V', 2)].map(|(letter, index)| JoinedResidue {
            letter,
            index,
            chain: 0,
        });
        assert_eq!(residues, expected);
        assert_eq!(joined(&[]), []);
    }

    #[test]
    fn three_chains_as_fair_esm_joins_them() {
        let residues = joined(&[b"MK", b"V", b"AC"]);
        let letters: Vec<u8> = residues.iter().map(|residue| residue.letter).collect();
        let linker = [b'G'; 25];
        assert_eq!(letters, [&b"MK"[..], &linker, b"V", &linker, b"AC"].concat());
        assert_eq!(residues.len(), joined_length(&[2, 1, 2]));
        let index = |place: usize| residues[place].index;
        assert_eq!([0, 1, 26, 27, 28].map(index), [0, 1, 26, 27 + 512, 28 + 512]);
        assert_eq!([52, 53, 54].map(index), [52 + 512, 53 + 1024, 54 + 1024]);
        let numbers: Vec<u16> = residues.iter().map(|residue| residue.chain).collect();
        assert_eq!(numbers[26..29], [LINKER, 1, LINKER]);
        assert_eq!(numbers[54], 2);
        assert!(without_linkers(&numbers).eq([0, 1, 27, 53, 54]));
    }

    #[test]
    fn no_chain_is_taken_for_a_linker() {
        let chains = join(core::iter::repeat_n(&b"M"[..], 65_537));
        let numbers: Vec<u16> = chains.filter(|r| r.letter == b'M').map(|r| r.chain).collect();
        assert_eq!(numbers[65_533..], [65_533, 65_534, 65_534, 65_534]);
    }

    #[test]
    fn there_are_never_more_chains_than_counted() {
        assert_eq!([0, 1, 26, 27, 52, 53].map(most_chains), [0, 1, 1, 2, 2, 3]);
        for chains in 1..40 {
            let shortest = joined_length(&std::vec![1; chains]);
            assert_eq!((most_chains(shortest), most_chains(shortest - 1)), (chains, chains - 1));
        }
        assert_eq!((joined_length(&[]), joined_length(&[usize::MAX, 1])), (0, usize::MAX));
    }
}
