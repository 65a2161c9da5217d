//! The one rounding of the whole computation.

/// The largest shift that [`requantize`] performs; beyond it every product rounds to zero.
const MAX_SHIFT: i32 = 62;

use super::saturate::to_i32;

/// `x * mantissa * 2^-shift`, rounded once (half up) and saturated to i32.
///
/// For `shift` in 1..=62 this is `floor((x*mantissa + 2^(shift-1)) / 2^shift)`: an exact 64-bit product (at
/// most 2^62 in magnitude), half added (at most 2^61), an arithmetic shift right. `shift > 62` gives 0,
/// `shift <= 0` is the exact product times `2^-shift`. Error: at most half a unit of the output, besides
/// saturation.
#[inline(always)]
pub const fn requantize(x: i32, mantissa: i32, shift: i32) -> i32 {
    let product = (x as i64).wrapping_mul(mantissa as i64);
    if shift > MAX_SHIFT {
        0
    } else if shift >= 1 {
        let half = 1i64.wrapping_shl(shift.wrapping_sub(1) as u32);
        to_i32(product.wrapping_add(half).wrapping_shr(shift as u32))
    } else {
        // 31 places take any product but zero out of range (or exactly to i32::MIN), so more are no
        // different.
        let places = if shift < -31 { 31 } else { shift.wrapping_neg() };
        to_i32((to_i32(product) as i64).wrapping_shl(places as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition in wide arithmetic, saturating.
    fn defined(x: i32, mantissa: i32, shift: i32) -> i32 {
        let product = i128::from(x) * i128::from(mantissa);
        let exact = match shift {
            63.. => 0,
            1..=62 => (product + (1i128 << (shift - 1))).div_euclid(1i128 << shift),
            // A product has at most 63 bits, so 40 places more stay in 128 bits and are enough to saturate.
            _ => product << shift.unsigned_abs().min(40),
        };
        exact.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32
    }

    const EDGES: [i32; 11] =
        [i32::MIN, i32::MIN + 1, -65536, -3, -1, 0, 1, 2, 1 << 30, i32::MAX - 1, i32::MAX];

    #[test]
    fn equals_the_definition_on_every_edge_and_shift() {
        for x in EDGES {
            for mantissa in EDGES {
                for shift in (-70..=70).chain([i32::MIN, i32::MIN + 1, i32::MAX]) {
                    assert_eq!(
                        requantize(x, mantissa, shift),
                        defined(x, mantissa, shift),
                        "{x} {mantissa} {shift}"
                    );
                }
            }
        }
    }

    #[test]
    fn rounds_half_up() {
        assert_eq!(requantize(3, 1, 1), 2);
        assert_eq!(requantize(-3, 1, 1), -1);
        assert_eq!(requantize(-1, 1, 1), 0);
        assert_eq!(requantize(5, 1, 2), 1);
        assert_eq!(requantize(6, 1, 2), 2);
    }

    proptest! {
        #[test]
        fn equals_the_definition(x: i32, mantissa: i32, shift in -40..70i32) {
            prop_assert_eq!(requantize(x, mantissa, shift), defined(x, mantissa, shift));
        }
    }
}
