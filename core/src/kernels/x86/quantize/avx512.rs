//! Rows on their way to codes, sixteen values at a time, the last of them masked. Written out, since rows of one head are too short for
//! what compilers make of loops.

use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::quantize::{Portable, Steps};
use crate::kernels::linear::LIMB_BITS;
use crate::kernels::scalar::quantize::LIMBS_MAX;
use crate::kernels::x86::multiply::upper_512;
use core::arch::x86_64::*;

super::steps!();

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
    left: __m128i,
    right: __m128i,
}

impl By {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(by: Lanes) -> Self {
        Self {
            mantissa: _mm512_set1_epi32(by.mantissa),
            half: _mm512_set1_epi32(by.half()),
            left: _mm_cvtsi32_si128(by.left.cast_signed()),
            right: _mm_cvtsi32_si128(by.right.cast_signed()),
        }
    }

    /// [`Lanes::apply`]
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn apply(self, values: __m512i) -> __m512i {
        let values = _mm512_sll_epi32(values, self.left);
        let upper = upper_512(values, self.mantissa);
        _mm512_sra_epi32(_mm512_add_epi32(upper, self.half), self.right)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn largest(values: &[i32]) -> u32 {
    let (values, rest) = values.as_chunks::<N>();
    let mut largest = _mm512_abs_epi32(load_rest(rest));
    for values in values {
        largest = _mm512_max_epu32(largest, _mm512_abs_epi32(load(values)));
    }
    _mm512_reduce_max_epu32(largest)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn largest_marked(values: &[i32], marks: &[i8]) -> u32 {
    let ((values, rest), (marks, rest_of_marks)) = (values.as_chunks::<N>(), marks.as_chunks::<N>());
    let mut largest = _mm512_set1_epi32(0);
    for (values, marks) in values.iter().zip(marks) {
        // SAFETY: as many bytes are read.
        let marked = _mm_movepi8_mask(unsafe { _mm_loadu_si128(marks.as_ptr().cast()) });
        largest = _mm512_max_epu32(largest, _mm512_maskz_abs_epi32(marked, load(values)));
    }
    Portable.largest_marked(rest, rest_of_marks).max(_mm512_reduce_max_epu32(largest))
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
