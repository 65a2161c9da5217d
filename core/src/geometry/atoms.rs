//! From frames and torsions to atoms.

use super::residue::{ATOM14, GROUPS, Residue};
use super::rigid::{Rigid, Rotation};
use super::vector::{minus, shifted};
use crate::fixed::div_round;

/// Torsions of a residue: omega, phi, psi, chi1 to chi4.
pub const TORSIONS: usize = 7;

/// OXT of a carboxylate in the frame that its O is in, in 0.001 angstrom: 1.251 angstrom from C, at 117.16
/// degrees to CA.
///
/// Source: the peptide's carboxylate end in the CCP4 monomer library.
const TERMINAL_OXYGEN: [i64; 3] = [571, -1113, 0];

/// A position of the tables (0.001 angstrom) in units of 2^-16 angstrom, rounded.
fn to_world_unit(position: [i64; 3]) -> [i32; 3] {
    position.map(|v| div_round(v << 16, 1000) as i32)
}

/// For each rigid group, its frame in that of the group it hangs on, with its torsion at 0: the backbone for
/// groups 1 to 4, the group before for 5 to 7. Translations in units of 2^-16 angstrom. Groups that the
/// residue has no atoms in and no torsion for do not differ from what they hang on.
pub fn default_frames(residue: Residue) -> [Rigid; GROUPS] {
    let at = |name: &str| {
        let atom = residue.atoms().iter().find(|atom| atom.name == name);
        atom.map_or([0; 3], |atom| atom.position.map(i64::from))
    };
    let frame =
        |x, y, origin| Rigid { rotation: Rotation::from_axes(x, y), translation: to_world_unit(origin) };
    let mut frames = [Rigid::IDENTITY; GROUPS];
    if residue == Residue::X {
        return frames;
    }
    let (n, ca, c, cb) = (at("N"), at("CA"), at("C"), at("CB"));
    // Omega moves no atom of its residue.
    frames[2] = frame(minus(n, ca), [1, 0, 0], n);
    frames[3] = frame(minus(c, ca), minus(ca, n), c);
    let mut end = None;
    for (place, &chi) in frames.iter_mut().skip(4).zip(residue.chi_atoms()) {
        *place = match end {
            None => frame(minus(cb, ca), minus(n, ca), cb),
            Some(end) => frame(end, [-1, 0, 0], end),
        };
        end = Some(at(chi));
    }
    frames
}

/// The frames of a residue's rigid groups in the world, in units of 2^-16 angstrom. `backbone` is the
/// residue's frame in that unit; `torsions` are (sine, cosine) of omega, phi, psi and chi1 to chi4, Q1.30, at
/// most 1.
pub fn torsion_frames(
    backbone: &Rigid,
    torsions: &[[i32; 2]; TORSIONS],
    residue: Residue,
) -> [Rigid; GROUPS] {
    let defaults = default_frames(residue);
    let mut frames = [*backbone; GROUPS];
    for (group, &torsion) in (1..).zip(torsions) {
        let Rigid { rotation, translation } = defaults[group];
        let turned = Rigid { rotation: rotation.after_turn_around_x(torsion), translation };
        // Each chi angle after the first hangs on the one before.
        let base = if group > 4 { frames[group - 1] } else { *backbone };
        frames[group] = base.compose(&turned);
    }
    frames
}

/// The positions of a residue's atoms in the `atom14` layout, in units of 2^-16 angstrom; places without an
/// atom are at the origin.
pub fn atom14_positions(frames: &[Rigid; GROUPS], residue: Residue) -> [[i32; 3]; ATOM14] {
    let mut positions = [[0; 3]; ATOM14];
    for (position, atom) in positions.iter_mut().zip(residue.atoms()) {
        let frame = frames.get(usize::from(atom.group)).unwrap_or(&Rigid::IDENTITY);
        *position = frame.apply(to_world_unit(atom.position.map(i64::from)));
    }
    positions
}

/// Where OXT is, the second oxygen of a chain's last residue, which no torsion places: in the plane of that
/// residue's CA, C and O, opposite O. All in units of 2^-16 angstrom. Where the three lie on one line no
/// plane is known, and OXT is on that line.
pub fn terminal_oxygen(ca: [i32; 3], c: [i32; 3], o: [i32; 3]) -> [i32; 3] {
    // In units of 2^-15 angstrom bonds have room in the 16 bits that a rotation's axes may have.
    let bond = |from: [i32; 3], to: [i32; 3]| {
        minus(to.map(i64::from), from.map(i64::from)).map(|d| shifted(d, 1).clamp(-0xffff, 0xffff))
    };
    let rotation = Rotation::from_axes(bond(ca, c), bond(c, o));
    Rigid { rotation, translation: c }.apply(to_world_unit(TERMINAL_OXYGEN))
}
