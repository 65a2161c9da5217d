//! The exact (erf) GELU.

use super::tables::GELU_TAIL;

/// From here on `a * Phi(-a)` is below 2^-27, and so zero in units of 2^-16.
const TAIL_END: u32 = 6 << 16;

/// `x * Phi(x)`, Phi the normal distribution function; input and output in units of 2^-16, any i32.
///
/// Computed as `max(x, 0) - g(|x|)`, `g(a) = a * Phi(-a)`, by the cubics of [`GELU_TAIL`] on `|x| < 6`;
/// beyond, `g` is 0. Error: at most 0.857 units (1.31e-5) in magnitude for every i32, of which half a unit is
/// the output's rounding.
#[inline(always)]
pub const fn gelu(x: i32) -> i32 {
    gelu_of_tail(x, GELU_TAIL.eval(gelu_tail_at(x)))
}

/// Where [`gelu`] needs [`GELU_TAIL`].
#[inline(always)]
pub(crate) const fn gelu_tail_at(x: i32) -> i32 {
    let magnitude = x.unsigned_abs();
    let clamped = if magnitude < TAIL_END { magnitude } else { TAIL_END - 1 };
    (clamped as i32) << 1
}

/// [`gelu`] from the tail there.
#[inline(always)]
pub(crate) const fn gelu_of_tail(x: i32, tail: i32) -> i32 {
    let line = if x > 0 { x } else { 0 };
    line.wrapping_sub(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The error in units of 2^-16. `x - g` would cancel for a large x, so each part is compared with its
    /// own.
    fn error(x: i32) -> f64 {
        let a = f64::from(x).abs() / 65536.0;
        let tail = a * libm::erfc(a / core::f64::consts::SQRT_2) / 2.0;
        f64::from(gelu(x)) - (f64::from(x.max(0)) - tail * 65536.0)
    }

    #[test]
    fn worst_error_over_every_input_with_a_tail() {
        let end = TAIL_END as i32 + 1000;
        let worst = (-end..=end).map(|x| error(x).abs()).fold(0.0, f64::max);
        assert!((0.85..=0.857).contains(&worst), "{worst}");
    }

    #[test]
    fn ends() {
        assert_eq!(gelu(0), 0);
        assert_eq!(gelu(i32::MAX), i32::MAX);
        assert_eq!(gelu(i32::MIN), 0);
        assert_eq!(gelu(6 << 16), 6 << 16);
        assert_eq!(gelu(-(6 << 16)), 0);
    }

    proptest! {
        #[test]
        fn any_input(x: i32, cut in 0..32u32) {
            prop_assert!(error(x >> cut).abs() <= 0.857);
        }

        #[test]
        fn gelu_of_minus_x_is_gelu_of_x_minus_x(x in 0..=i32::MAX) {
            prop_assert_eq!(gelu(x) - x, gelu(-x));
        }
    }
}
