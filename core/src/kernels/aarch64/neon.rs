//! What every 64-bit ARM machine has: products of eight bits widened to sixteen, and their sums to 32.

use super::both_limbs;
use super::epilogue::by_neon;
use super::mix::{Mix, OfValues, Weights};
use super::rows::{Rows, above_low};
use super::values::{KEYS, Values};
use super::vector::load_i8;
use crate::kernels::attention::Head;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::portable::{Codes, Columns, Products};
use crate::kernels::wide;
use core::arch::aarch64::*;

/// Chunks of sixteen keys whose products a 32-bit sum holds: 512 * 32767 * 128 < 2^31.
const CHUNKS: usize = 32;

/// The backend. Four rows' sums stay in registers: two vectors for each four columns, eight columns at a
/// time.
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
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]) {
        // SAFETY: NEON is a feature of the target.
        unsafe {
            if codes.shared {
                both_limbs::multiply(codes, panels, sums);
            } else {
                multiply(codes, panels, sums);
            }
        }
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

/// [`Products::sums`], eight columns at a time, so that four rows' sums stay in registers: a function of its
/// own, for compilers keep fewer there in the midst of a caller's values.
#[target_feature(enable = "neon")]
#[inline(never)]
fn multiply<const R: usize>(codes: &Codes<R>, panels: &[Columns], out: &mut [[[i32; PANEL]; R]]) {
    let (high, low) = (Rows::high(codes), Rows::low(codes));
    for (panel, out) in panels.iter().zip(out) {
        multiply_half::<R, 0>(&high, &low, panel, out);
        multiply_half::<R, 1>(&high, &low, panel, out);
    }
}

/// The sums of the first half of a panel's columns, or the second.
#[target_feature(enable = "neon")]
#[inline]
fn multiply_half<const R: usize, const HALF: usize>(
    high: &Rows<R, 16>,
    low: &Rows<R, 16>,
    panel: &Columns,
    out: &mut [[i32; PANEL]; R],
) {
    let mut sums = [[vdupq_n_s32(0); 4]; R];
    // In one place, so that the loop is compiled into this function, where sums are registers.
    let first = usize::from(panel.high.is_empty());
    for limb in first..2 {
        if limb > first {
            above_low(&mut sums);
        }
        let (rows, weight) = if limb == 0 { (high, panel.high) } else { (low, panel.low) };
        add::<R, HALF>(&mut sums, rows, weight);
    }
    for (out, [a, b, c, d]) in out.iter_mut().zip(sums) {
        let halves: &mut [[i32; PANEL / 2]; 2] = bytemuck::cast_mut(out);
        halves[HALF] = bytemuck::cast([vpaddq_s32(a, b), vpaddq_s32(c, d)]);
    }
}

/// Adds the products of rows with half of a part's columns, four groups at a time; a column's sum is that of
/// two lanes.
#[target_feature(enable = "neon")]
#[inline]
fn add<const R: usize, const HALF: usize>(sums: &mut [[int32x4_t; 4]; R], rows: &Rows<R, 16>, weight: &[i8]) {
    let (weights, last_weights) = weight.as_chunks::<{ 4 * GROUP * PANEL }>();
    let ((weights, chunks), (last_weights, last_rows)) =
        (rows.beside(weights), rows.rest_beside(last_weights.as_chunks().0));
    for (index, weight) in weights.iter().enumerate() {
        let codes: [_; R] = core::array::from_fn(|r| load_i8(&chunks[r][index]));
        let [a, b, c, d] = bytemuck::cast_ref::<_, [[[[i8; 16]; 2]; 2]; 4]>(weight);
        add_to_pairs(sums, codes.map(lane::<0>), &a[HALF]);
        add_to_pairs(sums, codes.map(lane::<1>), &b[HALF]);
        add_to_pairs(sums, codes.map(lane::<2>), &c[HALF]);
        add_to_pairs(sums, codes.map(lane::<3>), &d[HALF]);
    }
    for (index, weight) in last_weights.iter().enumerate() {
        let codes = last_rows.map(|row| vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast(row[index]))));
        let weight = bytemuck::cast_ref::<[i8; GROUP * PANEL], [[[i8; 16]; 2]; 2]>(weight);
        add_to_pairs(sums, codes, &weight[HALF]);
    }
}

/// Four codes of sixteen, four times.
#[inline(always)]
fn lane<const LANE: i32>(codes: int8x16_t) -> int8x16_t {
    // SAFETY: NEON is a feature of the target.
    unsafe { vreinterpretq_s8_s32(vdupq_laneq_s32::<LANE>(vreinterpretq_s32_s8(codes))) }
}

/// Adds the products of four inputs with eight columns. The products of a vector fill two, and two products
/// are added to each lane of the sums: as many of -128 and -128 would not fit sixteen bits.
#[target_feature(enable = "neon")]
#[inline]
fn add_to_pairs<const R: usize>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: [int8x16_t; R],
    weights: &[[i8; 16]; 2],
) {
    for (v, weight) in weights.iter().enumerate() {
        let columns = load_i8(weight);
        for (sums, &codes) in sums.iter_mut().zip(&codes) {
            let products = vmull_s8(vget_low_s8(columns), vget_low_s8(codes));
            sums[2 * v] = vpadalq_s16(sums[2 * v], products);
            sums[2 * v + 1] = vpadalq_s16(sums[2 * v + 1], vmull_high_s8(columns, codes));
        }
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
