//! The dot product instruction: sixteen products a time, four to a sum.

use super::epilogue::by_neon;
use super::mix::{Mix, OfValues, Weights};
use super::rows::{Rows, above_low};
use super::values::{KEYS, Values};
use super::vector::load_i8;
use crate::kernels::attention::Head;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::portable::{Codes, Columns, Products};
use core::arch::aarch64::*;
use core::arch::asm;

/// The backend; to be used where the machine has `sdot`. Six rows' sums are 24 of the 32 registers; six
/// vectors of codes and two of weights are the others.
pub static BACKEND: Backend = backend!("dotprod", Dotprod::new(), 6, super::neon::BACKEND);

/// Proof of `sdot`.
#[derive(Clone, Copy)]
pub struct Dotprod(());

impl Dotprod {
    /// # Safety
    ///
    /// The machine has the feature `dotprod`.
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Products for Dotprod {
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]) {
        // SAFETY: `self` proves that the machine has the instructions.
        unsafe { multiply(codes, panels, sums) }
    }

    by_neon!();
}

impl Mix for Dotprod {
    /// `w = 256 * high + low + 128` with both limbs in -128..=127: the sixteen high limbs, then the low ones.
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2] {
        // SAFETY: NEON is a feature of the target.
        unsafe {
            let [a, b] = scaled.map(|scaled| vreinterpretq_s8_s16(scaled));
            [vuzp2q_s8(a, b), veorq_s8(vuzp1q_s8(a, b), vdupq_n_s8(i8::MIN))]
        }
    }

    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R] {
        // SAFETY: `self` proves that the machine has the instructions.
        unsafe { mix(head, first, weights) }
    }
}

/// Adds to each lane of `sums` the dot product of four of `columns`' codes with the four codes of lane `LANE`
/// of `codes`.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot<const LANE: usize>(mut sums: int32x4_t, columns: int8x16_t, codes: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the feature; the instruction touches nothing but its operands.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {columns:v}.16b, {codes:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            columns = in(vreg) columns,
            codes = in(vreg) codes,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds the products with the four inputs of one group.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn add_group<const R: usize, const LANE: usize>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: &[int8x16_t; R],
    weight: &[i8; GROUP * PANEL],
) {
    for (v, weight) in weight.as_chunks().0.iter().enumerate() {
        let columns = load_i8(weight);
        for (sums, &codes) in sums.iter_mut().zip(codes) {
            sums[v] = dot::<LANE>(sums[v], columns, codes);
        }
    }
}

/// [`Products::sums`].
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn multiply<const R: usize>(codes: &Codes<R>, panels: &[Columns], out: &mut [[[i32; PANEL]; R]]) {
    let (high, low) = (Rows::high(codes), Rows::low(codes));
    for (panel, out) in panels.iter().zip(out) {
        let mut sums = [[vdupq_n_s32(0); 4]; R];
        // In one place, so that the loop is compiled into this function, where sums are registers.
        let first = usize::from(panel.high.is_empty());
        for limb in first..2 {
            if limb > first {
                above_low(&mut sums);
            }
            let (rows, weight) = if limb == 0 { (&high, panel.high) } else { (&low, panel.low) };
            add(&mut sums, rows, weight);
        }
        out.iter_mut().zip(sums).for_each(|(out, sums)| *out = bytemuck::cast(sums));
    }
}

/// Adds the products of rows with a part, four groups at a time.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn add<const R: usize>(sums: &mut [[int32x4_t; 4]; R], rows: &Rows<R, 16>, weight: &[i8]) {
    let (weights, last_weights) = weight.as_chunks::<{ 4 * GROUP * PANEL }>();
    let ((weights, chunks), (last_weights, last_rows)) =
        (rows.beside(weights), rows.rest_beside(last_weights.as_chunks().0));
    for (index, weight) in weights.iter().enumerate() {
        let codes = core::array::from_fn(|r| load_i8(&chunks[r][index]));
        let [a, b, c, d] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 4]>(weight);
        add_group::<R, 0>(sums, &codes, a);
        add_group::<R, 1>(sums, &codes, b);
        add_group::<R, 2>(sums, &codes, c);
        add_group::<R, 3>(sums, &codes, d);
    }
    for (index, weight) in last_weights.iter().enumerate() {
        let codes = last_rows.map(|row| vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast(row[index]))));
        add_group::<R, 0>(sums, &codes, weight);
    }
}

/// [`Mix::mix`]. A sum over keys of limbs times codes is at most 2^14 times their number, so it fits 32 bits.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn mix<const R: usize>(head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R] {
    let mut sums =
        Limbs { high: [[vdupq_n_s32(0); 2]; R], low: [[vdupq_n_s32(0); 2]; R], ones: [vdupq_n_s32(0); 2] };
    for block in head.blocks() {
        for (index, values) in Values::of(&block, head.width, first).enumerate() {
            let at = block.first / KEYS + index;
            let limbs = weights.map(|row| {
                let [high, low] = row.get(at).unwrap_or(&[[0; 16]; 2]);
                [load_i8(high), load_i8(low)]
            });
            sums.add::<0>(&limbs, values.pair::<0>(), values.pair::<1>());
            sums.add::<1>(&limbs, values.pair::<2>(), values.pair::<3>());
            sums.add::<2>(&limbs, values.pair::<4>(), values.pair::<5>());
            sums.add::<3>(&limbs, values.pair::<6>(), values.pair::<7>());
        }
    }
    sums.finish()
}

/// Sums for `R` rows and eight channels: of the high limbs times the values, of the low ones, and of the
/// values.
struct Limbs<const R: usize> {
    high: [[int32x4_t; 2]; R],
    low: [[int32x4_t; 2]; R],
    ones: [int32x4_t; 2],
}

impl<const R: usize> Limbs<R> {
    /// Adds four keys, which are two pairs of rows.
    #[target_feature(enable = "neon,dotprod")]
    #[inline]
    fn add<const LANE: usize>(&mut self, limbs: &[[int8x16_t; 2]; R], a: int8x16_t, b: int8x16_t) {
        let (a, b) = (vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b));
        let channels = [vzip1q_s16(a, b), vzip2q_s16(a, b)].map(|four| vreinterpretq_s8_s16(four));
        for (v, &channels) in channels.iter().enumerate() {
            self.ones[v] = dot::<0>(self.ones[v], channels, vdupq_n_s8(1));
            for (r, &[high, low]) in limbs.iter().enumerate() {
                self.high[r][v] = dot::<LANE>(self.high[r][v], channels, high);
                self.low[r][v] = dot::<LANE>(self.low[r][v], channels, low);
            }
        }
    }

    /// `256 * high + low + 128 * ones`.
    #[target_feature(enable = "neon,dotprod")]
    #[inline]
    fn finish(&self) -> [OfValues; R] {
        core::array::from_fn(|r| {
            let (high, low, ones) = (self.high[r], self.low[r], self.ones);
            core::array::from_fn(|half| {
                let v = half / 2;
                let of = |x: int32x4_t| if half % 2 == 0 { vget_low_s32(x) } else { vget_high_s32(x) };
                let sum = vaddq_s64(vshll_n_s32::<8>(of(high[v])), vshll_n_s32::<7>(of(ones[v])));
                vaddw_s32(sum, of(low[v]))
            })
        })
    }
}
