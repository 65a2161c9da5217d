//! The largest magnitudes of rows.

use super::values::{N, load};
use crate::kernels::lanes::quantize::{Portable, Steps};
use crate::kernels::lanes::scales::ROWS;
use crate::kernels::rows::Rows;
use crate::kernels::x86::steps::rows::row_parts;
use core::arch::x86_64::*;

/// Channels whose marks are made ready for all rows.
const BLOCK: usize = 64;

#[inline]
#[target_feature(enable = "avx2")]
pub fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS] {
    let mut largest = [_mm256_setzero_si256(); ROWS];
    let each = largest.iter_mut().take(count);
    // Most rows are so long: without a loop.
    match rows.width {
        32 => {
            each.zip(row_parts(rows, 0, count)).for_each(|(largest, row)| *largest = magnitudes_of::<32>(row))
        }
        64 => {
            each.zip(row_parts(rows, 0, count)).for_each(|(largest, row)| *largest = magnitudes_of::<64>(row))
        }
        _ => each.zip(rows.iter()).for_each(|(largest, row)| *largest = magnitudes(row)),
    }
    largest_lanes(largest, count)
}

/// Magnitudes of which one is the largest.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes(values: &[i32]) -> __m256i {
    let (values, rest) = values.as_chunks::<N>();
    let mut largest = _mm256_setzero_si256();
    for values in values {
        largest = _mm256_max_epu32(largest, _mm256_abs_epi32(load(values)));
    }
    if !rest.is_empty() {
        largest = _mm256_max_epu32(largest, _mm256_set1_epi32(Portable.largest(rest).cast_signed()));
    }
    largest
}

/// The same for so many values.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes_of<const COUNT: usize>(row: &[i32; COUNT]) -> __m256i {
    let mut largest = _mm256_setzero_si256();
    for values in row.as_chunks::<N>().0 {
        largest = _mm256_max_epu32(largest, _mm256_abs_epi32(load(values)));
    }
    largest
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2] {
    let mut marked = [_mm256_setzero_si256(); ROWS];
    let mut all = marked;
    let (blocks, rest) = marks.as_chunks::<BLOCK>();
    if rest.is_empty() && marks.len() == rows.width {
        for (marks, first) in blocks.iter().zip((0..).step_by(BLOCK)) {
            magnitudes_of_block(row_parts(rows, first, count), marks, &mut marked, &mut all);
        }
        return [largest_lanes(marked, count), largest_lanes(all, count)];
    }
    for (values, (marked, all)) in rows.iter().zip(marked.iter_mut().zip(&mut all)).take(count) {
        [*marked, *all] = magnitudes_of_both(values, marks);
    }
    [largest_lanes(marked, count), largest_lanes(all, count)]
}

/// Takes a block of channels of some rows to the largest magnitudes, as [`magnitudes_of_both`] has them.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes_of_block<'r>(
    rows: impl Iterator<Item = &'r [i32; BLOCK]>,
    marks: &[i8; BLOCK],
    marked: &mut [__m256i; ROWS],
    all: &mut [__m256i; ROWS],
) {
    let mut masks = [_mm256_setzero_si256(); BLOCK / N];
    for (mask, marks) in masks.iter_mut().zip(marks.as_chunks::<N>().0) {
        *mask = widened(marks);
    }
    for (row, (of_marked, of_all)) in rows.zip(marked.iter_mut().zip(all)) {
        let (mut marked, mut all) = (*of_marked, *of_all);
        for (values, &mask) in row.as_chunks::<N>().0.iter().zip(&masks) {
            let magnitudes = _mm256_abs_epi32(load(values));
            marked = _mm256_max_epu32(marked, _mm256_and_si256(mask, magnitudes));
            all = _mm256_max_epu32(all, magnitudes);
        }
        (*of_marked, *of_all) = (marked, all);
    }
}

/// Marks in lanes of 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(marks: &[i8; N]) -> __m256i {
    _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytemuck::cast(*marks))))
}

/// As [`magnitudes`], of the values whose mark is -1, and of all.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes_of_both(values: &[i32], marks: &[i8]) -> [__m256i; 2] {
    let ((values, rest), (marks, rest_of_marks)) = (values.as_chunks::<N>(), marks.as_chunks::<N>());
    let (mut marked, mut all) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (values, marks) in values.iter().zip(marks) {
        let marks = widened(marks);
        let magnitudes = _mm256_abs_epi32(load(values));
        marked = _mm256_max_epu32(marked, _mm256_and_si256(marks, magnitudes));
        all = _mm256_max_epu32(all, magnitudes);
    }
    if !rest.is_empty() {
        let [first, others] = Portable.largest_of_both(rest, rest_of_marks);
        marked = _mm256_max_epu32(marked, _mm256_set1_epi32(first.cast_signed()));
        all = _mm256_max_epu32(all, _mm256_set1_epi32(first.max(others).cast_signed()));
    }
    [marked, all]
}

/// The largest lane of each of the first `count` vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_lanes(vectors: [__m256i; ROWS], count: usize) -> [u32; ROWS] {
    let mut largest = [_mm256_setzero_si256(); 2];
    for (half, largest) in largest.iter_mut().enumerate() {
        if count > half * N {
            *largest = largest_of_eight(vectors.as_chunks::<N>().0[half]);
        }
    }
    bytemuck::cast(largest)
}

/// The largest lane of each vector. Pairs of vectors become one by interleaving values, then pairs of values,
/// then halves: every step leaves half as many that may be the largest.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_eight([a, b, c, d, e, f, g, h]: [__m256i; N]) -> __m256i {
    let by_value = |a, b| _mm256_max_epu32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let by_pair = |a, b| _mm256_max_epu32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let first = by_pair(by_value(a, b), by_value(c, d));
    let last = by_pair(by_value(e, f), by_value(g, h));
    let [low, high] =
        [_mm256_permute2x128_si256::<0x20>(first, last), _mm256_permute2x128_si256::<0x31>(first, last)];
    _mm256_max_epu32(low, high)
}
