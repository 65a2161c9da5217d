//! Rows on their way to codes, sixteen values at a time, the last of them masked. Written out, since rows of
//! one head are too short for what compilers make of loops.

use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::quantize::Steps;
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::linear::LIMB_BITS;
use crate::kernels::rows::Rows;
use crate::kernels::scalar::quantize::LIMBS_MAX;
use crate::kernels::x86::steps::multiply::upper_512;
use core::arch::x86_64::*;

super::steps! {
    fn largest(values: &[i32]) -> u32;
    fn encode(values: &[i32], by: Lanes, codes: &mut [i8]);
    fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]);
    fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS];
    fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2];
    fn encode_together(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) -> usize;
}

/// Values of a vector.
const N: usize = 16;

/// The first `count` lanes, 1 to 15.
const fn first(count: usize) -> __mmask16 {
    (1u16.wrapping_shl(count as u32)).wrapping_sub(1)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[i32; N]) -> __m512i {
    // SAFETY: as many values are read.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

/// Less than a vector of values, then zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_rest(values: &[i32]) -> __m512i {
    // SAFETY: reads as many lanes as there are values.
    unsafe { _mm512_maskz_loadu_epi32(first(values.len()), values.as_ptr()) }
}

/// Stores the low bytes of a vector's lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: __m512i, codes: &mut [i8; N]) {
    // SAFETY: as many bytes are written.
    unsafe { _mm_storeu_si128(codes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(vector)) }
}

/// Four vectors' lanes, where they fit a byte, in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_four(a: __m512i, b: __m512i, c: __m512i, d: __m512i, codes: &mut [[i8; N]; 4]) {
    // Packs put four bytes of each vector in turn.
    let in_order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    let packed = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    // SAFETY: as many bytes are written.
    unsafe { _mm512_storeu_si512(codes.as_mut_ptr().cast(), _mm512_permutexvar_epi32(in_order, packed)) }
}

/// As [`store`], for less than a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store_rest(vector: __m512i, codes: &mut [i8]) {
    // SAFETY: writes as many bytes as there are codes.
    unsafe { _mm_mask_storeu_epi8(codes.as_mut_ptr(), first(codes.len()), _mm512_cvtepi32_epi8(vector)) }
}

/// `by` in vectors.
#[derive(Clone, Copy)]
struct By {
    mantissa: __m512i,
    half: __m512i,
    left: __m512i,
    right: __m128i,
}

impl By {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(by: Lanes) -> Self {
        Self {
            mantissa: _mm512_set1_epi32(by.mantissa),
            half: _mm512_set1_epi32(by.half()),
            left: _mm512_set1_epi32(by.left.cast_signed()),
            right: _mm_cvtsi32_si128(by.right.cast_signed()),
        }
    }

    /// What takes row `r` to its codes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of_row(by: &Scales, r: usize) -> Self {
        Self {
            mantissa: _mm512_set1_epi32(by.inverse[r]),
            half: _mm512_set1_epi32(by.half[r]),
            left: _mm512_set1_epi32(by.left[r].cast_signed()),
            right: _mm_cvtsi32_si128(by.right[r].cast_signed()),
        }
    }

    /// [`Lanes::apply`]
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn apply(self, values: __m512i) -> __m512i {
        let values = _mm512_sllv_epi32(values, self.left);
        let upper = upper_512(values, self.mantissa);
        _mm512_sra_epi32(_mm512_add_epi32(upper, self.half), self.right)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS] {
    let mut sixteen = [_mm512_setzero_si512(); ROWS];
    let each = sixteen.iter_mut().take(count).enumerate();
    match rows.width {
        16 => each.for_each(|(r, largest)| *largest = magnitudes_of::<1>(rows, r)),
        32 => each.for_each(|(r, largest)| *largest = magnitudes_of::<2>(rows, r)),
        64 => each.for_each(|(r, largest)| *largest = magnitudes_of::<4>(rows, r)),
        _ => each.zip(rows.iter()).for_each(|((_, largest), values)| *largest = magnitudes(values)),
    }
    largest_lanes(sixteen)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2] {
    let mut largest = [[_mm512_setzero_si512(); ROWS]; 2];
    for (r, values) in rows.iter().enumerate().take(count.min(ROWS)) {
        [largest[0][r], largest[1][r]] = magnitudes_of_both(values, marks);
    }
    largest.map(|largest| largest_lanes(largest))
}

/// The largest lane of each vector. Pairs of vectors become one by interleaving values, then pairs of values,
/// then quarters: every step leaves half as many that may be the largest.
#[inline]
#[target_feature(enable = "avx512f")]
fn largest_lanes(sixteen: [__m512i; ROWS]) -> [u32; ROWS] {
    let zeros = _mm512_setzero_si512();
    let (mut eight, mut four, mut two) = ([zeros; 8], [zeros; 4], [zeros; 2]);
    for (largest, [a, b]) in eight.iter_mut().zip(sixteen.as_chunks::<2>().0) {
        *largest = _mm512_max_epu32(_mm512_unpacklo_epi32(*a, *b), _mm512_unpackhi_epi32(*a, *b));
    }
    for (largest, [a, b]) in four.iter_mut().zip(eight.as_chunks::<2>().0) {
        *largest = _mm512_max_epu32(_mm512_unpacklo_epi64(*a, *b), _mm512_unpackhi_epi64(*a, *b));
    }
    for (largest, [a, b]) in two.iter_mut().zip(four.as_chunks::<2>().0) {
        *largest = larger_quarters(*a, *b);
    }
    // SAFETY: the types have equal sizes, and any bytes are allowed.
    unsafe { core::mem::transmute(larger_quarters(two[0], two[1])) }
}

/// The larger of the first two quarters of `a`, of its last two, and the same of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn larger_quarters(a: __m512i, b: __m512i) -> __m512i {
    let first = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
    _mm512_max_epu32(first, _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b))
}

/// Rows of one, two or four vectors, four vectors at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn encode_together(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) -> usize {
    match rows.width {
        16 => encode_fours::<1>(rows, count, by, codes),
        32 => encode_fours::<2>(rows, count, by, codes),
        64 => encode_fours::<4>(rows, count, by, codes),
        _ => 0,
    }
}

/// Rows of so many vectors, as long as there are four; how many rows those are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn encode_fours<const VECTORS: usize>(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) -> usize {
    let rows_of_four = 4 / VECTORS;
    let fours = count.min(ROWS) / rows_of_four;
    let codes = codes.as_chunks_mut::<N>().0.as_chunks_mut::<4>().0;
    for (four, codes) in codes.iter_mut().take(fours).enumerate() {
        let mut vectors = [_mm512_setzero_si512(); 4];
        for (at, vector) in vectors.iter_mut().enumerate() {
            let r = four * rows_of_four + at / VECTORS;
            *vector = By::of_row(by, r % ROWS).apply(load(&row::<VECTORS>(rows, r)[at % VECTORS]));
        }
        let [a, b, c, d] = vectors;
        store_four(a, b, c, d, codes);
    }
    fours * rows_of_four
}

/// One of the rows, of so many vectors.
#[inline(always)]
fn row<const VECTORS: usize>(rows: Rows<'_>, r: usize) -> &[[i32; N]; VECTORS] {
    let values = rows.values.get(r * rows.stride..).unwrap_or_default();
    values.as_chunks().0.first_chunk().unwrap_or(&[[0; N]; VECTORS])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn largest(values: &[i32]) -> u32 {
    _mm512_reduce_max_epu32(magnitudes(values))
}

/// As [`magnitudes`], for one of the rows, of so many vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn magnitudes_of<const VECTORS: usize>(rows: Rows, r: usize) -> __m512i {
    let mut largest = _mm512_setzero_si512();
    for values in row::<VECTORS>(rows, r) {
        largest = _mm512_max_epu32(largest, _mm512_abs_epi32(load(values)));
    }
    largest
}

/// Magnitudes of which one is the largest.
#[inline]
#[target_feature(enable = "avx512f")]
fn magnitudes(values: &[i32]) -> __m512i {
    let (values, rest) = values.as_chunks::<N>();
    let mut largest =
        if rest.is_empty() { _mm512_setzero_si512() } else { _mm512_abs_epi32(load_rest(rest)) };
    for values in values {
        largest = _mm512_max_epu32(largest, _mm512_abs_epi32(load(values)));
    }
    largest
}

/// As [`magnitudes`], of the values whose mark is -1 and of the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn magnitudes_of_both(values: &[i32], marks: &[i8]) -> [__m512i; 2] {
    let ((values, rest), (marks, rest_of_marks)) = (values.as_chunks::<N>(), marks.as_chunks::<N>());
    let (mut marked, mut others) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut add = |values: __m512i, marks: __m128i| {
        let (magnitudes, mask) = (_mm512_abs_epi32(values), _mm_movepi8_mask(marks));
        marked = _mm512_mask_max_epu32(marked, mask, marked, magnitudes);
        others = _mm512_mask_max_epu32(others, !mask, others, magnitudes);
    };
    for (values, marks) in values.iter().zip(marks) {
        // SAFETY: as many bytes are read.
        add(load(values), unsafe { _mm_loadu_si128(marks.as_ptr().cast()) });
    }
    if !rest.is_empty() {
        let mask = first(rest.len().min(rest_of_marks.len()));
        // SAFETY: reads as many lanes as there are marks.
        add(load_rest(rest), unsafe { _mm_maskz_loadu_epi8(mask, rest_of_marks.as_ptr()) });
    }
    [marked, others]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn encode(values: &[i32], by: Lanes, codes: &mut [i8]) {
    let by = By::new(by);
    let ((values, rest), (codes, rest_of_codes)) = (values.as_chunks::<N>(), codes.as_chunks_mut::<N>());
    let ((values, after), (codes, codes_after)) = (values.as_chunks::<4>(), codes.as_chunks_mut::<4>());
    for (codes, [a, b, c, d]) in codes.iter_mut().zip(values) {
        let (a, b) = (by.apply(load(a)), by.apply(load(b)));
        let (c, d) = (by.apply(load(c)), by.apply(load(d)));
        store_four(a, b, c, d, codes);
    }
    for (codes, values) in codes_after.iter_mut().zip(after) {
        store(by.apply(load(values)), codes);
    }
    if !rest.is_empty() {
        store_rest(by.apply(load_rest(rest)), rest_of_codes);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]) {
    let by = By::new(by);
    let ((high, rest_of_high), (low, rest_of_low)) = (high.as_chunks_mut::<N>(), low.as_chunks_mut::<N>());
    let (values, rest) = values.as_chunks::<N>();
    for ((high, low), values) in high.iter_mut().zip(low).zip(values) {
        let limbs = limbs(by.apply(load(values)));
        store(limbs[0], high);
        store(limbs[1], low);
    }
    if !rest.is_empty() {
        let limbs = limbs(by.apply(load_rest(rest)));
        store_rest(limbs[0], rest_of_high);
        store_rest(limbs[1], rest_of_low);
    }
}

/// The specification's [`limbs`](crate::kernels::scalar::quantize::limbs).
#[inline]
#[target_feature(enable = "avx512f")]
fn limbs(value: __m512i) -> [__m512i; 2] {
    let value = _mm512_min_epi32(_mm512_set1_epi32(LIMBS_MAX), value);
    let value = _mm512_max_epi32(_mm512_set1_epi32(-LIMBS_MAX), value);
    let high =
        _mm512_srai_epi32::<LIMB_BITS>(_mm512_add_epi32(value, _mm512_set1_epi32(1 << (LIMB_BITS - 1))));
    [high, _mm512_sub_epi32(value, _mm512_slli_epi32::<LIMB_BITS>(high))]
}
