//! The epilogue of some rows of a linear layer with one panel.

use super::vector::{load_i8, padded, requantize};
use crate::fixed::TokenScale;
use crate::kernels::linear::{PANEL, Panel};
use core::arch::aarch64::*;

/// What [`Products`](crate::kernels::portable::Products) asks for beside sums, which the instruction sets
/// share.
macro_rules! by_neon {
    () => {
        type Channels<'p> = $crate::kernels::aarch64::epilogue::Channels;
        type Scales<'s, const R: usize> = $crate::kernels::aarch64::epilogue::Scales<'s, R>;

        fn channels<'p>(self, panel: &$crate::kernels::linear::Panel<'p>, room: u32) -> Self::Channels<'p> {
            // SAFETY: NEON is a feature of the target.
            unsafe { $crate::kernels::aarch64::epilogue::Channels::new(panel, room) }
        }

        #[inline(always)]
        fn scales<const R: usize>(
            self,
            scales: &[$crate::fixed::TokenScale; R],
            room: u32,
        ) -> Self::Scales<'_, R> {
            $crate::kernels::aarch64::epilogue::Scales::new(scales, room)
        }

        #[inline]
        fn finish<const R: usize>(
            self,
            channels: &Self::Channels<'_>,
            sums: &[[i32; $crate::kernels::linear::PANEL]; R],
            scales: &Self::Scales<'_, R>,
            out: &mut [i32],
            stride: usize,
        ) {
            // SAFETY: NEON is a feature of the target.
            unsafe { channels.finish(sums, scales, out, stride) }
        }
    };
}
pub(super) use by_neon;

/// The least and the largest shift less an exponent, with the places that sums are shifted left, that
/// [`Channels::by_halves`] does: the last place is rounded, and a shift is a byte.
const SHIFTS: [i32; 2] = [32, 96];

/// The scales of a tile's rows.
pub struct Scales<'s, const R: usize> {
    scales: &'s [TokenScale; R],
    /// The largest exponent.
    exponent: i32,
    /// Places by which a row's sums are shifted left, so that all rows' products are shifted right by as
    /// many: the `room` that there is, less what its exponent is below the largest.
    left: [i32; R],
    /// Whether none of them is negative.
    near: bool,
    mantissas: [u16; R],
}

impl<'s, const R: usize> Scales<'s, R> {
    #[inline(always)]
    pub fn new(scales: &'s [TokenScale; R], room: u32) -> Self {
        let exponents = scales.map(|scale| i32::from(scale.exponent));
        let exponent = exponents.iter().fold(i32::MIN, |a, &b| a.max(b));
        let left = exponents.map(|e| room as i32 + e - exponent);
        let near = left.iter().all(|&left| left >= 0);
        Self { scales, exponent, left, near, mantissas: scales.map(|scale| scale.mantissa & 0x7fff) }
    }
}

/// A panel's channels in vectors, all of them the first where a panel has none.
#[derive(Clone, Copy)]
pub struct Channels {
    mantissa: [uint16x8_t; 2],
    /// Places that a sum's product is to be shifted left, before a row's exponent and what
    /// [`by_halves`](Self::by_halves) shifts.
    left: [int32x4_t; 4],
    bias: [int32x4_t; 4],
    /// Places to the left that lose nothing of any sum.
    room: i32,
    /// The least of rows' largest exponents for which [`by_halves`](Self::by_halves) does, and the largest.
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
        scales: &Scales<R>,
        out: &mut [i32],
        stride: usize,
    ) {
        let [least, largest] = self.exponents;
        let halves = least <= scales.exponent && scales.exponent <= largest && scales.near;
        if halves && (R - 1).saturating_mul(stride).saturating_add(PANEL) <= out.len() {
            // SAFETY: there are as many outputs.
            unsafe { self.by_halves(sums, scales, out.as_mut_ptr(), stride) }
        } else {
            self.by_wholes(sums, scales, out, stride);
        }
    }

    /// The products of a row's mantissa and the columns', all of them positive.
    #[target_feature(enable = "neon")]
    #[inline]
    fn mantissas(&self, row: u16) -> [int32x4_t; 4] {
        let [a, b] = self.mantissa;
        [
            vmull_n_u16(vget_low_u16(a), row),
            vmull_high_n_u16(a, row),
            vmull_n_u16(vget_low_u16(b), row),
            vmull_high_n_u16(b, row),
        ]
        .map(|mantissa| vreinterpretq_s32_u32(mantissa))
    }

    /// From the upper halves of products: `2 * sum * 2^left * mantissa / 2^32`, and right by what is left of
    /// the shift, at least one place. What the lower half holds is less than half a unit of the result and
    /// can't change a rounding half up.
    ///
    /// # Safety
    /// `out` has `(R - 1) * stride + 16` outputs.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn by_halves<const R: usize>(
        &self,
        sums: &[[i32; PANEL]; R],
        scales: &Scales<R>,
        out: *mut i32,
        stride: usize,
    ) {
        // A copy, so that compilers load it once for all rows.
        let channels = *self;
        let places = vdupq_n_s32(scales.exponent + 31 - self.room);
        let left = channels.left.map(|left| vaddq_s32(left, places));
        for (r, sums) in sums.iter().enumerate() {
            let (mantissa, room) = (channels.mantissas(scales.mantissas[r]), vdupq_n_s32(scales.left[r]));
            let sums: [int32x4_t; 4] = bytemuck::cast(*sums);
            let y = [0, 1, 2, 3].map(|v: usize| {
                let upper = vqdmulhq_s32(vshlq_s32(sums[v], room), mantissa[v]);
                vqaddq_s32(vrshlq_s32(upper, left[v]), channels.bias[v])
            });
            // SAFETY: the caller's.
            unsafe { out.add(r * stride).cast::<[i32; PANEL]>().write(bytemuck::cast(y)) }
        }
    }

    /// For any shift, from whole products. The mantissas are positive, so 63 places to the right leave
    /// nothing, too.
    #[target_feature(enable = "neon")]
    fn by_wholes<const R: usize>(
        &self,
        sums: &[[i32; PANEL]; R],
        scales: &Scales<R>,
        out: &mut [i32],
        stride: usize,
    ) {
        let mut rest = out;
        for ((sums, scale), &mantissa) in sums.iter().zip(scales.scales).zip(&scales.mantissas) {
            let Some((out, after)) = rest.split_first_chunk_mut() else { return };
            let (mantissa, exponent) = (self.mantissas(mantissa), vdupq_n_s32(scale.exponent.into()));
            let sums: [int32x4_t; 4] = bytemuck::cast(*sums);
            *out = bytemuck::cast::<_, [i32; PANEL]>([0, 1, 2, 3].map(|v: usize| {
                let left = vaddq_s32(self.left[v], exponent);
                let left = vminq_s32(vmaxq_s32(left, vdupq_n_s32(-64)), vdupq_n_s32(31));
                vqaddq_s32(requantize(sums[v], mantissa[v], left), self.bias[v])
            }));
            rest = after.get_mut(stride.saturating_sub(PANEL)..).unwrap_or_default();
        }
    }
}
