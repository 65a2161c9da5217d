//! Square root and reciprocal square root of an unsigned integer.

use super::Multiplier;
use super::divide::nearest;

/// `floor(sqrt(v))`, exact.
pub const fn isqrt(v: u64) -> u32 {
    v.isqrt() as u32
}

/// `1 / sqrt(v)` with a mantissa in `2^30..2^31`; `v = 0` is taken as 1.
///
/// Relative error: at most 0.625 * 2^-30: the root's rounding and the quotient's, which are largest at
/// opposite ends of the root's range. Exact for powers of four.
pub const fn rsqrt(v: u64) -> Multiplier {
    let v = if v == 0 { 1 } else { v };
    // v = scaled * 4^-places with scaled in [2^62, 2^64), so the root has 32 bits.
    let places = v.leading_zeros() >> 1;
    let scaled = v.wrapping_shl(places << 1);
    let floor = isqrt(scaled) as u64;
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
