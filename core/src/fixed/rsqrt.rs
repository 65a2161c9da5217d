//! Square root and reciprocal square root of an unsigned integer.

use super::Multiplier;
use super::divide::{divide, nearest};

/// `floor(sqrt(v))`, exact.
pub const fn isqrt(v: u64) -> u32 {
    if v == 0 {
        return 0;
    }
    let places = v.leading_zeros() >> 1;
    root(v.wrapping_shl(places << 1)).wrapping_shr(places)
}

/// `floor(sqrt(v))` for `v` of at least 2^62, whose root has 32 bits.
///
/// Mark Dickinson's algorithm: where a root of the upper half of the bits is less than one off, so is the
/// mean of it and what it divides all bits by, with twice the bits. A table has the first eight.
const fn root(v: u64) -> u32 {
    let root = FIRST_BITS[(v >> 56) as usize & 0xff] as u64;
    let root = (root << 7).wrapping_add(divide(v >> 41, root));
    let root = (root << 15).wrapping_add(divide(v >> 17, root));
    // The square of 2^32 wraps to 0, and one less is the largest number.
    let above = root.wrapping_mul(root).wrapping_sub(1) >= v;
    root.wrapping_sub(above as u64) as u32
}

/// For eight bits, the first two not both 0, the root of any sixteen that begin with them: less than one off.
const FIRST_BITS: [u8; 256] = {
    let mut roots = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        roots[bits] = (bits as u16 * 256 + 255).isqrt() as u8;
        bits += 1;
    }
    roots
};

/// `1 / sqrt(v)` with a mantissa in `2^30..2^31`; `v = 0` is taken as 1.
///
/// Relative error: at most 0.625 * 2^-30: the root's rounding and the quotient's, which are largest at
/// opposite ends of the root's range. Exact for powers of four.
pub const fn rsqrt(v: u64) -> Multiplier {
    let v = if v == 0 { 1 } else { v };
    // v = scaled * 4^-places with scaled in [2^62, 2^64), so the root has 32 bits.
    let places = v.leading_zeros() >> 1;
    let scaled = v.wrapping_shl(places << 1);
    let floor = root(scaled) as u64;
    let rest = scaled.wrapping_sub(floor.wrapping_mul(floor));
    let root = if rest > floor { floor.wrapping_add(1) } else { floor };
    let mantissa = nearest(1 << 62, root);
    Multiplier::normal(mantissa, 62i32.wrapping_sub(places as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Relative error of rsqrt in units of 2^-30. Half of |m^2 * v / 4^shift - 1| is the relative error of
    /// the root to first order; the second order is 2^-60. The square of the mantissa times v needs 126 bits.
    fn error(v: u64) -> f64 {
        let m = rsqrt(v);
        assert!((1 << 30..=i32::MAX).contains(&m.mantissa), "{v} {m:?}");
        let square = (m.mantissa as u128) * (m.mantissa as u128) * u128::from(v.max(1));
        libm::ldexp(square.abs_diff(1 << (2 * m.shift)) as f64, 30 - 2 * m.shift) / 2.0
    }

    const BOUND: f64 = 0.625 + 1e-8;

    #[test]
    fn small_values() {
        for v in 0..200_000 {
            assert!(error(v) <= BOUND, "{v}");
        }
    }

    #[test]
    fn powers_of_four_are_exact_and_their_neighbours_close() {
        for half in 0..32 {
            let v = 1u64 << (2 * half);
            assert_eq!(rsqrt(v), Multiplier { mantissa: 1 << 30, shift: 30 + half });
            for near in [v - 1, v + 1, 2 * v - 1, 2 * v, 2 * v + 1] {
                assert!(error(near) <= BOUND, "{near}");
            }
        }
        assert!(error(u64::MAX) <= BOUND);
        assert_eq!((isqrt(0), isqrt(u64::MAX)), (0, u32::MAX));
    }

    #[test]
    fn roots_around_squares() {
        let roots = (0..u32::BITS).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let spread = (0..400_000).map(|i: u32| i.wrapping_mul(0x9e37_79b9));
        for root in roots.chain(spread).chain((1 << 31) - 3..(1 << 31) + 3).chain(u32::MAX - 200..=u32::MAX) {
            let square = u64::from(root).pow(2);
            assert_eq!([isqrt(square), isqrt(square + 2 * u64::from(root))], [root; 2]);
            assert_eq!(isqrt(square.saturating_sub(1)), root.saturating_sub(1), "{root}");
        }
    }

    #[test]
    fn first_bits_are_less_than_one_off() {
        for bits in 64..256 {
            let root = u32::from(FIRST_BITS[bits as usize]);
            assert!((root - 1).pow(2) < bits << 8 && (bits << 8 | 255) < (root + 1).pow(2), "{bits}");
        }
    }

    #[test]
    fn stated_bound_is_nearly_met() {
        let worst = (0..200_000u64).map(|i| error(u64::MAX - i * ((1 << 40) + 12345))).fold(0.0, f64::max);
        assert!((0.62..=BOUND).contains(&worst), "{worst}");
    }

    proptest! {
        #[test]
        fn relative_error(v: u64, cut in 0..64u32) {
            prop_assert!(error(v >> cut) <= BOUND);
        }

        #[test]
        fn isqrt_is_the_floor(v: u64, cut in 0..64u32) {
            let (v, r) = (u128::from(v >> cut), u128::from(isqrt(v >> cut)));
            prop_assert!(r * r <= v && v < (r + 1) * (r + 1));
        }
    }
}
