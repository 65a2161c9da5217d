//! The distance between two residues as recycling embeds it: virtual CB atoms, and a bin.

use super::config::DISTANCE_BINS;
use crate::geometry::{COORDINATE_MAX, limited, squared_distance};

/// Fractional bits of a coordinate.
const COORDINATE_FRAC: u32 = 16;

/// Fractional bits of the coefficients.
const COEFFICIENT_FRAC: u32 = 30;

/// What of the normal, of CA - N and of C - CA leads from CA to CB: -0.58273431, 0.56802827 and -0.54067466,
/// unit 2^-30.
const COEFFICIENTS: [i64; 3] = [-625_706_201, 609_915_711, -580_544_996];

/// The bins' edges squared, unit 2^-32 square angstroms, rounded down: 14 distances in equal steps from 3.375
/// to 21.375 angstroms, which are (351 + 144 k) / 104.
const EDGES: [i64; DISTANCE_BINS - 1] = {
    let mut edges = [0; DISTANCE_BINS - 1];
    let mut k = 0;
    while k < edges.len() {
        let edge = 351 + 144 * k as i64;
        edges[k] = ((edge * edge) << (2 * COORDINATE_FRAC)) / (104 * 104);
        k += 1;
    }
    edges
};

/// Where a residue's CB would be, from its N, CA and C; all in units of 2^-16 angstrom. A residue without
/// atoms has all of them at the origin, and its CB too.
///
/// Exact but for the coefficients and one rounding (half up), so within 0.51 units of the definition for
/// residues up to 4 angstroms across. Reference: `openfold` and `transformers`, `EsmFoldingTrunk.distogram`.
pub fn virtual_cb(backbone: [[i32; 3]; 3]) -> [i32; 3] {
    let [n, ca, c] = backbone.map(limited);
    let minus = |a: [i64; 3], b: [i64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    // Up to 2^29, products up to 2^58.
    let (b, c) = (minus(ca, n), minus(c, ca));
    let normal = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
    let mut cb = [0; 3];
    for (axis, out) in cb.iter_mut().enumerate() {
        // The normal has 32 fractional bits, CA - N and C - CA 16.
        let plane = COEFFICIENTS[1] * b[axis] + COEFFICIENTS[2] * c[axis];
        let sum =
            i128::from(COEFFICIENTS[0]) * i128::from(normal[axis]) + (i128::from(plane) << COORDINATE_FRAC);
        let down = COEFFICIENT_FRAC + COORDINATE_FRAC;
        let offset = (sum + (1 << (down - 1))) >> down;
        let limit = i128::from(COORDINATE_MAX);
        *out = (i128::from(ca[axis]) + offset).clamp(-limit, limit) as i32;
    }
    cb
}

/// The bin of the distance between two points in units of 2^-16 angstrom: how many of the 14 edges are
/// shorter. Exact.
pub fn bin(a: [i32; 3], b: [i32; 3]) -> u8 {
    let distance = squared_distance(a, b);
    EDGES.iter().filter(|&&edge| distance > edge).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANGSTROM: f64 = 65536.0;

    fn fixed(angstroms: f64) -> i32 {
        libm::round(angstroms * ANGSTROM) as i32
    }

    /// The definition, in units of 2^-16 angstrom.
    fn exact_cb(backbone: [[i32; 3]; 3]) -> [f64; 3] {
        let [n, ca, c] = backbone.map(|atom| atom.map(|x| f64::from(x) / ANGSTROM));
        let minus = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
        let (b, c) = (minus(ca, n), minus(c, ca));
        let a = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
        core::array::from_fn(|i| {
            ANGSTROM * (-0.58273431 * a[i] + 0.56802827 * b[i] - 0.54067466 * c[i] + ca[i])
        })
    }

    fn cb_error(backbone: [[i32; 3]; 3]) -> f64 {
        let pairs = virtual_cb(backbone).into_iter().zip(exact_cb(backbone));
        pairs.map(|(found, exact)| (f64::from(found) - exact).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn a_virtual_cb_is_where_alanine_has_its_cb() {
        let cb = virtual_cb([[-0.525, 1.363, 0.0], [0.0; 3], [1.526, 0.0, 0.0]].map(|atom| atom.map(fixed)));
        let alanine = [-0.529, -0.774, -1.205].map(fixed);
        let squares = cb.into_iter().zip(alanine).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
        assert!(libm::sqrt(squares.sum()) < 0.03 * ANGSTROM, "{cb:?}");
    }

    #[test]
    fn a_residue_without_atoms_has_its_cb_at_the_origin() {
        assert_eq!(virtual_cb([[0; 3]; 3]), [0; 3]);
    }

    #[test]
    fn the_coefficients_are_those_of_the_definition() {
        for (found, exact) in COEFFICIENTS.into_iter().zip([-0.58273431, 0.56802827, -0.54067466]) {
            assert_eq!(found, libm::round(libm::ldexp(exact, 30)) as i64);
        }
    }

    #[test]
    fn bins_count_the_edges_that_are_shorter() {
        let at = |x: f64| [fixed(x), 0, 0];
        assert_eq!([0.0, 3.4, 18.1, 21.5].map(|x| bin(at(0.0), at(x))), [0, 1, 11, 14]);
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        // 3.375 and 21.375 angstroms are whole units; the last edge counts 13 before it.
        for (edge, below) in [(3.375, 0), (21.375, 13)] {
            let edge = fixed(edge);
            assert_eq!([-1, 0, 1].map(|step| bin([0; 3], [0, edge + step, 0])), [below, below, below + 1]);
        }
    }

    proptest! {
        #[test]
        fn a_cb_is_the_rounded_definition(
            ca in prop::array::uniform3(-(1 << 27)..1i32 << 27),
            n in prop::array::uniform3(-(1 << 17)..1i32 << 17),
            c in prop::array::uniform3(-(1 << 17)..1i32 << 17),
        ) {
            let near = |offset: [i32; 3]| core::array::from_fn(|i| ca[i] + offset[i]);
            prop_assert!(cb_error([near(n), ca, near(c)]) <= 0.51);
        }

        #[test]
        fn any_coordinates(a in prop::array::uniform3(any::<[i32; 3]>()), b: [i32; 3]) {
            let cb = virtual_cb(a);
            prop_assert!(cb.iter().all(|x| x.abs() <= COORDINATE_MAX));
            prop_assert!(bin(cb, b) == bin(b, cb) && usize::from(bin(cb, b)) < DISTANCE_BINS);
        }

        #[test]
        fn a_bin_is_that_of_the_real_distance(a in prop::array::uniform3(-(1 << 20)..1i32 << 20), b in prop::array::uniform3(-(1 << 20)..1i32 << 20)) {
            let squares = a.into_iter().zip(b).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
            let distance = libm::sqrt(squares.sum()) / ANGSTROM;
            let edge = |k: usize| 3.375 + 18.0 * k as f64 / 13.0;
            let nearest = (0..14).map(|k| (edge(k) - distance).abs()).fold(f64::MAX, f64::min);
            // At an edge f64 could be on the wrong side.
            prop_assume!(nearest > 1e-9);
            prop_assert_eq!(usize::from(bin(a, b)), (0..14).filter(|&k| distance > edge(k)).count());
        }
    }
}
