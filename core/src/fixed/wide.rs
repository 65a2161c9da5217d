//! Multiplication of 64-bit sums.

use super::Multiplier;
use super::saturate::to_i64;

impl Multiplier {
    /// `x` times this number, rounded half up once and saturated to i64: `fixed::requantize` with a 128-bit
    /// product.
    #[inline(always)]
    pub const fn apply_wide(self, x: i64) -> i64 {
        // At most 2^94 in magnitude.
        let product = (x as i128).wrapping_mul(self.mantissa as i128);
        if self.shift > 95 {
            0
        } else if self.shift >= 1 {
            let half = 1i128.wrapping_shl(self.shift.wrapping_sub(1) as u32);
            to_i64(product.wrapping_add(half).wrapping_shr(self.shift as u32))
        } else {
            // 63 places take any product but zero out of range (or exactly to i64::MIN), so more are no
            // different.
            let places = if self.shift < -63 { 63 } else { self.shift.wrapping_neg() };
            to_i64((to_i64(product) as i128).wrapping_shl(places as u32))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extremes() {
        let by = |mantissa, shift| Multiplier { mantissa, shift };
        for x in [i64::MIN, -3, -1, 0, 1, 3, i64::MAX] {
            assert_eq!(by(1, 0).apply_wide(x), x);
            assert_eq!(by(i32::MIN, i32::MAX).apply_wide(x), 0);
            assert_eq!(by(i32::MIN, 96).apply_wide(x), 0);
            assert_eq!(by(1 << 30, 30).apply_wide(x), x);
            let saturated = if x == 0 {
                0
            } else if x < 0 {
                i64::MIN
            } else {
                i64::MAX
            };
            assert_eq!(by(1, -63).apply_wide(x), saturated);
            assert_eq!(by(7, i32::MIN).apply_wide(x), saturated);
        }
        // 2^94 / 2^95 is a half, and halves go up.
        assert_eq!(by(i32::MIN, 95).apply_wide(i64::MIN), 1);
        assert_eq!((by(1, 1).apply_wide(3), by(1, 1).apply_wide(-3)), (2, -1));
    }

    proptest! {
        #[test]
        fn equals_apply_where_that_fits(x: i32, mantissa: i32, shift in -40..70i32) {
            let by = Multiplier { mantissa, shift };
            let wide = by.apply_wide(x.into()).clamp(i32::MIN.into(), i32::MAX.into());
            prop_assert_eq!(wide, i64::from(by.apply(x)));
        }

        #[test]
        fn long_values_are_rounded_once(x: i64, mantissa: i32, shift in 1..96i32) {
            let product = i128::from(x) * i128::from(mantissa);
            let exact = (product + (1i128 << (shift - 1))).div_euclid(1i128 << shift);
            let exact = exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            prop_assert_eq!(Multiplier { mantissa, shift }.apply_wide(x), exact);
        }
    }
}
