//! Reciprocal of an unsigned integer.

use super::Multiplier;
use super::divide::nearest;
use super::multiplier::MANTISSA_BITS;

/// Divisors longer than this are cut to it, so that numerator and quotient fit 64 bits.
const DIVISOR_BITS: u32 = 33;

/// `1 / d` with a mantissa in `2^30..2^31`; `d = 0` is taken as 1.
///
/// Relative error: at most 2^-31 for `d < 2^33` (the mantissa is the exact quotient rounded to nearest), at
/// most 0.625 * 2^-30 above (the bits of `d` below its leading 33 are dropped). Exact for powers of two.
pub const fn reciprocal(d: u64) -> Multiplier {
    let d = if d == 0 { 1 } else { d };
    let bits = u64::BITS.wrapping_sub(d.leading_zeros());
    let dropped = bits.saturating_sub(DIVISOR_BITS);
    let divisor = d.wrapping_shr(dropped);
    // 2^(places) / divisor lies in (2^30, 2^31]; places is at most 63.
    let places = MANTISSA_BITS.wrapping_sub(1).wrapping_add(bits.wrapping_sub(dropped));
    let mantissa = nearest(1u64.wrapping_shl(places), divisor);
    Multiplier::normal(mantissa, places.wrapping_add(dropped) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// |real(reciprocal(d)) * d - 1| in units of 2^-30, exactly: mantissa * d against 2^shift in 128 bits.
    fn error(d: u64) -> f64 {
        let m = reciprocal(d);
        assert!((1 << 30..=i32::MAX).contains(&m.mantissa), "{d} {m:?}");
        let product = m.mantissa as u128 * u128::from(d.max(1));
        libm::ldexp(product.abs_diff(1 << m.shift) as f64, 30 - m.shift)
    }

    #[test]
    fn small_divisors_are_rounded_to_nearest() {
        for d in 0..200_000 {
            assert!(error(d) <= 0.5, "{d}");
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_their_neighbours_close() {
        for bit in 0..64 {
            let d = 1u64 << bit;
            assert_eq!(reciprocal(d), Multiplier { mantissa: 1 << 30, shift: 30 + bit });
            assert!(error(d - 1) <= 0.625 && error(d + 1) <= 0.625, "{d}");
        }
        assert!(error(u64::MAX) <= 0.625);
    }

    #[test]
    fn stated_bound_is_nearly_met() {
        // Worst where the divisor is long (the quotient's rounding weighs most) and every dropped bit is set.
        let worst =
            (1..200_000u64).map(|i| error((((1 << 33) - i) << 31) | ((1 << 31) - 1))).fold(0.0, f64::max);
        assert!((0.62..=0.625).contains(&worst), "{worst}");
    }

    proptest! {
        #[test]
        fn relative_error(d: u64, cut in 0..64u32) {
            let d = d >> cut;
            let bound = if d < 1 << 33 { 0.5 } else { 0.625 };
            prop_assert!(error(d) <= bound);
        }
    }
}
