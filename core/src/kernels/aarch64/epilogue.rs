//! The epilogue of some rows of a linear layer with one panel.

use super::vector::{load_i8, padded, requantize};
use crate::fixed::TokenScale;
use crate::kernels::linear::{PANEL, Panel};
use crate::kernels::portable::RowScales;
use core::arch::aarch64::*;

/// What [`Products`](crate::kernels::portable::Products) asks for beside products, which the instruction sets share.
macro_rules! by_neon {
    () => {
        fn channels<'p>(
            self,
            panel: &$crate::kernels::linear::Panel<'p>,
            room: u32,
        ) -> $crate::kernels::aarch64::epilogue::Channels {
            // SAFETY: NEON is a feature of the target.
            unsafe { $crate::kernels::aarch64::epilogue::Channels::new(panel, room) }
        }

        #[inline]
        fn finish<const R: usize>(
            self,
            channels: &$crate::kernels::aarch64::epilogue::Channels,
            sums: &[[i32; $crate::kernels::linear::PANEL]; R],
            scales: &$crate::kernels::portable::RowScales<R>,
            out: &mut [i32],
            stride: usize,
        ) {
            // SAFETY: NEON is a feature of the target.
            unsafe { channels.finish(sums, scales, out, stride) }
        }
    };
}
pub(super) use by_neon;

/// The least and the largest shift less an exponent that [`Channels::by_halves`] does, before what sums can be shifted left: the last place is rounded, and a shift is a
/// byte.
const SHIFTS: [i32; 2] = [32, 96];

/// A panel's channels in vectors, all of them the first where a panel has none.
#[derive(Clone, Copy)]
pub struct Channels {
    mantissa: [uint16x8_t; 2],
    /// Places that a sum's product is to be shifted left, before a row's exponent and what [`by_halves`](Self::by_halves) shifts.
    left: [int32x4_t; 4],
    bias: [int32x4_t; 4],
    /// Places to the left that lose nothing of any sum.
    room: i32,
    /// The least exponent of rows for which [`by_halves`](Self::by_halves) does, and the largest.
    exponents: [i32; 2],
}

impl Channels {
    #[target_feature(enable = "neon")]
    pub fn new(panel: &Panel, room: u32) -> Self {
        let first = panel.shift.first().copied().unwrap_or_default();
        let (mut shifts, room) = ([first; PANEL], room as i32);
        shifts.iter_mut().zip(panel.shift).for_each(|(to, &shift)| *to = shift);
        let shift = load_i8(&shifts);
        let (a, b) = (vmovl_s8(vget_low_s8(shift)), vmovl_high_s8(shift));
        let wide =
            [vmovl_s16(vget_low_s16(a)), vmovl_high_s16(a), vmovl_s16(vget_low_s16(b)), vmovl_high_s16(b)];
        let [least, largest] = [vminvq_s8(shift), vmaxvq_s8(shift)].map(|shift| i32::from(shift) + room);
        Self {
            mantissa: bytemuck::cast(padded::<_, PANEL>(panel.mantissa, 0)),
            left: wide.map(|shift| vnegq_s32(shift)),
            bias: bytemuck::cast(padded::<_, PANEL>(panel.bias, 0)),
            room,
            exponents: [largest - SHIFTS[1], least - SHIFTS[0]],
        }
    }

    /// [`Products::finish`](crate::kernels::portable::Products::finish).
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn finish<const R: usize>(
        &self,
        sums: &[[i32; PANEL]; R],
        scales: &RowScales<R>,
        out: &mut [i32],
        stride: usize,
    ) {
        // A copy, so that compilers load it once for all rows.
        let channels = *self;
        if self.exponents[0] <= scales.exponents[0] && scales.exponents[1] <= self.exponents[1] {
            each_row(sums, scales, out, stride, |sums, scale, y| channels.by_halves(sums, scale, y));
        } else {
            each_row(sums, scales, out, stride, |sums, scale, y| channels.by_wholes(sums, scale, y));
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
        let sums: [int32x4_t; 4] = bytemuck::cast(*sums);
        *y = bytemuck::cast([0, 1, 2, 3].map(|v: usize| {
            let upper = vqdmulhq_s32(vshlq_s32(sums[v], room), mantissa[v]);
            let value = vrshlq_s32(upper, vaddq_s32(self.left[v], places));
            vqaddq_s32(value, self.bias[v])
        }));
    }

    /// For any shift, from whole products. The mantissas are positive, so 63 places to the right leave nothing, too.
    #[target_feature(enable = "neon")]
    #[inline]
    fn by_wholes(&self, sums: &[i32; PANEL], scale: TokenScale, y: &mut [i32; PANEL]) {
        let (mantissa, exponent) = (self.mantissas(scale), vdupq_n_s32(scale.exponent.into()));
        let sums: [int32x4_t; 4] = bytemuck::cast(*sums);
        *y = bytemuck::cast([0, 1, 2, 3].map(|v: usize| {
            let left = vaddq_s32(self.left[v], exponent);
            let left = vminq_s32(vmaxq_s32(left, vdupq_n_s32(-64)), vdupq_n_s32(31));
            vqaddq_s32(requantize(sums[v], mantissa[v], left), self.bias[v])
        }));
    }
}

/// Finishes each row: `finish(sums, scale, outputs)`.
#[inline(always)]
fn each_row<const R: usize>(
    sums: &[[i32; PANEL]; R],
    scales: &RowScales<R>,
    out: &mut [i32],
    stride: usize,
    finish: impl Fn(&[i32; PANEL], TokenScale, &mut [i32; PANEL]),
) {
    let mut rest = out;
    for (sums, &scale) in sums.iter().zip(scales.scales) {
        let Some((y, after)) = rest.split_first_chunk_mut() else { return };
        finish(sums, scale, y);
        rest = after.get_mut(stride.saturating_sub(PANEL)..).unwrap_or_default();
    }
}
