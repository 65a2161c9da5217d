//! Several chains as the one sequence that the language model reads.
//!
//! Source: fair-esm, `esmfold/v1/misc.py`, `encode_sequence`: chains are joined by 25 glycines, and residue numbers jump by
//! 512, farther than any relative position that the trunk tells apart. The language model alone numbers residues by their places,
//! and sees chains joined in the same way. Linkers are cut from every output.

use foldpoint_core::heads::LINKER;

/// Residues between two chains.
pub const LINKER_LENGTH: usize = 25;
/// What a linker is made of.
const LINKER_RESIDUE: u8 = b'G';
/// How far residue numbers jump from chain to chain.
const JUMP: i32 = 512;

/// Chains with linkers between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Upper-case letters.
    pub residues: Vec<u8>,
    /// Number of each residue: its place, and 512 more for each chain before.
    pub residue_index: Vec<i32>,
    /// Chain of each residue from 0, or [`LINKER`].
    pub chains: Vec<u16>,
}

impl Joined {
    /// Joins chains. There can't be more than 65,535 that a folding model has room for, so that their numbers need no check.
    pub fn new<'s>(chains: impl Iterator<Item = &'s [u8]>) -> Self {
        let mut joined = Self::default();
        for (number, chain) in chains.enumerate() {
            if number > 0 {
                // fair-esm numbers a linker as the chain before it.
                joined.extend(&[LINKER_RESIDUE; LINKER_LENGTH], number - 1, Some(LINKER));
            }
            joined.extend(chain, number, None);
        }
        joined
    }

    fn extend(&mut self, residues: &[u8], number: usize, chain: Option<u16>) {
        let chain = chain.unwrap_or(u16::try_from(number).unwrap_or(LINKER - 1));
        let jump = JUMP.saturating_mul(i32::try_from(number).unwrap_or(i32::MAX));
        for &residue in residues {
            let place = i32::try_from(self.residues.len()).unwrap_or(i32::MAX);
            self.residues.push(residue);
            self.residue_index.push(place.saturating_add(jump));
            self.chains.push(chain);
        }
    }

    /// How long chains of these lengths are once they are joined.
    pub fn length(chains: &[usize]) -> usize {
        chains.iter().sum::<usize>() + LINKER_LENGTH * chains.len().saturating_sub(1)
    }

    /// The most chains that so many residues can be, linkers included.
    pub fn most_chains(length: usize) -> usize {
        length.saturating_add(LINKER_LENGTH).div_euclid(LINKER_LENGTH + 1)
    }

    /// Places of the residues that are no linker's.
    pub fn kept(&self) -> impl Iterator<Item = usize> + Clone {
        self.chains.iter().enumerate().filter(|&(_, &chain)| chain != LINKER).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chain_is_itself() {
        let joined = Joined::new([&b"MKV"[..]].into_iter());
        assert_eq!(joined.residues, b"MKV");
        assert_eq!((joined.residue_index, joined.chains), (vec![0, 1, 2], vec![0; 3]));
    }

    #[test]
    fn there_are_never_more_chains_than_counted() {
        assert_eq!([0, 1, 26, 27, 52, 53].map(Joined::most_chains), [0, 1, 1, 2, 2, 3]);
        for chains in 1..40 {
            let shortest = Joined::length(&vec![1; chains]);
            assert_eq!(
                (Joined::most_chains(shortest), Joined::most_chains(shortest - 1)),
                (chains, chains - 1)
            );
        }
    }

    #[test]
    fn three_chains_as_fair_esm_joins_them() {
        let joined = Joined::new([&b"MK"[..], b"V", b"AC"].into_iter());
        let linker = "G".repeat(25);
        assert_eq!(joined.residues, format!("MK{linker}V{linker}AC").as_bytes());
        assert_eq!(joined.residues.len(), Joined::length(&[2, 1, 2]));
        assert_eq!(joined.kept().collect::<Vec<_>>(), [0, 1, 27, 53, 54]);
        assert_eq!(joined.residue_index[..3], [0, 1, 2]);
        assert_eq!(joined.residue_index[26..29], [26, 27 + 512, 28 + 512]);
        assert_eq!(joined.residue_index[52..], [52 + 512, 53 + 1024, 54 + 1024]);
        assert_eq!(joined.chains[26..29], [LINKER, 1, LINKER]);
        assert_eq!(joined.chains[54], 2);
    }
}
