//! Scales of rows side by side.

use super::multiply::Lanes;
use crate::fixed::TokenScale;

/// How many rows.
pub const ROWS: usize = 16;

/// Each row's scale, and what takes a value to its code ([`TokenScale::inverse`]).
pub struct Scales {
    mantissa: [u16; ROWS],
    exponent: [i8; ROWS],
    pub(in crate::kernels) inverse: [i32; ROWS],
    pub(in crate::kernels) left: [u32; ROWS],
    pub(in crate::kernels) right: [u32; ROWS],
    /// [`Lanes::half`]
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "x86 alone reads it"))]
    pub(in crate::kernels) half: [i32; ROWS],
}

impl Scales {
    /// [`TokenScale::covering`] for each row.
    #[inline(always)]
    pub fn covering(ordinary: [u32; ROWS], loud: [u32; ROWS]) -> Self {
        Self::of(|r| TokenScale::covering(ordinary[r], loud[r]))
    }

    /// The same where there are no outliers.
    #[inline(always)]
    pub fn covering_ordinary(largest: [u32; ROWS]) -> Self {
        Self::of(|r| TokenScale::covering_ordinary(largest[r]))
    }

    /// The same where all are outliers.
    #[inline(always)]
    pub fn covering_loud(largest: [u32; ROWS]) -> Self {
        Self::of(|r| TokenScale::covering_outliers(largest[r]))
    }

    #[inline(always)]
    fn of(scale: impl Fn(usize) -> TokenScale) -> Self {
        let (mut mantissa, mut exponent) = ([0; ROWS], [0; ROWS]);
        let (mut inverse, mut half) = ([0; ROWS], [0; ROWS]);
        let (mut left, mut right) = ([0; ROWS], [0; ROWS]);
        for r in 0..ROWS {
            let scale = scale(r);
            (mantissa[r], exponent[r]) = (scale.mantissa, scale.exponent);
            inverse[r] = inverse_of(scale.mantissa);
            // A row of zeros is one by any multiplier; that of the quietest other row fits lanes.
            let shift = 45 + i32::from(scale.exponent).max(-28);
            // As in `Lanes`, which hold all that a scale covers.
            right[r] = (shift - 32).max(1) as u32;
            left[r] = (33 - shift).max(0) as u32;
            half[r] = 1 << (right[r] - 1);
        }
        Self { mantissa, exponent, inverse, left, right, half }
    }

    /// As many rows' scales.
    #[inline(always)]
    pub fn copy_to(&self, scales: &mut [TokenScale]) {
        scales.iter_mut().enumerate().for_each(|(r, scale)| *scale = self.get(r));
    }

    /// The scale of row `r`.
    #[inline(always)]
    pub fn get(&self, r: usize) -> TokenScale {
        TokenScale { mantissa: self.mantissa[r], exponent: self.exponent[r] }
    }

    /// What takes row `r` to its codes.
    #[inline(always)]
    pub fn inverse(&self, r: usize) -> Lanes {
        Lanes { mantissa: self.inverse[r], left: self.left[r], right: self.right[r] }
    }
}

/// `2^45 / mantissa` to nearest, and 2^31 cut: the mantissa of [`TokenScale::inverse`], for mantissas in
/// `2^14..2^15`. A division in 32-bit lanes: Newton's iteration from a line to sixteen bits, the next fifteen
/// bits from the rest, and at most one more.
#[inline(always)]
fn inverse_of(mantissa: u16) -> i32 {
    let divisor = i32::from(mantissa);
    // 48/17 - 32/17 x is nearest to 1 / x between 1/2 and 1.
    let line = 92_521 - ((divisor * 61_681) >> 15);
    let better = line + ((line * (((1 << 30) - divisor * line) >> 15)) >> 15);
    let upper = better + ((better * (((1 << 30) - divisor * better) >> 8) + (1 << 21)) >> 22);
    let rest = (1 << 30) - divisor * upper;
    let quotient = (upper << 15).wrapping_add((rest * upper + (1 << 14)) >> 15);
    // The lower half of 2^45 is 0.
    let rest = (divisor >> 1).wrapping_sub(quotient.wrapping_mul(divisor));
    let quotient = quotient.wrapping_add(i32::from(rest >= divisor));
    // 2^31 wraps to the least of all.
    if quotient < 0 { i32::MAX } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inverse() {
        for mantissa in 1 << 14..1 << 15 {
            let scale = TokenScale { mantissa, exponent: 0 };
            assert_eq!(inverse_of(mantissa), scale.inverse().mantissa, "{mantissa}");
        }
    }

    #[test]
    fn multipliers_are_those_of_lanes() {
        for bit in 0..31u32 {
            for max in [(1 << bit) - 1, 1u32 << bit, (1 << bit) + (1 << bit) / 3] {
                for (ordinary, loud) in [(max, 0), (0, max), (max / 128, max)] {
                    let scales = Scales::covering([ordinary; ROWS], [loud; ROWS]);
                    let scale = TokenScale::covering(ordinary, loud);
                    assert_eq!(scales.get(7), scale);
                    if loud == 0 {
                        assert_eq!(Scales::covering_ordinary([ordinary; ROWS]).get(7), scale);
                    } else if ordinary == 0 {
                        assert_eq!(Scales::covering_loud([loud; ROWS]).get(7), scale);
                    }
                    // An outlier's scale by all values.
                    assert_eq!(TokenScale::covering(ordinary, ordinary.max(loud)), scale);
                    if max > 0 {
                        let lanes = Lanes::new(scale.inverse(), max).expect("a covered value fits");
                        assert_eq!(scales.inverse(7), lanes, "{ordinary} {loud}");
                    }
                }
            }
        }
    }
}
