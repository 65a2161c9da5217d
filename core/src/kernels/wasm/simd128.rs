//! Pairs of 16-bit products (`i32x4.dot_i16x8_s`), as in portable SIMD, but with the columns' pairs brought
//! together before they are multiplied: a row then has four accumulators, not eight, and four rows fit the
//! registers of the machines that run it.

use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL, Panel};
use crate::kernels::portable::{self, Codes, Columns, Products, groups};
use crate::kernels::{Backend, wide};
use core::arch::wasm32::*;

/// Rows by which the work of widening columns is shared.
const ROWS: usize = 4;

/// The backend; to be used where the target has `simd128`.
pub static BACKEND: Backend = Backend {
    name: "simd128",
    gemm: |layer, codes, scales, epilogue, out| {
        portable::gemm::<_, ROWS>(Simd128, layer, codes, scales, epilogue, out)
    },
    product: |rows, panels, width, out| portable::product::<_, ROWS>(Simd128, rows, panels, width, out),
    ..wide::BACKEND
};

/// The target has the instructions.
#[derive(Clone, Copy)]
struct Simd128;

impl Products for Simd128 {
    type Channels<'p> = Panel<'p>;
    type Scales<'s, const R: usize> = &'s [TokenScale; R];

    #[inline(always)]
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]) {
        portable::sums(codes, panels, sums, dots, dots_of_limbs);
    }

    fn channels<'p>(self, panel: &Panel<'p>, _room: u32) -> Panel<'p> {
        *panel
    }

    #[inline(always)]
    fn scales<const R: usize>(self, scales: &[TokenScale; R], _room: u32) -> &[TokenScale; R] {
        scales
    }

    #[inline(always)]
    fn finish<const R: usize>(
        self,
        panel: &Panel,
        sums: &[[i32; PANEL]; R],
        scales: &&[TokenScale; R],
        out: &mut [i32],
        stride: usize,
    ) {
        portable::finish(panel, sums, scales, out, stride);
    }
}

/// Dot products of `R` rows with the sixteen columns of a packed part.
#[inline(always)]
fn dots<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let rows = groups(rows);
    add(weight, |r: usize, index: usize| rows[r].get(index).map(widen))
}

/// The same for channels of two limbs, which are one code of 15 bits.
#[inline(always)]
fn dots_of_limbs<const R: usize>(high: [&[i8]; R], low: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let (high, low) = (groups(high), groups(low));
    add(weight, |r: usize, index: usize| {
        let (high, low) = (high[r].get(index)?, low[r].get(index)?);
        Some(i16x8_add(i16x8_shl(widen(high), LIMB_BITS), widen(low)))
    })
}

/// Four codes, and they again.
#[inline(always)]
fn widen(codes: &[i8; GROUP]) -> v128 {
    i16x8_extend_low_i8x16(i32x4_splat(bytemuck::cast(*codes)))
}

/// Dot products of `R` rows with the sixteen columns of a packed part: `codes(row, group)`, twice, up to a
/// row's end.
#[inline(always)]
fn add<const R: usize>(weight: &[i8], codes: impl Fn(usize, usize) -> Option<v128>) -> [[i32; PANEL]; R] {
    let mut sums = [[i32x4_splat(0); PANEL / 4]; R];
    for (index, weight) in weight.as_chunks::<{ GROUP * PANEL }>().0.iter().enumerate() {
        let codes: [[v128; 2]; R] = core::array::from_fn(|r| {
            let codes = codes(r, index).unwrap_or(i32x4_splat(0));
            [i32x4_shuffle::<0, 0, 0, 0>(codes, codes), i32x4_shuffle::<1, 1, 1, 1>(codes, codes)]
        });
        for (v, columns) in weight.as_chunks::<16>().0.iter().enumerate() {
            let columns: v128 = bytemuck::cast(*columns);
            // The first two inputs of four columns, then the other two.
            let columns =
                i8x16_shuffle::<0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15>(columns, columns);
            let (a, b) = (i16x8_extend_low_i8x16(columns), i16x8_extend_high_i8x16(columns));
            for (sums, codes) in sums.iter_mut().zip(&codes) {
                let products = i32x4_add(i32x4_dot_i16x8(a, codes[0]), i32x4_dot_i16x8(b, codes[1]));
                sums[v] = i32x4_add(sums[v], products);
            }
        }
    }
    sums.map(bytemuck::cast)
}
