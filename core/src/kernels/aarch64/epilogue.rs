//! The epilogue of some rows of a linear layer with one panel.

use super::vector::{load_i8, load_i32, requantize, store_i32};
use crate::fixed::TokenScale;
use crate::kernels::linear::{PANEL, Panel};
use crate::kernels::scalar::gemm as specification;
use core::arch::aarch64::*;
use core::ops::RangeInclusive;

/// Shifts less exponents that [`Channels::by_halves`] does, before what sums can be shifted left: the last place is rounded, and a shift is a
/// byte.
const SHIFTS: RangeInclusive<i32> = 32..=96;

/// [`Products::finish`](crate::kernels::portable::Products::finish).
#[target_feature(enable = "neon")]
#[inline]
pub fn finish<const R: usize>(
    panel: &Panel,
    room: u32,
    sums: &[[i32; PANEL]; R],
    scales: &[TokenScale; R],
    y: &mut [[i32; PANEL]; R],
) {
    let rows = sums.iter().zip(scales).zip(y);
    let whole = (panel.mantissa.first_chunk(), panel.shift.first_chunk(), panel.bias.first_chunk());
    let (Some(mantissa), Some(shift), Some(bias)) = whole else {
        return rows.for_each(|((sums, &scale), y)| specification::finish(panel, sums, scale, y));
    };
    let channels = Channels::new(mantissa, shift, bias, room as i32);
    for ((sums, &scale), y) in rows {
        let exponent = i32::from(scale.exponent);
        if SHIFTS.contains(&(channels.least - exponent)) && SHIFTS.contains(&(channels.largest - exponent)) {
            channels.by_halves(sums, scale, y);
        } else {
            channels.by_wholes(sums, scale, y);
        }
    }
}

/// A panel's channels in vectors.
struct Channels {
    mantissa: [uint16x8_t; 2],
    /// Places that a sum's product is to be shifted left, before a row's exponent and what [`by_halves`](Self::by_halves) shifts.
    left: [int32x4_t; 4],
    bias: [int32x4_t; 4],
    /// Places to the left that lose nothing of any sum.
    room: i32,
    /// The least shift, and the largest, of sums that are that far to the left.
    least: i32,
    largest: i32,
}

impl Channels {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(mantissa: &[u16; PANEL], shift: &[i8; PANEL], bias: &[i32; PANEL], room: i32) -> Self {
        let shift = load_i8(shift);
        let (a, b) = (vmovl_s8(vget_low_s8(shift)), vmovl_high_s8(shift));
        let wide =
            [vmovl_s16(vget_low_s16(a)), vmovl_high_s16(a), vmovl_s16(vget_low_s16(b)), vmovl_high_s16(b)];
        Self {
            mantissa: bytemuck::cast(*mantissa),
            left: wide.map(|shift| vnegq_s32(shift)),
            bias: bytemuck::cast(*bias),
            room,
            least: i32::from(vminvq_s8(shift)) + room,
            largest: i32::from(vmaxvq_s8(shift)) + room,
        }
    }

    /// The products of a row's mantissa and the columns', all of them positive.
    #[target_feature(enable = "neon")]
    #[inline]
    fn mantissas(&self, scale: TokenScale) -> [int32x4_t; 4] {
        let row = scale.mantissa & 0x7fff;
        let [a, b] = self.mantissa;
        [
            vmull_n_u16(vget_low_u16(a), row),
            vmull_high_n_u16(a, row),
            vmull_n_u16(vget_low_u16(b), row),
            vmull_high_n_u16(b, row),
        ]
        .map(|mantissa| vreinterpretq_s32_u32(mantissa))
    }

    /// From the upper halves of products: `2 * sum * 2^room * mantissa / 2^32`, and right by what is left of the shift, at least one place. What
    /// the lower half holds is less than half a unit of the result and can't change a rounding half up.
    #[target_feature(enable = "neon")]
    #[inline]
    fn by_halves(&self, sums: &[i32; PANEL], scale: TokenScale, y: &mut [i32; PANEL]) {
        let (mantissa, room) = (self.mantissas(scale), vdupq_n_s32(self.room));
        let places = vdupq_n_s32(i32::from(scale.exponent) + 31 - self.room);
        for (v, (y, sums)) in y.as_chunks_mut().0.iter_mut().zip(sums.as_chunks().0).enumerate() {
            let upper = vqdmulhq_s32(vshlq_s32(load_i32(sums), room), mantissa[v]);
            let value = vrshlq_s32(upper, vaddq_s32(self.left[v], places));
            store_i32(y, vqaddq_s32(value, self.bias[v]));
        }
    }

    /// For any shift, from whole products. The mantissas are positive, so 63 places to the right leave nothing, too.
    #[target_feature(enable = "neon")]
    #[inline]
    fn by_wholes(&self, sums: &[i32; PANEL], scale: TokenScale, y: &mut [i32; PANEL]) {
        let (mantissa, exponent) = (self.mantissas(scale), vdupq_n_s32(scale.exponent.into()));
        for (v, (y, sums)) in y.as_chunks_mut().0.iter_mut().zip(sums.as_chunks().0).enumerate() {
            let left = vaddq_s32(self.left[v], exponent);
            let left = vminq_s32(vmaxq_s32(left, vdupq_n_s32(-64)), vdupq_n_s32(31));
            store_i32(y, vqaddq_s32(requantize(load_i32(sums), mantissa[v], left), self.bias[v]));
        }
    }
}
