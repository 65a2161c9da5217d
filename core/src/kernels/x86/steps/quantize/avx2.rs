//! Rows on their way to codes, eight or 32 values at a time, the last of them one by one. Written out, since rows of one head are too short for
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

    /// 32 codes of at most 16 bits, as [`to_words`] has them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(self, values: &[i32; 4 * N]) -> [__m256i; 2] {
        let [a, b, c, d]: [[i32; N]; 4] = bytemuck::cast(*values);
        [to_words([self.apply(a), self.apply(b)]), to_words([self.apply(c), self.apply(d)])]
    }
}

/// Sixteen values that fit 16 bits; in each half of the vector, four of the first and four of the second.
#[inline]
#[target_feature(enable = "avx2")]
fn to_words([a, b]: [__m256i; 2]) -> __m256i {
    _mm256_packs_epi32(a, b)
}

/// The low bytes of 32 values that fit them, in order again.
#[inline]
#[target_feature(enable = "avx2")]
fn to_bytes([a, b]: [__m256i; 2]) -> [i8; 4 * N] {
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    bytemuck::cast(_mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order))
}

/// The largest lane.
#[inline]
#[target_feature(enable = "avx2")]
fn reduce(largest: __m256i) -> u32 {
    let four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256::<1>(largest));
    let two = _mm_max_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    let one = _mm_max_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
    _mm_cvtsi128_si32(one).cast_unsigned()
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
    let ((values, rest), (codes, rest_of_codes)) =
        (values.as_chunks::<{ 4 * N }>(), codes.as_chunks_mut::<{ 4 * N }>());
    for (codes, values) in codes.iter_mut().zip(values) {
        *codes = to_bytes(vectors.words(values));
    }
    if !rest.is_empty() {
        Portable.encode(rest, by, rest_of_codes);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]) {
    let vectors = By::new(by);
    let [least, most] = [-LIMBS_MAX, LIMBS_MAX].map(|end| _mm256_set1_epi16(end as i16));
    let half = _mm256_set1_epi16(1 << (LIMB_BITS - 1));
    let (values, rest) = values.as_chunks::<{ 4 * N }>();
    let (high, rest_of_high) = high.as_chunks_mut::<{ 4 * N }>();
    let (low, rest_of_low) = low.as_chunks_mut::<{ 4 * N }>();
    for ((high, low), values) in high.iter_mut().zip(low).zip(values) {
        // What packing cuts is beyond these ends, too.
        let words = vectors.words(values).map(|words| _mm256_max_epi16(least, _mm256_min_epi16(most, words)));
        let upper =
            words.map(|words| _mm256_srai_epi16::<{ LIMB_BITS as i32 }>(_mm256_add_epi16(words, half)));
        let under =
            [0, 1].map(|i| _mm256_sub_epi16(words[i], _mm256_slli_epi16::<{ LIMB_BITS as i32 }>(upper[i])));
        (*high, *low) = (to_bytes(upper), to_bytes(under));
    }
    if !rest.is_empty() {
        Portable.encode_limbs(rest, by, rest_of_high, rest_of_low);
    }
}
