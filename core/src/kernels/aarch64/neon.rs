//! What every 64-bit ARM machine has: products of eight bits widened to sixteen, and their sums to 32.

use super::epilogue::by_neon;
use super::values::{KEYS, Values};
use super::vector::{load_i8, padded};
use super::{Mix, OfValues, Weights};
use crate::kernels::attention::Head;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::portable::{Products, groups};
use crate::kernels::wide;
use core::arch::aarch64::*;

/// Chunks of sixteen keys whose products a 32-bit sum holds: 512 * 32767 * 128 < 2^31.
const CHUNKS: usize = 32;

/// The backend. Four rows' sums stay in registers: two vectors for each four columns, eight columns at a time.
pub static BACKEND: Backend = backend!("neon", Neon::new(), 4, wide::BACKEND);

/// Proof of NEON.
#[derive(Clone, Copy)]
struct Neon(());

impl Neon {
    /// # Safety
    ///
    /// The machine has NEON, as all of the target have.
    const unsafe fn new() -> Self {
        Self(())
    }
}

impl Products for Neon {
    #[inline]
    fn dots<const R: usize>(self, rows: [&[i8]; R], weight: &[i8], sums: &mut [[i32; PANEL]; R]) {
        // SAFETY: NEON is a feature of the target.
        unsafe { dots(rows, weight, sums) }
    }

    #[inline]
    fn dots_of_limbs<const R: usize>(
        self,
        high: [&[i8]; R],
        low: [&[i8]; R],
        weight: &[i8],
        sums: &mut [[i32; PANEL]; R],
    ) {
        // SAFETY: NEON is a feature of the target.
        unsafe { dots_of_limbs(high, low, weight, sums) }
    }

    by_neon!();
}

impl Mix for Neon {
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2] {
        // SAFETY: NEON is a feature of the target.
        scaled.map(|scaled| unsafe { vreinterpretq_s8_s16(scaled) })
    }

    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R] {
        // SAFETY: NEON is a feature of the target.
        unsafe { mix(head, first, weights) }
    }
}

/// [`Products::dots`], eight columns at a time, so that four rows' sums stay in registers.
#[target_feature(enable = "neon")]
#[inline]
fn dots<const R: usize>(rows: [&[i8]; R], weight: &[i8], sums: &mut [[i32; PANEL]; R]) {
    dots_of_half::<R, 0>(rows, weight, sums);
    dots_of_half::<R, 1>(rows, weight, sums);
}

/// Dot products with the first half of the columns, or the second, four groups at a time.
#[target_feature(enable = "neon")]
#[inline]
fn dots_of_half<const R: usize, const HALF: usize>(
    rows: [&[i8]; R],
    weight: &[i8],
    out: &mut [[i32; PANEL]; R],
) {
    let mut sums = [[[vdupq_n_s32(0); 2]; 2]; R];
    let (weights, last_weights) = weight.as_chunks::<{ 4 * GROUP * PANEL }>();
    let (rows, last_rows) = (groups(rows), rows.map(|row| row.as_chunks::<16>().1));
    // Of one length, so that the loop need not check.
    let count = rows.first().map_or(0, |row| row.len().min(weights.len()));
    let (weights, rows) = (&weights[..count], rows.map(|row| &row[..count]));
    for (index, weight) in weights.iter().enumerate() {
        let codes: [_; R] = core::array::from_fn(|r| load_i8(&rows[r][index]));
        let [a, b, c, d] = bytemuck::cast_ref::<_, [[[[i8; 16]; 2]; 2]; 4]>(weight);
        add_to_pairs(&mut sums, codes.map(lane::<0>), &a[HALF]);
        add_to_pairs(&mut sums, codes.map(lane::<1>), &b[HALF]);
        add_to_pairs(&mut sums, codes.map(lane::<2>), &c[HALF]);
        add_to_pairs(&mut sums, codes.map(lane::<3>), &d[HALF]);
    }
    let (last_weights, last_rows) = (last_weights.as_chunks().0, groups(last_rows));
    let count = last_rows.first().map_or(0, |row| row.len().min(last_weights.len()));
    let (last_weights, last_rows) = (&last_weights[..count], last_rows.map(|row| &row[..count]));
    for (index, weight) in last_weights.iter().enumerate() {
        let codes: [_; R] = core::array::from_fn(|r| {
            vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast::<[i8; GROUP], _>(last_rows[r][index])))
        });
        let weight = bytemuck::cast_ref::<[i8; GROUP * PANEL], [[[i8; 16]; 2]; 2]>(weight);
        add_to_pairs(&mut sums, codes, &weight[HALF]);
    }
    for (out, [[a, b], [c, d]]) in out.iter_mut().zip(sums) {
        let halves: &mut [[i32; PANEL / 2]; 2] = bytemuck::cast_mut(out);
        halves[HALF] = bytemuck::cast([vpaddq_s32(a, b), vpaddq_s32(c, d)]);
    }
}

/// Four codes of sixteen, four times.
#[inline(always)]
fn lane<const LANE: i32>(codes: int8x16_t) -> int8x16_t {
    // SAFETY: NEON is a feature of the target.
    unsafe { vreinterpretq_s8_s32(vdupq_laneq_s32::<LANE>(vreinterpretq_s32_s8(codes))) }
}

/// Adds the products of four inputs with eight columns. The products of a vector fill two, and two products are added to each lane of the
/// sums: as many of -128 and -128 would not fit sixteen bits.
#[target_feature(enable = "neon")]
#[inline]
fn add_to_pairs<const R: usize>(
    sums: &mut [[[int32x4_t; 2]; 2]; R],
    codes: [int8x16_t; R],
    weights: &[[i8; 16]; 2],
) {
    for (v, weight) in weights.iter().enumerate() {
        let columns = load_i8(weight);
        for (sums, &codes) in sums.iter_mut().zip(&codes) {
            let [low, high] = &mut sums[v];
            *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(columns), vget_low_s8(codes)));
            *high = vpadalq_s16(*high, vmull_high_s8(columns, codes));
        }
    }
}

/// [`Products::dots_of_limbs`]: a channel is one code of 15 bits, and 16-bit products are added to the sums of four columns at once.
#[target_feature(enable = "neon")]
#[inline]
fn dots_of_limbs<const R: usize>(
    high: [&[i8]; R],
    low: [&[i8]; R],
    weight: &[i8],
    out: &mut [[i32; PANEL]; R],
) {
    const TWO: usize = 2 * GROUP;
    let ends = [high, low].map(|rows| rows.map(|row| row.as_chunks::<TWO>().1));
    let (high, low) = (groups::<TWO, R>(high), groups::<TWO, R>(low));
    let (weights, last_weight) = weight.as_chunks::<{ TWO * PANEL }>();
    let count = high.iter().chain(&low).fold(weights.len(), |count, row| count.min(row.len()));
    let (high, low) = (high.map(|row| &row[..count]), low.map(|row| &row[..count]));
    let mut sums = [[vdupq_n_s32(0); 4]; R];
    for (index, weight) in weights[..count].iter().enumerate() {
        let codes = core::array::from_fn(|r| join_limbs(&high[r][index], &low[r][index]));
        let [a, b] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 2]>(weight);
        add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, a);
        add_group::<R, 4, 5, 6, 7>(&mut sums, &codes, b);
    }
    if let Some(weight) = last_weight.first_chunk() {
        let codes = core::array::from_fn(|r| join_limbs(&padded(ends[0][r], 0), &padded(ends[1][r], 0)));
        add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, weight);
    }
    out.iter_mut().zip(sums).for_each(|(out, sums)| *out = bytemuck::cast(sums));
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

/// [`Mix::mix`], two keys and eight channels a vector of values.
#[target_feature(enable = "neon")]
#[inline]
fn mix<const R: usize>(head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R] {
    let mut sums = [[vdupq_n_s64(0); 4]; R];
    for block in head.blocks() {
        let mut chunks = Values::of(&block, head.width, first).zip(block.first / KEYS..).peekable();
        while chunks.peek().is_some() {
            let mut acc = [[vdupq_n_s32(0); 2]; R];
            for (values, at) in chunks.by_ref().take(CHUNKS) {
                let [a, b] = [0, 1].map(|half| {
                    weights
                        .map(|row| vreinterpretq_s16_s8(load_i8(&row.get(at).unwrap_or(&[[0; 16]; 2])[half])))
                });
                add_pair::<R, 0, 1>(&mut acc, &a, values.pair::<0>());
                add_pair::<R, 2, 3>(&mut acc, &a, values.pair::<1>());
                add_pair::<R, 4, 5>(&mut acc, &a, values.pair::<2>());
                add_pair::<R, 6, 7>(&mut acc, &a, values.pair::<3>());
                add_pair::<R, 0, 1>(&mut acc, &b, values.pair::<4>());
                add_pair::<R, 2, 3>(&mut acc, &b, values.pair::<5>());
                add_pair::<R, 4, 5>(&mut acc, &b, values.pair::<6>());
                add_pair::<R, 6, 7>(&mut acc, &b, values.pair::<7>());
            }
            for (sums, [a, b]) in sums.iter_mut().zip(acc) {
                sums[0] = vaddw_s32(sums[0], vget_low_s32(a));
                sums[1] = vaddw_high_s32(sums[1], a);
                sums[2] = vaddw_s32(sums[2], vget_low_s32(b));
                sums[3] = vaddw_high_s32(sums[3], b);
            }
        }
    }
    sums
}

/// Adds two keys' products, whose weights lie in lanes `A` and `B`.
#[target_feature(enable = "neon")]
#[inline]
fn add_pair<const R: usize, const A: i32, const B: i32>(
    acc: &mut [[int32x4_t; 2]; R],
    weights: &[int16x8_t; R],
    pair: int8x16_t,
) {
    let pair = vreinterpretq_s16_s8(pair);
    let (a, b) = (vshrq_n_s16::<8>(vshlq_n_s16::<8>(pair)), vshrq_n_s16::<8>(pair));
    for ([low, high], &weights) in acc.iter_mut().zip(weights) {
        *low = vmlal_laneq_s16::<A>(*low, vget_low_s16(a), weights);
        *low = vmlal_laneq_s16::<B>(*low, vget_low_s16(b), weights);
        *high = vmlal_high_laneq_s16::<A>(*high, a, weights);
        *high = vmlal_high_laneq_s16::<B>(*high, b, weights);
    }
}
