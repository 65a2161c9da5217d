//! [`requantize`](crate::fixed::requantize) in 32-bit lanes.

use crate::fixed::Multiplier;

/// The upper half of a product.
#[inline(always)]
pub fn upper(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b)) >> 32) as i32
}

/// [`upper`] of each pair, for any instructions.
#[inline(always)]
pub fn upper_each<const N: usize>(mut a: [i32; N], b: [i32; N]) -> [i32; N] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a = upper(*a, b));
    a
}

/// A [`Multiplier`] for values of limited magnitude: shifted left, multiplied, of the product the upper half
/// shifted right.
///
/// `right` is at least 1, so that half a unit of the result is whole in the upper half; what the lower half
/// holds is less and can't change a rounding half up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    pub(in crate::kernels) mantissa: i32,
    pub(in crate::kernels) left: u32,
    pub(in crate::kernels) right: u32,
}

impl Lanes {
    /// `by` for values of at most `largest` in magnitude; `None` where they don't fit.
    #[inline(always)]
    pub fn new(by: Multiplier, largest: u32) -> Option<Self> {
        if !(3..=62).contains(&by.shift) {
            return None;
        }
        let right = (by.shift - 32).max(1);
        let left = (right + 32 - by.shift) as u32;
        let fits = largest.leading_zeros() > left;
        fits.then_some(Self { mantissa: by.mantissa, left, right: right as u32 })
    }

    /// `by.apply(x)`. Products are at most 2^62 in magnitude, so nothing saturates.
    #[inline(always)]
    pub fn apply(self, x: i32) -> i32 {
        (upper(x << self.left, self.mantissa) + self.half()) >> self.right
    }

    /// Half a unit of the result.
    #[inline(always)]
    pub fn half(self) -> i32 {
        1 << (self.right - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_apply(x: i32, cut in 0..32u32, room in 0..8u32, mantissa: i32, shift in 0..66i32) {
            let (x, by) = (x >> cut, Multiplier { mantissa, shift });
            let largest = x.unsigned_abs().saturating_mul(1 << room);
            if let Some(lanes) = Lanes::new(by, largest) {
                prop_assert_eq!(lanes.apply(x), by.apply(x));
            }
        }
    }

    #[test]
    fn extremes() {
        for shift in 33..=62 {
            let by = Multiplier { mantissa: i32::MIN, shift };
            let lanes = Lanes::new(by, i32::MAX as u32).expect("no shift left");
            for x in [i32::MAX, -i32::MAX, 0, 1, -1] {
                assert_eq!(lanes.apply(x), by.apply(x), "{x} {shift}");
            }
        }
        assert!(Lanes::new(Multiplier { mantissa: 1, shift: 32 }, 1 << 30).is_none());
        assert!(Lanes::new(Multiplier { mantissa: 1, shift: 2 }, 0).is_none());
        assert!(Lanes::new(Multiplier { mantissa: 1, shift: 63 }, 0).is_none());
    }
}
