//! Vectors of integers.

use crate::fixed::{requantize, rsqrt};

/// 1 as a component of a unit vector, a quaternion or a rotation: Q1.30.
pub const ONE: i32 = 1 << 30;

/// Coordinates beyond this (4096 angstroms in units of 2^-16) are taken as it.
pub const COORDINATE_MAX: i32 = 1 << 28;

/// A point whose coordinates are within [`COORDINATE_MAX`].
pub fn limited(point: [i32; 3]) -> [i64; 3] {
    point.map(|x| i64::from(x.clamp(-COORDINATE_MAX, COORDINATE_MAX)))
}

/// The square of the distance between two points, each [`limited`], in squares of their unit. Exact, and
/// below 2^60.
pub fn squared_distance(a: [i32; 3], b: [i32; 3]) -> i64 {
    let between = minus(limited(a), limited(b));
    dot(between, between)
}

/// `v / |v|` in units of 2^-30; zeros for zeros.
///
/// Any common unit; below 2^63 in magnitude. Error of a component: at most 2 units.
pub fn normalized<const N: usize>(v: [i64; N]) -> [i32; N] {
    let largest = v.iter().fold(0, |max, c| c.unsigned_abs().max(max));
    if largest == 0 {
        return [0; N];
    }
    // The largest magnitude in [2^29, 2^30]: the sum of a few squares fits 64 bits.
    let up = largest.leading_zeros() as i32 - 34;
    let scaled = v.map(|c| if up >= 0 { c << up } else { shifted(c, up.unsigned_abs()) });
    let squares = scaled.iter().fold(0u64, |sum, c| sum.saturating_add(c.unsigned_abs().pow(2)));
    let inverse = rsqrt(squares);
    scaled.map(|c| requantize(c as i32, inverse.mantissa, inverse.shift - 30).clamp(-ONE, ONE))
}

/// `a - b`.
pub const fn minus(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    [a[0].wrapping_sub(b[0]), a[1].wrapping_sub(b[1]), a[2].wrapping_sub(b[2])]
}

/// Dot product, for components below 2^30 in magnitude.
pub const fn dot(a: [i64; 3], b: [i64; 3]) -> i64 {
    a[0].wrapping_mul(b[0]).wrapping_add(a[1].wrapping_mul(b[1])).wrapping_add(a[2].wrapping_mul(b[2]))
}

/// Cross product, for components below 2^30 in magnitude.
pub const fn cross(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    [
        a[1].wrapping_mul(b[2]).wrapping_sub(a[2].wrapping_mul(b[1])),
        a[2].wrapping_mul(b[0]).wrapping_sub(a[0].wrapping_mul(b[2])),
        a[0].wrapping_mul(b[1]).wrapping_sub(a[1].wrapping_mul(b[0])),
    ]
}

/// `v / 2^places`, rounded half up; `places` is 1 to 62.
pub(super) const fn shifted(v: i64, places: u32) -> i64 {
    // The half may not fit beside a value near 2^63: half of it, after the first place, does.
    ((v >> (places - 1)) + 1) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn axes_stay_axes() {
        assert_eq!(normalized([0, -7, 0]), [0, -ONE, 0]);
        assert_eq!(normalized([i64::MIN + 1, 0, 0, 0]), [-ONE, 0, 0, 0]);
        assert_eq!(normalized([0; 4]), [0; 4]);
        assert_eq!(cross([1, 0, 0], [0, 1, 0]), [0, 0, 1]);
        assert_eq!(dot(minus([4, 5, 6], [1, 2, 3]), [1, 2, 3]), 18);
        assert_eq!(squared_distance([i32::MAX, 0, 3], [i32::MIN, 4, 0]), (1 << 58) + 25);
        assert_eq!([shifted(5, 1), shifted(-5, 1), shifted(i64::MAX, 62)], [3, -2, 2]);
    }

    proptest! {
        #[test]
        fn normalized_vectors_have_length_one(v: [i64; 4], cuts in [0..63u32, 0..63, 0..63, 0..63]) {
            let v = [0, 1, 2, 3].map(|i| v[i] >> 1 >> cuts[i]);
            let norm = libm::sqrt(v.iter().map(|&c| (c as f64) * (c as f64)).sum::<f64>());
            let unit = normalized(v);
            for (&u, &c) in unit.iter().zip(&v) {
                let exact = if norm == 0.0 { 0.0 } else { c as f64 / norm * f64::from(ONE) };
                prop_assert!((f64::from(u) - exact).abs() <= 2.0, "{v:?} {unit:?}");
            }
        }
    }
}
