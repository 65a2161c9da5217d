//! The stored residual stream.

use super::rows::{parts, parts_mut};
use crate::kernels::lanes;
use crate::quant::Site;
use core::arch::x86_64::*;

/// Values of a vector.
const N: usize = 8;

/// Channels whose steps stay in registers.
const BLOCK: usize = 64;

/// The specification's [`decode`](crate::kernels::scalar::residual::decode).
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
    let width = site.exponents.len();
    if !width.is_multiple_of(BLOCK) {
        return lanes::residual::decode(site, codes, code_row, x);
    }
    let wide = lanes::residual::wide_rows(site, codes, code_row, x);
    lanes::residual::decode_by(
        site,
        codes,
        code_row,
        x,
        wide,
        |step, exponents, rows, codes, code_row, x| {
            for (exponents, first) in exponents.as_chunks().0.iter().zip((0..).step_by(BLOCK)) {
                decode_block(step, exponents, first, rows, codes, code_row, x, width);
            }
        },
    );
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
    lanes::residual::decode(site, codes, code_row, x);
}

/// The channels from `first` on of some rows, all of whose codes and values are there.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(clippy::too_many_arguments, reason = "a block's steps, and rows of codes and values")]
fn decode_block(
    step: i32,
    exponents: &[u8; BLOCK],
    first: usize,
    rows: usize,
    codes: &[u8],
    code_row: usize,
    x: &mut [i32],
    width: usize,
) {
    let mut steps = [_mm256_setzero_si256(); BLOCK / N];
    for (steps, exponents) in steps.iter_mut().zip(exponents.as_chunks::<N>().0) {
        let exponents = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(*exponents)));
        *steps = _mm256_sllv_epi32(_mm256_set1_epi32(step), exponents);
    }
    let each = parts::<u8, { 2 * BLOCK }>(codes, code_row, 2 * first, rows);
    for (codes, x) in each.zip(parts_mut::<i32, BLOCK>(x, width, first, rows)) {
        let vectors = x.as_chunks_mut::<N>().0.iter_mut().zip(codes.as_chunks::<{ 2 * N }>().0);
        for ((x, codes), &steps) in vectors.zip(&steps) {
            let codes = _mm256_cvtepi16_epi32(bytemuck::cast(*codes));
            *x = bytemuck::cast(_mm256_mullo_epi32(codes, steps));
        }
    }
}
