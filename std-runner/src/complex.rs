//! Chains of a record as the one sequence that the models read ([`chains`](foldpoint_core::chains) joins
//! them).

use foldpoint_core::chains::{join, without_linkers};

/// Chains with linkers between them; a single one is itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complex {
    /// Upper-case letters.
    pub residues: Vec<u8>,
    /// Number of each residue: its place, and 512 more for each chain before.
    pub residue_index: Vec<i32>,
    /// Chain of each residue from 0, or [`LINKER`](foldpoint_core::chains::LINKER).
    pub chains: Vec<u16>,
}

impl Complex {
    /// Joins chains.
    pub fn new<'s>(chains: impl Iterator<Item = &'s [u8]>) -> Self {
        let mut complex = Self::default();
        for residue in join(chains) {
            complex.residues.push(residue.letter);
            complex.residue_index.push(residue.index);
            complex.chains.push(residue.chain);
        }
        complex
    }

    /// Places of the residues that are no linker's.
    pub fn kept(&self) -> impl Iterator<Item = usize> + Clone {
        without_linkers(&self.chains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::chains::{LINKER, joined_length};

    #[test]
    fn chains_are_held_as_they_are_joined() {
        let complex = Complex::new([&b"MK"[..], b"V"].into_iter());
        assert_eq!(complex.residues, format!("MK{}V", "G".repeat(25)).as_bytes());
        assert_eq!(complex.residues.len(), joined_length(&[2, 1]));
        assert_eq!((complex.residue_index.len(), complex.residue_index[27]), (28, 27 + 512));
        assert_eq!((complex.chains.len(), complex.chains[2], complex.chains[27]), (28, LINKER, 1));
        assert_eq!(complex.kept().collect::<Vec<_>>(), [0, 1, 27]);
    }
}
