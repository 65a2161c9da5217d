//! The exponential of attention.

use super::tables::EXP2_COEFFICIENTS;

/// `2^-t` in units of 1/32767: the attention exponent.
///
/// `t` is Q4.11, in log2 units: `n = t >> 11`, and the fraction `f = (t & 2047) << 5` in units of 2^-16. The
/// mantissa `M ~ 65534 * 2^-f` comes from a cubic whose every product is the upper half of u16 x u16, so that
/// SIMD does it with 16-bit lanes alone; the result is `((M >> n) + 1) >> 1`, in 0..=32767, and 0 from `n =
/// 16` on.
///
/// Error against `32767 * 2^-t`: at most 3.60 units; the mantissa's relative error is at most 1.06e-4. Never
/// rises with `t`; `exp2_neg(0) = 32767`.
#[inline(always)]
pub const fn exp2_neg(t: u16) -> i16 {
    let n = (t >> 11) as u32;
    let mantissa = cubic(EXP2_COEFFICIENTS, (t & 2047) << 5) as u32;
    // n is at most 31, and from 16 on nothing of the mantissa is left.
    (mantissa.wrapping_shr(n).wrapping_add(1) >> 1) as i16
}

/// `A - f*(B - f*(C - f*D))` in units of 2^-16, each product truncated.
pub(super) const fn cubic([a, b, c, d]: [u16; 4], f: u16) -> u16 {
    let inner = c.wrapping_sub(mulhi(f, d));
    let slope = b.wrapping_sub(mulhi(f, inner));
    a.wrapping_sub(mulhi(f, slope))
}

/// The upper half of a 16-bit product.
const fn mulhi(a: u16, b: u16) -> u16 {
    ((a as u32).wrapping_mul(b as u32) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_error_over_every_argument() {
        let error = |t: u16| (f64::from(exp2_neg(t)) - 32767.0 * libm::exp2(-f64::from(t) / 2048.0)).abs();
        let worst = (0..=u16::MAX).map(error).fold(0.0, f64::max);
        assert!((3.59..=3.60).contains(&worst), "{worst}");
    }

    #[test]
    fn worst_relative_error_of_the_mantissa() {
        let error = |i: u16| {
            let exact = 65534.0 * libm::exp2(-f64::from(i) / 2048.0);
            (f64::from(cubic(EXP2_COEFFICIENTS, i << 5)) / exact - 1.0).abs()
        };
        let worst = (0..2048).map(error).fold(0.0, f64::max);
        assert!((1.05e-4..=1.06e-4).contains(&worst), "{worst}");
    }

    #[test]
    fn never_rises_and_ends_at_zero() {
        assert_eq!(exp2_neg(0), 32767);
        for t in 1..=u16::MAX {
            assert!(exp2_neg(t) <= exp2_neg(t - 1), "rises at {t}");
            assert!(exp2_neg(t) >= 0 && (t >> 11 < 16 || exp2_neg(t) == 0), "{t}");
        }
    }
}
