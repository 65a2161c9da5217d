//! Residue types in AlphaFold's order, and what geometry is known of each.

use std::sync::LazyLock;

use foldpoint_core::alphabet;

use super::residue_atoms::{AMINO_ACIDS, ATOM_TYPES, Atom, ResidueAtoms};
use super::rigid::{Rigid, cross, dot, minus, scaled, squared_norm};

/// Places of the `atom14` layout.
pub const ATOM14: usize = 14;
/// Rigid groups of a residue.
pub const GROUPS: usize = 8;

/// One of the 20 amino acids, or X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residue(usize);

impl Residue {
    /// The residue of a language model's token; `None` for any other token.
    pub fn from_token(token: u8) -> Option<Self> {
        let letter = alphabet::letter(token).filter(|_| token <= alphabet::X)?;
        let index = AMINO_ACIDS.iter().position(|acid| acid.letter == letter);
        Some(Self(index.unwrap_or(AMINO_ACIDS.len())))
    }

    /// Its number in AlphaFold's order: 0 to 19, X being 20.
    pub fn index(self) -> usize {
        self.0
    }

    /// Its atoms in the order of `atom14`; X has none.
    pub fn atoms(self) -> &'static [Atom] {
        AMINO_ACIDS.get(self.0).map_or(&[], |acid| acid.atoms)
    }

    /// For each rigid group, its frame in that of the group it hangs on, with its torsion at 0: the backbone for groups 1
    /// to 4, the group before for 5 to 7. Groups that the residue has no atoms in and no torsion for map everything to the
    /// origin, as in AlphaFold's tables.
    pub fn default_frames(self) -> &'static [Rigid; GROUPS] {
        static FRAMES: LazyLock<Vec<[Rigid; GROUPS]>> =
            LazyLock::new(|| AMINO_ACIDS.iter().map(default_frames).chain([[NOWHERE; GROUPS]]).collect());
        &FRAMES[self.0]
    }
}

/// The place in `atom37` of the atom called `name`.
pub fn atom37(name: &str) -> Option<usize> {
    ATOM_TYPES.iter().position(|&known| known == name)
}

const NOWHERE: Rigid = Rigid { rotation: [[0.0; 3]; 3], translation: [0.0; 3] };
const IDENTITY: Rigid =
    Rigid { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], translation: [0.0; 3] };

fn default_frames(acid: &ResidueAtoms) -> [Rigid; GROUPS] {
    let at =
        |name: &str| acid.atoms.iter().find(|atom| atom.name == name).map_or([0.0; 3], |atom| atom.position);
    let (n, ca, c, cb) = (at("N"), at("CA"), at("C"), at("CB"));
    let mut frames = [NOWHERE; GROUPS];
    frames[0] = IDENTITY;
    // Omega moves no atom of its residue.
    frames[1] = IDENTITY;
    frames[2] = axes(minus(n, ca), [1.0, 0.0, 0.0], n);
    frames[3] = axes(minus(c, ca), minus(ca, n), c);
    for chi in 0..acid.chi.len() {
        frames[4 + chi] = match chi {
            0 => axes(minus(cb, ca), minus(n, ca), cb),
            _ => {
                let end = at(acid.chi[chi - 1]);
                axes(end, [-1.0, 0.0, 0.0], end)
            }
        };
    }
    frames
}

/// The frame at `origin` whose x axis is along `x` and whose y axis is in the plane of `x` and `y`.
fn axes(x: [f64; 3], y: [f64; 3], origin: [f64; 3]) -> Rigid {
    let unit = |v: [f64; 3]| scaled(v, 1.0 / squared_norm(v).sqrt());
    let x = unit(x);
    let y = unit(minus(y, scaled(x, dot(y, x))));
    let z = cross(x, y);
    Rigid { rotation: [0, 1, 2].map(|row| [x[row], y[row], z[row]]), translation: origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_residues_in_the_order_of_their_names() {
        assert_eq!(Residue::from_token(5).unwrap().index(), 0);
        assert_eq!(Residue::from_token(24).unwrap().index(), 20);
        let all: Vec<usize> = (4..25).map(|token| Residue::from_token(token).unwrap().index()).collect();
        assert!((0..21).all(|index| all.contains(&index)));
        assert!([0, 2, 3, 25, 32].iter().all(|&token| Residue::from_token(token).is_none()));
        assert!(AMINO_ACIDS.is_sorted_by_key(|acid| acid.name));
    }

    #[test]
    fn every_atom_has_a_place_and_a_group_that_the_residue_has() {
        for (index, acid) in AMINO_ACIDS.iter().enumerate() {
            let frames = Residue(index).default_frames();
            assert!(acid.atoms.len() <= ATOM14);
            for atom in acid.atoms {
                assert!(atom37(atom.name).is_some(), "{}", atom.name);
                assert_ne!(frames[atom.group], NOWHERE, "{} {}", acid.name, atom.name);
            }
            let names: Vec<&str> = acid.atoms.iter().take(4).map(|atom| atom.name).collect();
            assert_eq!(names, ["N", "CA", "C", "O"]);
        }
        assert!(Residue(20).atoms().is_empty());
    }
}
