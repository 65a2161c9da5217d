//! From frames and torsions to atoms.

use super::residues::{ATOM14, GROUPS, Residue, atom37, default_frames, position};
use super::rigid::Rigid;
use crate::table::{ATOM_TYPES, TORSIONS};

/// The frames of a residue's eight rigid groups in the world, in angstroms. `backbone` is the residue's
/// frame; `torsions` are (sine, cosine) of omega, phi, psi and chi1 to chi4.
pub fn torsion_frames(
    backbone: &Rigid,
    torsions: &[[f64; 2]; TORSIONS],
    residue: Residue,
) -> [Rigid; GROUPS] {
    let defaults = default_frames(residue);
    let mut frames = *defaults;
    for (group, &torsion) in (1..).zip(torsions) {
        frames[group] = defaults[group].compose(&Rigid::turn_around_x(torsion));
    }
    // Each chi angle after the first hangs on the one before.
    for group in 5..GROUPS {
        frames[group] = frames[group - 1].compose(&frames[group]);
    }
    frames.map(|frame| backbone.compose(&frame))
}

/// The positions of a residue's atoms in the `atom14` layout, in angstroms; places without an atom are at the
/// origin.
pub fn atom14_positions(frames: &[Rigid; GROUPS], residue: Residue) -> [[f64; 3]; ATOM14] {
    let mut positions = [[0.0; 3]; ATOM14];
    for (place, atom) in positions.iter_mut().zip(residue.atoms()) {
        *place = frames[usize::from(atom.group)].apply(position(atom));
    }
    positions
}

/// The same positions in the `atom37` layout, and which of its places have an atom.
pub fn atom37_positions(
    atom14: &[[f64; 3]; ATOM14],
    residue: Residue,
) -> ([[f64; 3]; ATOM_TYPES], [bool; ATOM_TYPES]) {
    let (mut positions, mut mask) = ([[0.0; 3]; ATOM_TYPES], [false; ATOM_TYPES]);
    for (&position, atom) in atom14.iter().zip(residue.atoms()) {
        if let Some(place) = atom37(atom.name) {
            (positions[place], mask[place]) = (position, true);
        }
    }
    (positions, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::esmfold::rigid::{Frame, minus, squared_norm};

    #[test]
    fn bonds_have_their_lengths_whatever_the_torsions() {
        let lysine = Residue::from_token(15).unwrap();
        let backbone = Frame::IDENTITY.update([0.4, -0.2, 0.9], [1.0, -2.0, 0.3]).rigid(10.0);
        for turn in 0..6 {
            let torsions = [0, 1, 2, 3, 4, 5, 6].map(|i| {
                let (sin, cos) = (f64::from(turn * i) * 0.7).sin_cos();
                [sin, cos]
            });
            let atoms = atom14_positions(&torsion_frames(&backbone, &torsions, lysine), lysine);
            let (positions, mask) = atom37_positions(&atoms, lysine);
            assert_eq!(mask.iter().filter(|&&there| there).count(), 9);
            let chain =
                ["N", "CA", "CB", "CG", "CD", "CE", "NZ"].map(|name| positions[atom37(name).unwrap()]);
            for bond in chain.windows(2) {
                let length = squared_norm(minus(bond[0], bond[1])).sqrt();
                assert!((1.44..1.56).contains(&length), "{length}");
            }
        }
    }

    #[test]
    fn an_unknown_residue_has_no_atoms() {
        let x = Residue::from_token(24).unwrap();
        let frames = torsion_frames(&Frame::IDENTITY.rigid(10.0), &[[0.0, 1.0]; TORSIONS], x);
        let atoms = atom14_positions(&frames, x);
        assert_eq!(atoms, [[0.0; 3]; ATOM14]);
        assert!(!atom37_positions(&atoms, x).1.contains(&true));
    }
}
