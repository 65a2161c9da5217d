//! What the float reference needs of each residue's geometry.
//!
//! Residues and the table of their atoms are core's. No second table is needed to hold it: PyTorch's own is
//! in the positions of `tests/golden/esmfold-tiny`, which has all 21 residue types.

use std::sync::LazyLock;

use foldpoint_core::geometry::{ATOM_NAMES, Atom};
pub use foldpoint_core::geometry::{ATOM14, GROUPS, Residue};

use super::rigid::{Rigid, cross, dot, minus, scaled, squared_norm};

/// For each rigid group of a residue, its frame in that of the group it hangs on, with its torsion at 0: the
/// backbone for groups 1 to 4, the group before for 5 to 7. Groups that the residue has no atoms in and no
/// torsion for map everything to the origin, as in AlphaFold's tables.
pub fn default_frames(residue: Residue) -> &'static [Rigid; GROUPS] {
    static FRAMES: LazyLock<Vec<[Rigid; GROUPS]>> =
        LazyLock::new(|| (0..).map_while(Residue::from_index).map(make_default_frames).collect());
    &FRAMES[residue.index()]
}

/// Where an atom is in the frame of its group, in angstroms.
pub fn position(atom: &Atom) -> [f64; 3] {
    atom.position.map(|thousandths| f64::from(thousandths) / 1000.0)
}

/// The place in `atom37` of the atom called `name`.
pub fn atom37(name: &str) -> Option<usize> {
    ATOM_NAMES.iter().position(|&known| known == name)
}

const NOWHERE: Rigid = Rigid { rotation: [[0.0; 3]; 3], translation: [0.0; 3] };
const IDENTITY: Rigid =
    Rigid { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], translation: [0.0; 3] };

fn make_default_frames(residue: Residue) -> [Rigid; GROUPS] {
    let at = |name: &str| residue.atoms().iter().find(|atom| atom.name == name).map_or([0.0; 3], position);
    let (n, ca, c, cb) = (at("N"), at("CA"), at("C"), at("CB"));
    let mut frames = [NOWHERE; GROUPS];
    if residue == Residue::X {
        return frames;
    }
    frames[0] = IDENTITY;
    // Omega moves no atom of its residue.
    frames[1] = IDENTITY;
    frames[2] = axes(minus(n, ca), [1.0, 0.0, 0.0], n);
    frames[3] = axes(minus(c, ca), minus(ca, n), c);
    let chi_atoms = residue.chi_atoms();
    for chi in 0..chi_atoms.len() {
        frames[4 + chi] = match chi {
            0 => axes(minus(cb, ca), minus(n, ca), cb),
            _ => {
                let end = at(chi_atoms[chi - 1]);
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
    fn every_atom_has_a_group_that_the_residue_has() {
        for residue in (0..).map_while(Residue::from_index) {
            let frames = default_frames(residue);
            for atom in residue.atoms() {
                assert!(atom37(atom.name).is_some(), "{}", atom.name);
                assert_ne!(frames[usize::from(atom.group)], NOWHERE, "{} {}", residue.name(), atom.name);
            }
        }
        assert_eq!(default_frames(Residue::X), &[NOWHERE; GROUPS]);
    }
}
