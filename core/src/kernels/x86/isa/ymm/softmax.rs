//! Scores to weights.

use crate::fixed::tables::EXP2_COEFFICIENTS;
use crate::kernels::attention::{RowLogits, Temperature};
use crate::kernels::x86::generic::softmax::{KEYS, SoftmaxRows, Weights};
use core::arch::asm;
use core::arch::x86_64::*;

/// Lanes of 32 bits.
const LANES: usize = 8;

/// [`Loops::softmax`](crate::kernels::x86::generic::loops::Loops::softmax).
#[inline]
#[target_feature(enable = "avx2")]
pub fn softmax<const R: usize>(mut rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
    let last_scales = &rows.last_scales();
    let mut sums = [0; R];
    for (row, sum) in sums.iter_mut().enumerate() {
        let largest = largest(rows.row(row).0);
        // A loop for each, so that neither asks which it is.
        *sum = if let Some(temperatures) = temperatures {
            let Temperature { factor, shift } = temperatures[row];
            // The 1 that is added to a difference once it is shifted is a power of two before that. Scores
            // are not that large in models.
            let Some(from) = largest.checked_add_unsigned(1 << shift.min(31)) else {
                *sum = rows.softmax_as_specified(row, RowLogits::Plain(temperatures[row]));
                continue;
            };
            let (shift, factor) =
                (_mm_cvtsi32_si128(i32::from(shift.min(31))), _mm256_set1_epi16(factor as i16));
            softmax_row(&mut rows, row, from, last_scales, |low, high| {
                mulhuw(saturated_halves(_mm256_srl_epi32(low, shift), _mm256_srl_epi32(high, shift)), factor)
            })
        } else {
            softmax_row(&mut rows, row, largest, last_scales, |low, high| {
                saturated_halves(rounded_logit(low), rounded_logit(high))
            })
        };
    }
    sums
}

/// One row's weights, whose exponents `exponents` makes of the differences of `from` and the scores, and
/// their sum.
#[inline]
#[target_feature(enable = "avx2")]
fn softmax_row(
    rows: &mut SoftmaxRows,
    row: usize,
    from: i32,
    last_scales: &Weights,
    exponents: impl Fn(__m256i, __m256i) -> __m256i,
) -> u32 {
    let (keys, value_scale) = (rows.keys, rows.value_scale);
    let (scores, weights) = rows.row(row);
    let (weights, scores) = (weights.as_chunks_mut::<KEYS>().0, scores.as_mut_ptr());
    let from = _mm256_set1_epi32(from);
    let mut sums = _mm256_setzero_si256();
    let mut block = |at: usize, weights: &mut Weights, scales: &Weights| {
        for half in [0, 2 * LANES] {
            // SAFETY: there are as many scores as weights, and both in their arrays and in the scales so many
            // for each `at`; scaled weights go where scores have been read.
            unsafe {
                let scored = scores.add(at * KEYS + half);
                let low = _mm256_sub_epi32(from, _mm256_loadu_si256(scored.cast()));
                let high = _mm256_sub_epi32(from, _mm256_loadu_si256(scored.add(LANES).cast()));
                let weight = exp2_neg(exponents(low, high));
                _mm256_storeu_si256(weights.as_mut_ptr().add(half).cast(), weight);
                sums = _mm256_add_epi32(sums, _mm256_madd_epi16(weight, _mm256_set1_epi16(1)));
                let scales = _mm256_loadu_si256(scales.as_ptr().add(half).cast());
                let to = scores.add((at * KEYS + half) / 2);
                _mm256_storeu_si256(to.cast(), _mm256_mulhrs_epi16(weight, scales));
            }
        }
    };
    let scales = value_scale[..keys].as_chunks::<KEYS>().0;
    for (at, (weights, scales)) in weights.iter_mut().zip(scales).enumerate() {
        block(at, weights, scales);
    }
    let mut sum = 0u32;
    if let Some(weights) = weights.get_mut(scales.len()) {
        block(scales.len(), weights, last_scales);
        // The weights of what is no key's are taken off the sum.
        for &weight in &weights[keys % KEYS..] {
            sum = sum.wrapping_sub(weight.unsigned_abs().into());
        }
    }
    let lanes: [u32; LANES] = bytemuck::cast(sums);
    lanes.iter().fold(sum, |sum, &lane| sum.wrapping_add(lane))
}

/// The largest of a row's scores.
#[inline]
#[target_feature(enable = "avx2")]
fn largest(scores: &[i32]) -> i32 {
    let mut largest = [_mm256_set1_epi32(i32::MIN); 2];
    for scores in scores.as_chunks::<{ 4 * LANES }>().0 {
        for (part, scores) in scores.as_chunks::<LANES>().0.iter().enumerate() {
            // SAFETY: as many scores are read.
            let scores = unsafe { _mm256_loadu_si256(scores.as_ptr().cast()) };
            largest[part % 2] = _mm256_max_epi32(largest[part % 2], scores);
        }
    }
    let largest = _mm256_max_epi32(largest[0], largest[1]);
    // By vectors to the end: compilers would compare one by one.
    let largest = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256::<1>(largest));
    let largest = _mm_max_epi32(largest, _mm_shuffle_epi32::<0b01_00_11_10>(largest));
    let largest = _mm_max_epi32(largest, _mm_shuffle_epi32::<0b10_11_00_01>(largest));
    _mm_cvtsi128_si32(largest)
}

/// [`exp2_neg`](crate::fixed::exp2_neg) in every lane.
///
/// `((mantissa >> n) + 1) >> 1` is `mantissa * 2^(14 - n) / 2^15`, rounded half up: `vpmulhrsw`, for `n` up
/// to 14. It takes the mantissa, which is at least 2^15, for one that is 2^16 less, so that its result is
/// `2^(15 - n)` less; and this power alone, 1, is the result for `n = 15`.
#[inline]
#[target_feature(enable = "avx2")]
fn exp2_neg(t: __m256i) -> __m256i {
    let [a, b, c, d] = EXP2_COEFFICIENTS.map(|coefficient| _mm256_set1_epi16(coefficient as i16));
    let f = _mm256_slli_epi16::<5>(t);
    let inner = _mm256_sub_epi16(c, _mm256_mulhi_epu16(f, d));
    let slope = _mm256_sub_epi16(b, _mm256_mulhi_epu16(f, inner));
    let mantissa = _mm256_sub_epi16(a, _mm256_mulhi_epu16(f, slope));
    let power = power_of_two(_mm256_srli_epi16::<11>(t));
    _mm256_add_epi16(_mm256_mulhrs_epi16(mantissa, _mm256_srli_epi16::<1>(power)), power)
}

/// `2^(15 - n)` in every lane, whose `n` is at most 31; 0 from 16 on.
///
/// Both bytes are looked up among powers up to 2^7, the lower one by `n - 8`, the upper one by `n`: `vpshufb`
/// takes the last four bits, and 0 where the eighth is set. With 0x68 and 0x70 added to `n`, these are
/// entries 0 to 7 exactly where a byte is not 0.
#[inline]
#[target_feature(enable = "avx2")]
fn power_of_two(n: __m256i) -> __m256i {
    let powers =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(-128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    // Not by a product, of which compilers make a shift and an addition.
    let both = _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14);
    let both = _mm256_shuffle_epi8(n, _mm256_broadcastsi128_si256(both));
    _mm256_shuffle_epi8(powers, _mm256_add_epi16(both, _mm256_set1_epi16(0x7068)))
}

/// `vpmulhuw`, which compilers make two products of 32 bits of where a factor is the same in all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn mulhuw(a: __m256i, b: __m256i) -> __m256i {
    let upper;
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpmulhuw {}, {}, {}", out(ymm_reg) upper, in(ymm_reg) a, in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    upper
}

/// Numbers below 2^31 in order, those above 65535 as that.
#[inline]
#[target_feature(enable = "avx2")]
fn saturated_halves(low: __m256i, high: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high))
}

/// The difference of logits in units of 2^-11, rounded half up; from 65535 on, at least that.
#[inline]
#[target_feature(enable = "avx2")]
fn rounded_logit(difference: __m256i) -> __m256i {
    let difference = _mm256_min_epu32(difference, _mm256_set1_epi32(1 << 21));
    _mm256_srli_epi32::<5>(_mm256_add_epi32(difference, _mm256_set1_epi32(16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exponent_is_the_specifications() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        for first in (0..=u16::MAX).step_by(16) {
            let t: [u16; 16] = core::array::from_fn(|lane| first + lane as u16);
            // SAFETY: the machine has the features.
            let weights: [i16; 16] = bytemuck::cast(unsafe { exp2_neg(bytemuck::cast(t)) });
            assert_eq!(weights, t.map(crate::fixed::exp2_neg), "{first}");
        }
    }
}
