//! Channels of two limbs whose columns serve both, without the dot product: a channel is one code of 15 bits.

use super::rows::Rows;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::portable::{Codes, Columns};
use core::arch::aarch64::*;

/// Codes that are read at a time: two groups.
const TWO: usize = 2 * GROUP;

/// [`Products::sums`](crate::kernels::portable::Products::sums) where a column serves both limbs of a channel, which are one code of 15
/// bits: 16-bit products are added to the sums of four columns at once.
#[target_feature(enable = "neon")]
#[inline]
pub fn multiply<const R: usize>(codes: &Codes<R>, panels: &[Columns], out: &mut [[[i32; PANEL]; R]]) {
    let (high, low) = (Rows::<R, TWO>::high(codes), Rows::<R, TWO>::low(codes));
    for (panel, out) in panels.iter().zip(out) {
        let (weights, last_weight) = panel.low.as_chunks::<{ TWO * PANEL }>();
        let (weights, highs) = high.beside(weights);
        let (weights, lows) = low.beside(weights);
        let mut sums = [[vdupq_n_s32(0); 4]; R];
        for (index, weight) in weights.iter().enumerate() {
            let codes = core::array::from_fn(|r| join_limbs(&highs[r][index], &lows[r][index]));
            let [a, b] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 2]>(weight);
            add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, a);
            add_group::<R, 4, 5, 6, 7>(&mut sums, &codes, b);
        }
        if let Some(weight) = last_weight.first_chunk() {
            let (highs, lows) = (high.rest(), low.rest());
            let codes = core::array::from_fn(|r| join_limbs(&highs[r], &lows[r]));
            add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, weight);
        }
        out.iter_mut().zip(sums).for_each(|(out, sums)| *out = bytemuck::cast(sums));
    }
}

/// Eight codes of two limbs as one of 15 bits each.
#[target_feature(enable = "neon")]
#[inline]
fn join_limbs(high: &[i8; 2 * GROUP], low: &[i8; 2 * GROUP]) -> int16x8_t {
    let high: int8x8_t = bytemuck::cast(*high);
    vaddw_s8(vshll_n_s8::<{ LIMB_BITS as i32 }>(high), bytemuck::cast(*low))
}

/// Adds the products of the four inputs of a group with the codes in these lanes.
#[target_feature(enable = "neon")]
#[inline]
fn add_group<const R: usize, const A: i32, const B: i32, const C: i32, const D: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: &[int16x8_t; R],
    weight: &[i8; GROUP * PANEL],
) {
    // SAFETY: a group has 64 bytes, four for each column.
    let inputs = unsafe { vld4q_s8(weight.as_ptr()) };
    add_input::<R, A>(sums, codes, inputs.0);
    add_input::<R, B>(sums, codes, inputs.1);
    add_input::<R, C>(sums, codes, inputs.2);
    add_input::<R, D>(sums, codes, inputs.3);
}

/// Adds the products of one input's sixteen weights with the codes in lane `LANE`.
#[target_feature(enable = "neon")]
#[inline]
fn add_input<const R: usize, const LANE: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: &[int16x8_t; R],
    weights: int8x16_t,
) {
    let (first, last) = (vmovl_s8(vget_low_s8(weights)), vmovl_high_s8(weights));
    for (sums, &codes) in sums.iter_mut().zip(codes) {
        sums[0] = vmlal_laneq_s16::<LANE>(sums[0], vget_low_s16(first), codes);
        sums[1] = vmlal_high_laneq_s16::<LANE>(sums[1], first, codes);
        sums[2] = vmlal_laneq_s16::<LANE>(sums[2], vget_low_s16(last), codes);
        sums[3] = vmlal_high_laneq_s16::<LANE>(sums[3], last, codes);
    }
}
