//! Vectors to and from memory, and the one rounding on four lanes.

use crate::fixed::Multiplier;
use core::arch::aarch64::*;

#[inline]
pub fn load_i8(from: &[i8; 16]) -> int8x16_t {
    bytemuck::cast(*from)
}

#[inline]
pub fn load_i16(from: &[i16; 8]) -> int16x8_t {
    bytemuck::cast(*from)
}

#[inline]
pub fn load_i32(from: &[i32; 4]) -> int32x4_t {
    bytemuck::cast(*from)
}

#[inline]
pub fn store_i8(to: &mut [i8; 16], vector: int8x16_t) {
    *to = bytemuck::cast(vector);
}

#[inline]
pub fn store_i16(to: &mut [i16; 8], vector: int16x8_t) {
    *to = bytemuck::cast(vector);
}

#[inline]
pub fn store_i32(to: &mut [i32; 4], vector: int32x4_t) {
    *to = bytemuck::cast(vector);
}

/// `N` of the values from `at` on; zeros where there are no more.
#[inline]
pub fn padded<T: Copy + Default, const N: usize>(values: &[T], at: usize) -> [T; N] {
    let values = values.get(at..).unwrap_or_default();
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut all = [T::default(); N];
        all.iter_mut().zip(values).for_each(|(to, &value)| *to = value);
        all
    })
}

/// [`requantize`](crate::fixed::requantize), lane by lane; shifts are to the left ([`left`]). A saturating
/// shift to the left and a rounding one to the right are one instruction, whose rounding is the same and
/// whose bits don't run out.
#[target_feature(enable = "neon")]
#[inline]
pub fn requantize(x: int32x4_t, mantissa: int32x4_t, left: int32x4_t) -> int32x4_t {
    let low = vmull_s32(vget_low_s32(x), vget_low_s32(mantissa));
    let high = vmull_high_s32(x, mantissa);
    let low = vqrshlq_s64(low, vmovl_s32(vget_low_s32(left)));
    let high = vqrshlq_s64(high, vmovl_high_s32(left));
    vqmovn_high_s64(vqmovn_s64(low), high)
}

/// The shift of a multiplier as [`requantize`] reads it. Beyond 62 nothing is left of any product; 31 places
/// to the left saturate all that more do.
pub const fn left(shift: i32) -> i32 {
    match shift {
        63.. => -64,
        -31..=62 => -shift,
        _ => 31,
    }
}

/// A multiplier, ready to be applied to many values.
#[derive(Clone, Copy)]
pub struct Factor {
    mantissa: int32x4_t,
    left: int32x4_t,
}

impl Factor {
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn new(factor: Multiplier) -> Self {
        Self { mantissa: vdupq_n_s32(factor.mantissa), left: vdupq_n_s32(left(factor.shift)) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub fn apply(self, x: int32x4_t) -> int32x4_t {
        requantize(x, self.mantissa, self.left)
    }
}

/// The upper halves of eight 16-bit products.
#[target_feature(enable = "neon")]
#[inline]
pub fn mulhi(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t {
    let low = vmull_u16(vget_low_u16(a), vget_low_u16(b));
    let high = vmull_high_u16(a, b);
    vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high))
}
