//! A real number as an integer mantissa and a shift.

use super::requantize;

/// Mantissas of normalised multipliers lie in `2^30..2^31`.
pub(super) const MANTISSA_BITS: u32 = 31;

/// The real number `mantissa * 2^-shift`.
///
/// Any pair is a valid multiplier; `reciprocal`, `rsqrt` and
/// [`then`](Multiplier::then) return normalised ones, whose mantissa is in `2^30..2^31` in magnitude.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multiplier {
    /// The integer factor.
    pub mantissa: i32,
    /// How many places the product is shifted right; may be negative.
    pub shift: i32,
}

impl Multiplier {
    /// `x` times this number, rounded once and saturated (`fixed::requantize`).
    #[inline(always)]
    pub const fn apply(self, x: i32) -> i32 {
        requantize(x, self.mantissa, self.shift)
    }

    /// The product of two multipliers, normalised: relative error at most 2^-31 (mantissa rounded half away
    /// from zero). A product of zero is `{ mantissa: 0, shift: 0 }`; shifts saturate.
    pub const fn then(self, other: Self) -> Self {
        let product = (self.mantissa as i64).wrapping_mul(other.mantissa as i64);
        let magnitude = product.unsigned_abs();
        if magnitude == 0 {
            return Self { mantissa: 0, shift: 0 };
        }
        let bits = u64::BITS.wrapping_sub(magnitude.leading_zeros());
        let shift = self.shift.saturating_add(other.shift);
        let (mantissa, shift) = if bits > MANTISSA_BITS {
            let places = bits.wrapping_sub(MANTISSA_BITS);
            let half = 1u64.wrapping_shl(places.wrapping_sub(1));
            (magnitude.wrapping_add(half).wrapping_shr(places), shift.saturating_sub(places as i32))
        } else {
            let places = MANTISSA_BITS.wrapping_sub(bits);
            (magnitude.wrapping_shl(places), shift.saturating_add(places as i32))
        };
        let normal = Self::normal(mantissa, shift);
        if product < 0 { Self { mantissa: normal.mantissa.wrapping_neg(), ..normal } } else { normal }
    }

    /// This number times `2^log2`, exactly (the shift saturates).
    pub const fn scaled(self, log2: i32) -> Self {
        Self { mantissa: self.mantissa, shift: self.shift.saturating_sub(log2) }
    }

    /// A mantissa in `2^30..=2^31`, whose upper end, reached by rounding up, is halved into range.
    pub(super) const fn normal(mantissa: u64, shift: i32) -> Self {
        if mantissa >> MANTISSA_BITS == 0 {
            Self { mantissa: mantissa as i32, shift }
        } else {
            Self { mantissa: (mantissa >> 1) as i32, shift: shift.saturating_sub(1) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn real(m: Multiplier) -> f64 {
        libm::ldexp(f64::from(m.mantissa), -m.shift)
    }

    fn check_product(a: Multiplier, b: Multiplier) {
        let c = a.then(b);
        let exact = real(a) * real(b);
        assert!(
            (real(c) - exact).abs() <= exact.abs() * libm::exp2(-31.0) * (1.0 + 1e-15),
            "{a:?} {b:?} {c:?}"
        );
        if exact != 0.0 {
            assert!((1 << 30..=i32::MAX).contains(&c.mantissa.saturating_abs()), "{c:?}");
        }
    }

    #[test]
    fn product_of_extremes() {
        for a in [i32::MIN, -1, 0, 1, 3, 1 << 30, 1_518_500_250, i32::MAX] {
            for b in [i32::MIN, -7, 0, 1, 1 << 30, 1_518_500_250, i32::MAX] {
                check_product(Multiplier { mantissa: a, shift: 40 }, Multiplier { mantissa: b, shift: -3 });
            }
        }
        let far = Multiplier { mantissa: 1, shift: i32::MAX };
        assert_eq!(far.then(far).shift, i32::MAX);
        assert_eq!(far.scaled(i32::MIN).shift, i32::MAX);
    }

    #[test]
    fn scaling_is_exact() {
        let m = Multiplier { mantissa: 5, shift: 3 };
        assert_eq!(m.scaled(4).apply(1), 10);
        assert_eq!(m.scaled(-2), Multiplier { mantissa: 5, shift: 5 });
    }

    proptest! {
        #[test]
        fn product(a: i32, b: i32, s in -80..80i32, t in -80..80i32) {
            check_product(Multiplier { mantissa: a, shift: s }, Multiplier { mantissa: b, shift: t });
        }

        #[test]
        fn apply_is_requantize(x: i32, mantissa: i32, shift in -40..70i32) {
            prop_assert_eq!(Multiplier { mantissa, shift }.apply(x), requantize(x, mantissa, shift));
        }
    }
}
