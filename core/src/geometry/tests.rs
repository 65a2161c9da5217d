//! Against the same geometry in f64.

use super::atoms::default_frames;
use super::frame::{Quaternion, TRANSLATION_MAX};
use super::residue::GROUPS;
use super::rigid::Rotation;
use super::*;
use crate::fixed::Multiplier;
use proptest::prelude::*;
use std::vec::Vec;

const HALF_TURN: f64 = core::f64::consts::PI;
const SAME: Multiplier = Multiplier { mantissa: 1, shift: 0 };

type Point = [f64; 3];

#[derive(Clone, Copy)]
struct Motion {
    rotation: [Point; 3],
    translation: Point,
}

fn dot(a: Point, b: Point) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Motion {
    fn of(rigid: &Rigid) -> Self {
        Self {
            rotation: rigid.rotation.rows().map(|row| row.map(|v| f64::from(v) / f64::from(ONE))),
            translation: rigid.translation.map(f64::from),
        }
    }

    fn apply(&self, p: Point) -> Point {
        [0, 1, 2].map(|i| dot(self.rotation[i], p) + self.translation[i])
    }

    fn then_inside(&self, inner: &Self) -> Self {
        let column = |k: usize| [0, 1, 2].map(|i| inner.rotation[i][k]);
        Self {
            rotation: self.rotation.map(|row| [0, 1, 2].map(|k| dot(row, column(k)))),
            translation: self.apply(inner.translation),
        }
    }
}

fn distance(a: Point, b: Point) -> f64 {
    let d = [0, 1, 2].map(|i| a[i] - b[i]);
    libm::sqrt(dot(d, d))
}

/// How far the rows are from an orthonormal right-handed basis, in units of 2^-30.
fn skew(rotation: &Rotation) -> f64 {
    let [x, y, z] = rotation.rows().map(|row| row.map(|v| f64::from(v) / f64::from(ONE)));
    let cross = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    let parts = [distance(cross, z), dot(x, y).abs(), (dot(x, x) - 1.0).abs(), (dot(z, z) - 1.0).abs()];
    parts.into_iter().fold(0.0, f64::max) * f64::from(ONE)
}

fn turn(angle: f64) -> [i32; 2] {
    [libm::sin(angle), libm::cos(angle)].map(|v| (v * f64::from(ONE)) as i32)
}

#[test]
fn updates_are_products_of_quaternions() {
    let half = (libm::tan(HALF_TURN / 8.0) * 1_048_576.0) as i32;
    let frame = Frame::IDENTITY.update([0, 0, half], [1000, 2000, 3000]);
    assert_eq!(frame.translation, [1000, 2000, 3000]);
    // An eighth of a turn around z, then another one.
    let root = libm::sqrt(0.5) * 65536.0;
    let once = frame.rigid(SAME).rotation.apply([65536, 0, 0]);
    assert!(once.iter().zip([root, root, 0.0]).all(|(&v, exact)| (v as f64 - exact).abs() < 2.0), "{once:?}");
    let twice = frame.update([0, 0, half], [65536, 0, 0]);
    assert!(
        twice.translation.iter().zip([root + 1000.0, root + 2000.0, 3000.0]).all(|(&v, exact)| (f64::from(
            v
        ) - exact)
            .abs()
            < 2.0)
    );
    let turned = twice.rigid(SAME).rotation.apply([65536, 0, 0]);
    assert!(turned.iter().zip([0, 65536, 0]).all(|(&v, exact)| (v - exact).abs() < 2), "{turned:?}");
    assert_eq!(Frame::from_array(twice.to_array()), twice);
}

#[test]
fn any_update_is_defined() {
    let extremes = [i32::MIN, -1, 0, 1, i32::MAX];
    let mut frame = Frame::IDENTITY;
    for x in extremes {
        for y in extremes {
            for z in extremes {
                frame = frame.update([x, y, z], [z, x, y]);
                assert!(frame.translation.iter().all(|t| t.abs() <= TRANSLATION_MAX));
                assert!(skew(&frame.quaternion.rotation()) < 20.0);
                let rigid = frame.rigid(Multiplier { mantissa: i32::MAX, shift: 0 });
                let _ = rigid.invert_apply(rigid.apply([x, y, z]));
            }
        }
    }
    assert_eq!(Quaternion::normalize([0; 4]), Quaternion::IDENTITY);
    let _ = Frame::from_array([i32::MIN; 7]).rigid(SAME).compose(&Rigid::IDENTITY).apply([i32::MIN; 3]);
}

#[test]
fn default_frames_are_at_their_atoms() {
    for residue in (0..21).filter_map(Residue::from_index) {
        for (group, frame) in default_frames(residue).iter().enumerate() {
            assert!(skew(&frame.rotation) < 8.0, "{} {group}", residue.name());
        }
    }
    // The CA of the backbone in the psi group's frame: psi's axis goes from CA to C.
    let alanine = Residue::from_index(0).unwrap();
    let psi = default_frames(alanine)[3];
    let ca = psi.invert_apply([0; 3]);
    assert!((ca[0] + (1526 * 65536) / 1000).abs() <= 2 && ca[1].abs() <= 2 && ca[2].abs() <= 2, "{ca:?}");
}

#[test]
fn bonds_have_their_lengths_whatever_the_torsions() {
    let lysine = Residue::from_token(15).unwrap();
    let backbone = Frame::IDENTITY
        .update([400_000, -200_000, 900_000], [1 << 20, -2 << 20, 300_000])
        .rigid(Multiplier { mantissa: 10, shift: 4 });
    for step in 0..6 {
        let torsions = [0, 1, 2, 3, 4, 5, 6].map(|i| turn(f64::from(step * i) * 0.7));
        let atoms = atom14_positions(&torsion_frames(&backbone, &torsions, lysine), lysine);
        let place = |name| lysine.atoms().iter().position(|atom| atom.name == name).unwrap();
        let chain: Vec<Point> = ["N", "CA", "CB", "CG", "CD", "CE", "NZ"]
            .into_iter()
            .map(|name| atoms[place(name)].map(|v| f64::from(v) / 65536.0))
            .collect();
        for bond in chain.windows(2) {
            assert!((1.44..1.56).contains(&distance(bond[0], bond[1])), "{bond:?}");
        }
    }
}

#[test]
fn an_unknown_residue_has_no_atoms() {
    let frames = torsion_frames(&Rigid::IDENTITY, &[[0, ONE]; TORSIONS], Residue::X);
    assert_eq!(atom14_positions(&frames, Residue::X), [[0; 3]; ATOM14]);
}

#[test]
fn a_chain_ends_in_a_flat_carboxylate() {
    let backbone = Frame::IDENTITY
        .update([400_000, -200_000, 900_000], [1 << 20, -2 << 20, 300_000])
        .rigid(Multiplier { mantissa: 10, shift: 4 });
    for residue in (0..20).filter_map(Residue::from_index) {
        let torsions = [turn(residue.index() as f64 * 0.3); TORSIONS];
        let atoms = atom14_positions(&torsion_frames(&backbone, &torsions, residue), residue);
        let oxt = terminal_oxygen(atoms[1], atoms[2], atoms[3]);
        let [ca, c, o, oxt] = [atoms[1], atoms[2], atoms[3], oxt].map(|p| p.map(|v| f64::from(v) / 65536.0));
        let cosine = |a: Point, b: Point| {
            let (a, b) = ([0, 1, 2].map(|i| a[i] - c[i]), [0, 1, 2].map(|i| b[i] - c[i]));
            dot(a, b) / libm::sqrt(dot(a, a) * dot(b, b))
        };
        assert!((distance(c, oxt) - 1.251).abs() < 1e-3, "{} {oxt:?}", residue.name());
        // 117.16 degrees to CA, and what is left of a full turn to O.
        assert!((cosine(ca, oxt) + 0.4565).abs() < 1e-3, "{} {oxt:?}", residue.name());
        let angles = [cosine(ca, oxt), cosine(oxt, o), cosine(o, ca)].map(libm::acos);
        assert!((angles.iter().sum::<f64>() - 2.0 * HALF_TURN).abs() < 1e-3, "{} {angles:?}", residue.name());
    }
    // Whatever comes out of a broken model.
    for end in [i32::MIN, 0, i32::MAX] {
        assert_eq!(terminal_oxygen([7; 3], [7; 3], [end; 3]), [7; 3]);
        let _ = terminal_oxygen([end; 3], [1; 3], [i32::MAX, i32::MIN, end]);
    }
}

/// Atoms by the reference's way: default frames in the backbone's frame, chained, then moved.
fn atoms_in_float(backbone: &Motion, angles: &[f64; TORSIONS], residue: Residue) -> Vec<Point> {
    let defaults = default_frames(residue);
    let mut frames = [Motion::of(&Rigid::IDENTITY); GROUPS];
    for group in 1..GROUPS {
        let (sin, cos) = (libm::sin(angles[group - 1]), libm::cos(angles[group - 1]));
        let turn =
            Motion { rotation: [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]], translation: [0.0; 3] };
        frames[group] = Motion::of(&defaults[group]).then_inside(&turn);
        if group > 4 {
            frames[group] = frames[group - 1].then_inside(&frames[group]);
        }
    }
    let atoms = residue.atoms().iter();
    atoms
        .map(|atom| {
            let local = atom.position.map(|v| f64::from(v) * 65.536);
            backbone.then_inside(&frames[usize::from(atom.group)]).apply(local)
        })
        .collect()
}

proptest! {
    #[test]
    fn atoms_equal_those_in_float(
        turn_by in [-(1 << 22)..1 << 22i32, -(1 << 22)..1 << 22, -(1 << 22)..1 << 22],
        step in [-(1 << 27)..1 << 27i32, -(1 << 27)..1 << 27, -(1 << 27)..1 << 27],
        angles in [-4.0..4.0f64, -4.0..4.0, -4.0..4.0, -4.0..4.0, -4.0..4.0, -4.0..4.0, -4.0..4.0],
        residue in 0..20usize,
    ) {
        let residue = Residue::from_index(residue).unwrap();
        let backbone = Frame::IDENTITY.update(turn_by, step).rigid(Multiplier { mantissa: 10, shift: 4 });
        let atoms = atom14_positions(&torsion_frames(&backbone, &angles.map(turn), residue), residue);
        let exact = atoms_in_float(&Motion::of(&backbone), &angles, residue);
        for (atom, exact) in atoms.iter().zip(exact) {
            // Units of 2^-16 angstrom: half a one for each of at most five translations, and the table's.
            prop_assert!(distance(atom.map(f64::from), exact) < 5.0, "{atom:?} {exact:?}");
        }
    }

    #[test]
    fn frames_equal_those_in_float(
        updates in prop::collection::vec([-(1 << 21)..1 << 21i32, -(1 << 21)..1 << 21, -(1 << 21)..1 << 21], 8),
        step in [-(1 << 20)..1 << 20i32, -(1 << 20)..1 << 20, -(1 << 20)..1 << 20],
    ) {
        let mut frame = Frame::IDENTITY;
        let (mut q, mut t) = ([1.0, 0.0, 0.0, 0.0], [0.0; 3]);
        for turn in updates {
            let [a, b, c, d] = q;
            let motion = Motion {
                rotation: [
                    [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
                    [2.0 * (b * c + a * d), a * a - b * b + c * c - d * d, 2.0 * (c * d - a * b)],
                    [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a - b * b - c * c + d * d],
                ],
                translation: t,
            };
            t = motion.apply(step.map(f64::from));
            let [x, y, z] = turn.map(|v| f64::from(v) / 1_048_576.0);
            let new = [
                a - b * x - c * y - d * z, b + a * x + c * z - d * y, c + a * y - b * z + d * x, d + a * z + b * y - c * x,
            ];
            let norm = libm::sqrt(new.iter().map(|v| v * v).sum::<f64>());
            q = new.map(|v| v / norm);
            frame = frame.update(turn, step);
        }
        for (part, exact) in frame.quaternion.parts().into_iter().zip(q) {
            prop_assert!((f64::from(part) - exact * f64::from(ONE)).abs() < 40.0, "{frame:?} {q:?}");
        }
        prop_assert!(distance(frame.translation.map(f64::from), t) < 12.0, "{frame:?} {t:?}");
    }

    #[test]
    fn motions_compose_and_invert(
        a in [-(1 << 22)..1 << 22i32, -(1 << 22)..1 << 22, -(1 << 22)..1 << 22],
        b in [-(1 << 22)..1 << 22i32, -(1 << 22)..1 << 22, -(1 << 22)..1 << 22],
        point in [-(1 << 24)..1 << 24i32, -(1 << 24)..1 << 24, -(1 << 24)..1 << 24],
    ) {
        let (a, b) = (Frame::IDENTITY.update(a, b).rigid(SAME), Frame::IDENTITY.update(b, a).rigid(SAME));
        prop_assert!(skew(&a.rotation) < 12.0);
        let close = |x: [i32; 3], y: [i32; 3]| x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 3);
        prop_assert!(close(a.compose(&b).apply(point), a.apply(b.apply(point))));
        prop_assert!(close(a.invert_apply(a.apply(point)), point));
    }
}
