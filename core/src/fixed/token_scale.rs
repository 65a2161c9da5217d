//! The scale of one row of activations.

use super::Multiplier;
use super::divide::nearest;

/// The largest code of an ordinary channel: 8 bits.
const ORDINARY_MAX: u32 = 127;
/// The largest code of an outlier channel, `127 * 128 + 63`: a high limb of 127 and the largest low limb.
const OUTLIER_MAX: u32 = 16319;
const MANTISSA_BITS: u32 = 15;
/// The exponent of a row of zeros: below that of any other row.
const ZERO_EXPONENT: i8 = -45;

/// The real number `mantissa * 2^exponent`, in activation units per code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenScale {
    /// In `2^14..2^15`.
    pub mantissa: u16,
    /// In -28..=11 for a row of i32 values, -45 for a row of zeros.
    pub exponent: i8,
}

impl TokenScale {
    /// The smallest scale with `127 * scale >= ordinary_max` and `16319 * scale >= outlier_max`.
    ///
    /// The arguments are the largest magnitudes of the row's ordinary and outlier channels. When both are 0
    /// the result is `2^14 * 2^-45`.
    #[inline(always)]
    pub const fn covering(ordinary_max: u32, outlier_max: u32) -> Self {
        let ordinary = Self::covering_ordinary(ordinary_max);
        let outlier = Self::covering_outliers(outlier_max);
        // Mantissas are normalised, so the exponent decides first.
        let ordinary_rules = if ordinary.exponent == outlier.exponent {
            ordinary.mantissa >= outlier.mantissa
        } else {
            ordinary.exponent > outlier.exponent
        };
        if ordinary_rules { ordinary } else { outlier }
    }

    /// [`covering`](Self::covering) for a row without outliers.
    #[inline(always)]
    pub(crate) const fn covering_ordinary(max: u32) -> Self {
        smallest::<ORDINARY_MAX>(max)
    }

    /// [`covering`](Self::covering) for a row of outliers alone.
    #[inline(always)]
    pub(crate) const fn covering_outliers(max: u32) -> Self {
        smallest::<OUTLIER_MAX>(max)
    }

    /// `1 / scale`: what takes an activation to its code. The mantissa is rounded to nearest (and 2^31 cut to
    /// `i32::MAX`), so its relative error is at most 2^-31.
    ///
    /// For a row within the maxima given to [`covering`](Self::covering), codes are at most 127 (16319 for
    /// outliers) in magnitude, and `code * scale` is off by at most `scale/2 * (1 + 2^-14)`.
    pub const fn inverse(self) -> Multiplier {
        let quotient = nearest(1 << 45, self.mantissa as u64);
        let mantissa = if quotient > i32::MAX as u64 { i32::MAX } else { quotient as i32 };
        Multiplier { mantissa, shift: 45i32.wrapping_add(self.exponent as i32) }
    }

    /// This scale times a positive `factor` with a mantissa in `2^30..2^31`, rounded half up: the relative
    /// error is at most 2^-15. Exponents saturate.
    pub const fn times(self, factor: Multiplier) -> Self {
        // In 2^44..2^46: 30 or 31 bits too long.
        let product = (self.mantissa as u64).wrapping_mul(factor.mantissa.unsigned_abs() as u64);
        let excess = u64::BITS.wrapping_sub(product.leading_zeros()).saturating_sub(MANTISSA_BITS);
        let half = 1u64.wrapping_shl(excess) >> 1;
        let rounded = product.wrapping_add(half).wrapping_shr(excess);
        // Rounding up may take one bit more.
        let carry = rounded.wrapping_shr(MANTISSA_BITS) as u32;
        let exponent = (self.exponent as i32).wrapping_add(excess.wrapping_add(carry) as i32);
        let exponent = exponent.saturating_sub(factor.shift);
        Self {
            mantissa: rounded.wrapping_shr(carry) as u16,
            exponent: if exponent < i8::MIN as i32 {
                i8::MIN
            } else if exponent > i8::MAX as i32 {
                i8::MAX
            } else {
                exponent as i8
            },
        }
    }
}

/// The smallest scale with `LEVELS * scale >= max`. `LEVELS`, [`ORDINARY_MAX`] or [`OUTLIER_MAX`], is a
/// constant so that dividing by it is a multiplication. Without branches, so that compilers work on many rows
/// at a time.
#[inline(always)]
const fn smallest<const LEVELS: u32>(max: u32) -> TokenScale {
    // The leading one first, by steps that all lanes of a vector can take: where they can't be shifted by
    // their own places, compilers do it with floats.
    let (mut normal, mut places, mut step) = (max, 0, 16);
    while step > 0 {
        if normal.wrapping_shr(u32::BITS.wrapping_sub(step)) == 0 {
            normal = normal.wrapping_shl(step);
            places = step.wrapping_add(places);
        }
        step /= 2;
    }
    // Then it is this many places too long for a quotient of as many bits as a mantissa has, or one more
    // where that rounds up to a bit too many.
    let excess = LEVELS.leading_zeros().wrapping_sub(MANTISSA_BITS);
    let long = normal > LEVELS.wrapping_mul((1 << MANTISSA_BITS) - 1).wrapping_shl(excess);
    // Rounding up is one more than rounding one less down, and rounding down twice is rounding down once.
    let numerator = normal.wrapping_sub(1).wrapping_shr(excess);
    let mantissa = ((if long { numerator >> 1 } else { numerator }) / LEVELS).wrapping_add(1);
    if max == 0 {
        TokenScale { mantissa: 1 << (MANTISSA_BITS - 1), exponent: ZERO_EXPONENT }
    } else {
        TokenScale {
            mantissa: mantissa as u16,
            exponent: excess.wrapping_add(long as u32).wrapping_sub(places) as i8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::requantize;
    use proptest::prelude::*;

    fn real(scale: TokenScale) -> f64 {
        libm::ldexp(f64::from(scale.mantissa), i32::from(scale.exponent))
    }

    /// The next smaller representable scale.
    fn below(scale: TokenScale) -> TokenScale {
        if scale.mantissa == 1 << 14 {
            TokenScale { mantissa: (1 << 15) - 1, exponent: scale.exponent - 1 }
        } else {
            TokenScale { mantissa: scale.mantissa - 1, ..scale }
        }
    }

    /// Exact in f64: the products have at most 29 bits.
    fn covers(scale: TokenScale, ordinary: u32, outlier: u32) -> bool {
        127.0 * real(scale) >= f64::from(ordinary) && 16319.0 * real(scale) >= f64::from(outlier)
    }

    fn check_scale(ordinary: u32, outlier: u32) {
        let scale = TokenScale::covering(ordinary, outlier);
        assert!((1 << 14..1 << 15).contains(&scale.mantissa), "{scale:?}");
        assert!(covers(scale, ordinary, outlier), "{ordinary} {outlier} {scale:?}");
        if ordinary > 0 || outlier > 0 {
            assert!(!covers(below(scale), ordinary, outlier), "{ordinary} {outlier} {scale:?}");
            assert!((-28..=11).contains(&scale.exponent));
        }
    }

    /// The code of y, and that its error is as stated.
    fn code(y: i32, scale: TokenScale) -> i32 {
        let inverse = scale.inverse();
        let code = requantize(y, inverse.mantissa, inverse.shift);
        let error = (f64::from(code) * real(scale) - f64::from(y)).abs();
        assert!(error <= real(scale) / 2.0 * (1.0 + libm::exp2(-14.0)), "{y} {scale:?}");
        code
    }

    fn check_times(mantissa: u16, exponent: i8, factor: Multiplier) {
        let scale = TokenScale { mantissa, exponent };
        let found = scale.times(factor);
        assert!((1 << 14..1 << 15).contains(&found.mantissa), "{scale:?} {factor:?} {found:?}");
        let exact = real(scale) * libm::ldexp(f64::from(factor.mantissa), -factor.shift);
        assert!((real(found) - exact).abs() <= exact * libm::exp2(-15.0), "{scale:?} {factor:?} {found:?}");
    }

    #[test]
    fn times_extremes() {
        for mantissa in [1 << 14, (1 << 14) + 1, 23_170, 23_171, (1 << 15) - 1] {
            for factor in [1 << 30, (1 << 30) + 1, 1_518_500_250, i32::MAX - (1 << 15), i32::MAX] {
                for exponent in [-45, -28, 0, 11] {
                    for shift in [20, 30, 41] {
                        check_times(mantissa, exponent, Multiplier { mantissa: factor, shift });
                    }
                }
            }
        }
        let scale = TokenScale { mantissa: (1 << 15) - 1, exponent: 3 };
        let by = |shift| scale.times(Multiplier { mantissa: 1 << 30, shift }).exponent;
        assert_eq!([by(30), by(31), by(1000), by(i32::MAX), by(-1000)], [3, 2, -128, -128, 127]);
        assert_eq!(scale.times(Multiplier { mantissa: 1 << 30, shift: 30 }), scale);
        assert_eq!(scale.times(Multiplier { mantissa: 0, shift: 30 }).mantissa, 0);
    }

    #[test]
    fn rows_of_zeros() {
        let scale = TokenScale::covering(0, 0);
        assert_eq!(scale, TokenScale { mantissa: 1 << 14, exponent: -45 });
        assert_eq!(scale.inverse(), Multiplier { mantissa: i32::MAX, shift: 0 });
        assert_eq!(scale.inverse().apply(0), 0);
    }

    #[test]
    fn small_and_extreme_maxima() {
        for max in
            (0..20_000).chain((0..32).flat_map(|b| [(1 << b) - 1, 1 << b, (1 << b) + 1])).chain([u32::MAX])
        {
            check_scale(max, 0);
            check_scale(0, max);
            check_scale(max, max);
        }
        for max in 1..20_000i32 {
            let scale = TokenScale::covering(max as u32, 0);
            assert_eq!((code(max, scale), code(-max, scale)), (127, -127), "{max}");
        }
    }

    proptest! {
        #[test]
        fn times(mantissa in 1u16 << 14..1 << 15, exponent in -45..=11i8, factor in 1 << 30..=i32::MAX, shift in 0..60i32) {
            check_times(mantissa, exponent, Multiplier { mantissa: factor, shift });
        }

        #[test]
        fn smallest_that_covers(ordinary: u32, outlier: u32, a in 0..32u32, b in 0..32u32) {
            check_scale(ordinary >> a, outlier >> b);
        }

        #[test]
        fn codes_stay_in_range(
            ordinary in 0..=1u32 << 31,
            outlier in 0..=1u32 << 31,
            (a, b) in (0..32u32, 0..32u32),
            part in 0.0..=1.0f64,
        ) {
            let (ordinary, outlier) = (ordinary >> a, outlier >> b);
            let scale = TokenScale::covering(ordinary, outlier);
            for (max, levels) in [(ordinary, 127), (outlier, 16319)] {
                for magnitude in [i64::from(max), (part * f64::from(max)) as i64] {
                    for y in [magnitude.min(i64::from(i32::MAX)), -magnitude] {
                        let code = code(y as i32, scale);
                        prop_assert!(code.abs() <= levels, "{y} {code}");
                        let high = (code + 64) >> 7;
                        prop_assert!(high.abs() <= 127 && (-64..=63).contains(&(code - 128 * high)));
                    }
                }
            }
        }
    }
}
