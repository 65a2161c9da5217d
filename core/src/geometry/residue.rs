//! Residue types in AlphaFold's order.

use super::residue_atoms::{AMINO_ACIDS, Atom, ResidueAtoms};
use crate::alphabet;

/// Places of the `atom14` layout.
pub const ATOM14: usize = 14;

/// Rigid groups of a residue.
pub const GROUPS: usize = 8;

/// One of the 20 amino acids, or X.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Residue(u8);

impl Residue {
    /// A residue of unknown type. It has a frame but no atoms.
    pub const X: Self = Self(AMINO_ACIDS.len() as u8);

    /// The residue of a language model's token, 4 to 24; `None` for any other token.
    pub fn from_token(token: u8) -> Option<Self> {
        let letter = alphabet::letter(token).filter(|_| token <= alphabet::X)?;
        let index = AMINO_ACIDS.iter().position(|acid| acid.letter == letter);
        Some(index.map_or(Self::X, |index| Self(index as u8)))
    }

    /// The residue with this number in AlphaFold's order, 0 to 20; `None` for any other number.
    pub const fn from_index(index: usize) -> Option<Self> {
        if index <= AMINO_ACIDS.len() { Some(Self(index as u8)) } else { None }
    }

    /// Its number in AlphaFold's order: 0 to 19, X being 20.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its letter.
    pub fn letter(self) -> char {
        self.acid().map_or('X', |acid| char::from(acid.letter))
    }

    /// Its name in the PDB: `"ALA"` and so on, `"UNK"` for X.
    pub fn name(self) -> &'static str {
        self.acid().map_or("UNK", |acid| acid.name)
    }

    /// Its atoms in the order of `atom14`; X has none.
    pub fn atoms(self) -> &'static [Atom] {
        self.acid().map_or(&[], |acid| acid.atoms)
    }

    /// The last of the four atoms of each chi angle that it has.
    pub fn chi_atoms(self) -> &'static [&'static str] {
        self.acid().map_or(&[], |acid| acid.chi)
    }

    fn acid(self) -> Option<&'static ResidueAtoms> {
        AMINO_ACIDS.get(self.index())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ATOM_NAMES;
    use std::vec::Vec;

    #[test]
    fn tokens_name_residues_in_the_order_of_their_names() {
        let residue = |token| Residue::from_token(token).unwrap();
        assert_eq!((residue(5).index(), residue(5).letter(), residue(5).name()), (0, 'A', "ALA"));
        assert_eq!((residue(24), residue(24).letter(), residue(24).name()), (Residue::X, 'X', "UNK"));
        let mut all: Vec<usize> = (4..25).map(|token| residue(token).index()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..21));
        assert!([0, 2, 3, 25, 32, 255].iter().all(|&token| Residue::from_token(token).is_none()));
        assert!(AMINO_ACIDS.is_sorted_by_key(|acid| acid.name));
        assert_eq!((Residue::from_index(20), Residue::from_index(21)), (Some(Residue::X), None));
    }

    #[test]
    fn every_atom_has_a_place_and_every_group_a_torsion() {
        for acid in &AMINO_ACIDS {
            assert!(acid.atoms.len() <= ATOM14);
            let names: Vec<&str> = acid.atoms.iter().take(4).map(|atom| atom.name).collect();
            assert_eq!(names, ["N", "CA", "C", "O"]);
            for atom in acid.atoms {
                assert!(ATOM_NAMES.contains(&atom.name), "{}", atom.name);
                let chi = usize::from(atom.group).saturating_sub(3);
                assert!([0, 3].contains(&atom.group) || (1..=acid.chi.len()).contains(&chi), "{}", acid.name);
            }
            for (chi, name) in acid.chi.iter().enumerate() {
                let last = acid.atoms.iter().find(|atom| atom.name == *name).unwrap();
                assert_eq!(usize::from(last.group), 4 + chi, "{} {name}", acid.name);
            }
        }
        assert!(Residue::X.atoms().is_empty() && Residue::X.chi_atoms().is_empty());
    }
}
