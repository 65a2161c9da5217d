//! Real numbers in fixed point, and real factors as mantissa and shift.

use foldpoint_core::fixed::Multiplier;

/// Fractional bits of translations.
pub const TRANSLATION_FRAC: u32 = 20;

/// `value` in units of `2^-frac`, rounded to nearest, saturating.
pub fn to_fixed(value: f64, frac: u32) -> i32 {
    (value * per_one(frac)).round() as i32
}

/// How many units of `2^-frac` are 1.
pub fn per_one(frac: u32) -> f64 {
    f64::from(frac).exp2()
}

/// LayerNorm's epsilon in squares of `2^-frac`.
pub fn squares(epsilon: f64, frac: u32) -> u64 {
    (epsilon * per_one(2 * frac)).round().max(1.0) as u64
}

/// `factor > 0` with a mantissa in [2^30, 2^31).
pub fn multiplier(factor: f64) -> Multiplier {
    let (mantissa, shift) = split(factor, 31);
    Multiplier { mantissa: mantissa as i32, shift }
}

/// `factor > 0` as `mantissa * 2^-shift` with a mantissa of exactly `bits` bits, rounded to nearest.
pub fn split(factor: f64, bits: i32) -> (u64, i32) {
    let mut shift = bits - 1 - factor.log2().floor() as i32;
    let mut mantissa = (factor * f64::from(shift).exp2()).round() as u64;
    if mantissa >> bits != 0 {
        (mantissa, shift) = (mantissa >> 1, shift - 1);
    }
    (mantissa, shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mantissas_are_normalised_and_close(log in -60.0..60.0f64, bits in 8..=31i32) {
            let factor = log.exp2();
            let (mantissa, shift) = split(factor, bits);
            prop_assert_eq!(mantissa >> (bits - 1), 1);
            let back = mantissa as f64 * f64::from(-shift).exp2();
            prop_assert!((back / factor - 1.0).abs() <= f64::from(-bits).exp2());
        }
    }

    #[test]
    fn a_mantissa_that_rounds_up_to_the_next_power_is_halved() {
        assert_eq!(split(1.0 - 1e-12, 16), (1 << 15, 15));
        assert_eq!(multiplier(1.0), Multiplier { mantissa: 1 << 30, shift: 30 });
    }
}
