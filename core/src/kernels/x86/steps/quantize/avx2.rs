//! Rows on their way to codes, eight values at a time, the last of them one by one. Written out, since rows of one head are too short for
//! what compilers make of loops.

use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::quantize::{Portable, Steps};
use crate::kernels::linear::LIMB_BITS;
use crate::kernels::scalar::quantize::LIMBS_MAX;
use crate::kernels::x86::steps::multiply::upper_256;
use core::arch::x86_64::*;

super::steps! {
    fn largest(values: &[i32]) -> u32;
    fn largest_of_both(values: &[i32], marks: &[i8]) -> [u32; 2];
    fn encode(values: &[i32], by: Lanes, codes: &mut [i8]);
    fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]);
}

/// Values of a vector.
const N: usize = 8;

/// `by` in vectors.
#[derive(Clone, Copy)]
struct By {
    mantissa: __m256i,
    half: __m256i,
    left: __m128i,
    right: __m128i,
}

impl By {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(by: Lanes) -> Self {
        Self {
            mantissa: _mm256_set1_epi32(by.mantissa),
            half: _mm256_set1_epi32(by.half()),
            left: _mm_cvtsi32_si128(by.left.cast_signed()),
            right: _mm_cvtsi32_si128(by.right.cast_signed()),
        }
    }

    /// [`Lanes::apply`]
    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply(self, values: [i32; N]) -> __m256i {
        let values = _mm256_sll_epi32(bytemuck::cast(values), self.left);
        let upper = upper_256(values, self.mantissa);
        _mm256_sra_epi32(_mm256_add_epi32(upper, self.half), self.right)
    }
}

/// The low bytes of eight values that fit them.
#[inline]
#[target_feature(enable = "avx2")]
fn narrow(values: __m256i) -> [i8; N] {
    let halves = _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256::<1>(values));
    let bytes: [[i8; N]; 2] = bytemuck::cast(_mm_packs_epi16(halves, halves));
    bytes[0]
}

#[inline]
#[target_feature(enable = "avx2")]
fn reduce(largest: __m256i) -> u32 {
    let lanes: [u32; N] = bytemuck::cast(largest);
    lanes.into_iter().fold(0, u32::max)
}

#[inline]
#[target_feature(enable = "avx2")]
fn largest(values: &[i32]) -> u32 {
    let (values, rest) = values.as_chunks::<N>();
    let mut largest = _mm256_setzero_si256();
    for values in values {
        largest = _mm256_max_epu32(largest, _mm256_abs_epi32(bytemuck::cast(*values)));
    }
    Portable.largest(rest).max(reduce(largest))
}

#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_both(values: &[i32], marks: &[i8]) -> [u32; 2] {
    let ((values, rest), (marks, rest_of_marks)) = (values.as_chunks::<N>(), marks.as_chunks::<N>());
    let (mut marked, mut others) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (values, marks) in values.iter().zip(marks) {
        let marks = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytemuck::cast(*marks))));
        let magnitudes = _mm256_abs_epi32(bytemuck::cast(*values));
        marked = _mm256_max_epu32(marked, _mm256_and_si256(marks, magnitudes));
        others = _mm256_max_epu32(others, _mm256_andnot_si256(marks, magnitudes));
    }
    let rest = Portable.largest_of_both(rest, rest_of_marks);
    [rest[0].max(reduce(marked)), rest[1].max(reduce(others))]
}

#[inline]
#[target_feature(enable = "avx2")]
fn encode(values: &[i32], by: Lanes, codes: &mut [i8]) {
    let vectors = By::new(by);
    let ((values, rest), (codes, rest_of_codes)) = (values.as_chunks::<N>(), codes.as_chunks_mut::<N>());
    for (codes, values) in codes.iter_mut().zip(values) {
        *codes = narrow(vectors.apply(*values));
    }
    Portable.encode(rest, by, rest_of_codes);
}

#[inline]
#[target_feature(enable = "avx2")]
fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]) {
    let vectors = By::new(by);
    let [least, most] = [-LIMBS_MAX, LIMBS_MAX].map(|end| _mm256_set1_epi32(end));
    let half = _mm256_set1_epi32(1 << (LIMB_BITS - 1));
    let (values, rest) = values.as_chunks::<N>();
    let ((high, rest_of_high), (low, rest_of_low)) = (high.as_chunks_mut::<N>(), low.as_chunks_mut::<N>());
    for ((high, low), values) in high.iter_mut().zip(low).zip(values) {
        let value = _mm256_max_epi32(least, _mm256_min_epi32(most, vectors.apply(*values)));
        let upper = _mm256_srai_epi32::<{ LIMB_BITS as i32 }>(_mm256_add_epi32(value, half));
        *high = narrow(upper);
        *low = narrow(_mm256_sub_epi32(value, _mm256_slli_epi32::<{ LIMB_BITS as i32 }>(upper)));
    }
    Portable.encode_limbs(rest, by, rest_of_high, rest_of_low);
}
