//! RMSD after the best superposition.

use nalgebra::{Matrix3, Matrix4, Vector3};

use super::structure::Point;

/// The least root mean square distance of the pairs, in ångström, over all rotations and translations of one
/// side (not mirror images). `None` without pairs.
///
/// Horn 1987: twice the largest eigenvalue of a symmetric 4 x 4 matrix of the centred coordinates'
/// correlations is what the best rotation takes off the sum of their squares.
pub fn rmsd(pairs: &[(Point, Point)]) -> Option<f64> {
    if pairs.is_empty() {
        return None;
    }
    let count = pairs.len() as f64;
    let pairs: Vec<_> = pairs.iter().map(|&(a, b)| (Vector3::from(a), Vector3::from(b))).collect();
    let zero = (Vector3::zeros(), Vector3::zeros());
    let sum = pairs.iter().fold(zero, |sum, (a, b)| (sum.0 + a, sum.1 + b));
    let (mut correlation, mut squares) = (Matrix3::zeros(), 0.0);
    for (a, b) in pairs {
        let (a, b) = (a - sum.0 / count, b - sum.1 / count);
        correlation += a * b.transpose();
        squares += a.norm_squared() + b.norm_squared();
    }
    let s = |row: usize, column: usize| correlation[(row, column)];
    let (x, y, z) = (s(1, 2) - s(2, 1), s(2, 0) - s(0, 2), s(0, 1) - s(1, 0));
    let (xy, yz, zx) = (s(0, 1) + s(1, 0), s(1, 2) + s(2, 1), s(2, 0) + s(0, 2));
    #[rustfmt::skip]
    let horn = Matrix4::new(
        s(0, 0) + s(1, 1) + s(2, 2), x, y, z,
        x, s(0, 0) - s(1, 1) - s(2, 2), xy, zx,
        y, xy, s(1, 1) - s(0, 0) - s(2, 2), yz,
        z, zx, yz, s(2, 2) - s(0, 0) - s(1, 1),
    );
    let largest = horn.symmetric_eigenvalues().max();
    Some(((squares - 2.0 * largest).max(0.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Rotation3, Unit};
    use proptest::prelude::*;

    /// The corners of a cube of edge 2, around the origin.
    fn cube() -> Vec<Point> {
        (0..8).map(|i| [0, 1, 2].map(|axis| f64::from((i >> axis) & 1) * 2.0 - 1.0)).collect()
    }

    #[test]
    fn hand_made() {
        let point = [1.0, 2.0, 3.0];
        assert_eq!(rmsd(&[]), None);
        assert!(rmsd(&[(point, [7.0, 8.0, 9.0])]).is_some_and(|r| r < 1e-6));
        // Two points 2 and 4 apart: centred, each is off by 1.
        let line = [([0.0; 3], [0.0; 3]), ([2.0, 0.0, 0.0], [0.0, 4.0, 0.0])];
        assert!(rmsd(&line).is_some_and(|r| (r - 1.0).abs() < 1e-6));
        // A cube of twice the size: every corner is off by the square root of 3.
        let double: Vec<_> = cube().into_iter().map(|p| (p, p.map(|v| 2.0 * v))).collect();
        assert!(rmsd(&double).is_some_and(|r| (r - 3f64.sqrt()).abs() < 1e-6));
    }

    #[test]
    fn a_mirror_image_is_another_structure() {
        let hand: [Point; 4] = [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]];
        let mirrored: Vec<_> = hand.iter().map(|&[x, y, z]| ([x, y, z], [-x, y, z])).collect();
        assert!(rmsd(&mirrored).is_some_and(|r| r > 0.3));
    }

    proptest! {
        #[test]
        fn rotation_and_translation_do_not_count(
            points in prop::collection::vec(prop::array::uniform3(-50.0..50.0f64), 1..30),
            axis in prop::array::uniform3(0.1..1.0f64),
            angle in -3.1..3.1f64,
            shift in prop::array::uniform3(-99.0..99.0f64),
        ) {
            let turn = Rotation3::from_axis_angle(&Unit::new_normalize(Vector3::from(axis)), angle);
            let move_it = |p: Point| (turn * Vector3::from(p) + Vector3::from(shift)).into();
            let pairs: Vec<_> = points.into_iter().map(|p| (p, move_it(p))).collect();
            prop_assert!(rmsd(&pairs).is_some_and(|r| r < 1e-4));
        }
    }
}
