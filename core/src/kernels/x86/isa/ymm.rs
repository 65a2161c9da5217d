//! What the instruction sets with 256-bit vectors have in common: everything but the products of codes.

use crate::fixed::EXP2_COEFFICIENTS;
use crate::kernels::attention::Temperature;
use crate::kernels::linear::PANEL;
use crate::kernels::x86::generic::vectors::{Channels, RowScale, UPPER};
use crate::kernels::x86::generic::weigh::{KEYS, Scores, Weighing, Weights};
use core::arch::asm;
use core::arch::x86_64::*;

/// Sixteen lanes of 32 bits, or 32 of 16 bits.
pub type Pair = [__m256i; 2];

/// What [`Vectors`](crate::kernels::x86::generic::vectors::Vectors) asks for beside products, for a type that is the proof of AVX2.
macro_rules! without_codes {
    () => {
        type Values = $crate::kernels::x86::isa::ymm::Pair;
        type Context = $crate::kernels::x86::isa::ymm::Pair;

        #[inline(always)]
        fn requantize<const RIGHT: bool>(
            self,
            acc: &[i32; $crate::kernels::linear::PANEL],
            excess: i32,
            channels: &$crate::kernels::x86::generic::vectors::Channels,
            row: $crate::kernels::x86::generic::vectors::RowScale,
            out: &mut [i32; $crate::kernels::linear::PANEL],
        ) -> bool {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::requantize::<RIGHT>(acc, excess, channels, row, out) }
        }

        #[inline(always)]
        fn values(self, values: &[i8]) -> $crate::kernels::x86::isa::ymm::Pair {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::values(values) }
        }

        #[inline(always)]
        fn no_values(self) -> $crate::kernels::x86::isa::ymm::Pair {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::zero() }
        }

        #[inline(always)]
        fn context(
            self,
            context: $crate::kernels::x86::isa::ymm::Pair,
        ) -> [i32; $crate::kernels::linear::PANEL] {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::store(context) }
        }
    };
}
pub(super) use without_codes;

/// The loops that don't know how products of codes are summed, for a type that is the proof of AVX2.
macro_rules! loops_without_codes {
    () => {
        type Dots = $crate::kernels::x86::isa::ymm::Pair;

        #[inline(always)]
        fn scaled(
            self,
            dots: $crate::kernels::x86::isa::ymm::Pair,
            scales: &[i32; $crate::kernels::linear::PANEL],
        ) -> [i32; $crate::kernels::linear::PANEL] {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::scaled(dots, scales) }
        }

        #[inline(always)]
        fn weigh<const R: usize>(
            self,
            rows: $crate::kernels::x86::generic::weigh::Weighing,
            temperatures: Option<&[$crate::kernels::attention::Temperature; R]>,
        ) -> [u32; R] {
            // SAFETY: the machine has the features.
            unsafe { $crate::kernels::x86::isa::ymm::weigh(rows, temperatures) }
        }
    };
}
pub(super) use loops_without_codes;

/// Zeros.
#[inline]
#[target_feature(enable = "avx2")]
pub fn zero() -> Pair {
    [_mm256_setzero_si256(); 2]
}

/// Sixteen numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load(values: &[i32; PANEL]) -> Pair {
    // SAFETY: an array of sixteen i32 has 64 bytes.
    unsafe { [_mm256_loadu_si256(values.as_ptr().cast()), _mm256_loadu_si256(values.as_ptr().add(8).cast())] }
}

/// The reverse of [`load`].
#[inline]
#[target_feature(enable = "avx2")]
pub fn store(vectors: Pair) -> [i32; PANEL] {
    // SAFETY: both types have 64 bytes, any of which are allowed.
    unsafe { core::mem::transmute(vectors) }
}

/// `a - b` in every lane.
#[inline]
#[target_feature(enable = "avx2")]
pub fn less(a: Pair, b: i32) -> Pair {
    a.map(|a| _mm256_sub_epi32(a, _mm256_set1_epi32(b)))
}

/// Numbers times a scale for each, the lower halves.
#[inline]
#[target_feature(enable = "avx2")]
pub fn scaled(numbers: Pair, scales: &[i32; PANEL]) -> [i32; PANEL] {
    let scales = load(scales);
    store([_mm256_mullo_epi32(numbers[0], scales[0]), _mm256_mullo_epi32(numbers[1], scales[1])])
}

/// Values in pairs of 16 bits: those of `values[..32]`, or `values[..16]` and zeros.
#[inline]
#[target_feature(enable = "avx2")]
pub fn values(values: &[i8]) -> Pair {
    let load = |values: Option<&[i8; 16]>| {
        // SAFETY: the array has 16 bytes.
        values.map_or(_mm_setzero_si128(), |values| unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
    };
    let (first, second) = (values.first_chunk(), values.get(16..).and_then(<[i8]>::first_chunk));
    [_mm256_cvtepi8_epi16(load(first)), _mm256_cvtepi8_epi16(load(second))]
}

/// [`Vectors::requantize`](crate::kernels::x86::generic::vectors::Vectors::requantize).
#[inline]
#[target_feature(enable = "avx2")]
pub fn requantize<const RIGHT: bool>(
    acc: &[i32; PANEL],
    excess: i32,
    channels: &Channels,
    row: RowScale,
    out: &mut [i32; PANEL],
) -> bool {
    let (mantissa, exponent) = (_mm256_set1_epi32(row.mantissa), _mm256_set1_epi32(row.exponent));
    let upper = _mm256_set1_epi32(UPPER);
    let (acc, mantissas) = (less(load(acc), excess), load(&channels.mantissa));
    let (shifts, bias) = (load(&channels.shift), load(&channels.bias));
    let (mut results, mut lost) = ([_mm256_setzero_si256(); 2], _mm256_setzero_si256());
    for half in 0..2 {
        // Products below 2^31 in the lower halves of 64 bits: of even lanes, and of odd ones.
        let even = _mm256_mul_epu32(mantissas[half], mantissa);
        let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(mantissas[half]), mantissa);
        let shift = _mm256_sub_epi32(shifts[half], exponent);
        // Differences below 0 become 0: shifts have 16 bits.
        let left = if RIGHT { _mm256_subs_epu16(upper, shift) } else { _mm256_sub_epi32(upper, shift) };
        let shifted = _mm256_sllv_epi32(acc[half], left);
        lost = _mm256_or_si256(lost, _mm256_xor_si256(_mm256_srav_epi32(shifted, left), acc[half]));
        let even = _mm256_mul_epi32(shifted, even);
        let odd = _mm256_mul_epi32(_mm256_shuffle_epi32::<0b11_11_01_01>(shifted), odd);
        let values = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        let values = if RIGHT { _mm256_srav_epi32(values, _mm256_subs_epu16(shift, upper)) } else { values };
        let values = _mm256_add_epi32(values, bias[half]);
        results[half] = _mm256_srai_epi32::<1>(values);
    }
    *out = store(results);
    _mm256_testz_si256(lost, lost) == 1
}

/// [`Vectors::weigh`](crate::kernels::x86::generic::loops::Loops::weigh).
#[inline]
#[target_feature(enable = "avx2")]
pub fn weigh<const R: usize>(mut rows: Weighing, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
    let (keys, value_scale, last_scales) = (rows.keys, rows.value_scale, rows.last_scales());
    let mut sums = [0; R];
    for (row, sum) in sums.iter_mut().enumerate() {
        let (scores, weights) = rows.row(row);
        let (weights, rest) = (weights.as_chunks_mut().0, keys % KEYS);
        let of_keys = scores.as_chunks().0;
        // A loop for each, so that none asks which it is.
        *sum = match temperatures {
            Some(all) => {
                let temperature = all[row];
                let shift = _mm_cvtsi32_si128(i32::from(temperature.shift.min(31)));
                let factor = _mm256_set1_epi16(temperature.factor as i16);
                weigh_row(of_keys, weights, |low, high| {
                    let t = saturated_halves(_mm256_srl_epi32(low, shift), _mm256_srl_epi32(high, shift));
                    upper_words(_mm256_adds_epu16(t, _mm256_set1_epi16(1)), factor)
                })
            }
            None => weigh_row(of_keys, weights, |low, high| {
                saturated_halves(rounded_logit(low), rounded_logit(high))
            }),
        };
        if let (1.., Some(last)) = (rest, weights.last_mut()) {
            // The weights of what is no key's are taken off the sum.
            *sum =
                last[rest..].iter().fold(*sum, |sum, &weight| sum.wrapping_sub(weight.unsigned_abs().into()));
        }
        let scaled: &mut [i16] = bytemuck::cast_slice_mut(scores);
        let (scales, _) = value_scale[..keys].as_chunks();
        let scales = scales.iter().chain(core::iter::once(&last_scales));
        for ((scaled, weights), scales) in scaled.as_chunks_mut().0.iter_mut().zip(&*weights).zip(scales) {
            *scaled = scale(weights, scales);
        }
    }
    sums
}

/// The weights of a row, and their sum. `logits` makes sixteen differences from the largest score, eight and eight, logits in units of 2^-11.
#[inline]
#[target_feature(enable = "avx2")]
fn weigh_row(
    scores: &[Scores],
    weights: &mut [Weights],
    logits: impl Fn(__m256i, __m256i) -> __m256i,
) -> u32 {
    let mut sums = _mm256_setzero_si256();
    let zero = _mm256_setzero_si256();
    let [a, b, c, d] = EXP2_COEFFICIENTS.map(|coefficient| _mm256_set1_epi16(coefficient as i16));
    let scores = scores.as_flattened().as_chunks::<16>().0;
    let weights = weights.as_flattened_mut().as_chunks_mut::<16>().0;
    let mut largest = _mm256_set1_epi32(i32::MIN);
    for scores in scores {
        let [low, high] = load(scores);
        largest = _mm256_max_epi32(largest, _mm256_max_epi32(low, high));
    }
    let lanes: [i32; 8] = bytemuck::cast(largest);
    let largest = _mm256_set1_epi32(lanes.into_iter().fold(i32::MIN, i32::max));
    for (scores, weights) in scores.iter().zip(weights) {
        let [low, high] = load(scores);
        let t = logits(_mm256_sub_epi32(largest, low), _mm256_sub_epi32(largest, high));
        // `exp2_neg`; shifts of different lanes need 32 bits.
        let f = _mm256_slli_epi16::<5>(t);
        let inner = _mm256_sub_epi16(c, _mm256_mulhi_epu16(f, d));
        let slope = _mm256_sub_epi16(b, _mm256_mulhi_epu16(f, inner));
        let mantissa = _mm256_sub_epi16(a, _mm256_mulhi_epu16(f, slope));
        let n = _mm256_srli_epi16::<11>(t);
        let low = _mm256_srlv_epi32(_mm256_unpacklo_epi16(mantissa, zero), _mm256_unpacklo_epi16(n, zero));
        let high = _mm256_srlv_epi32(_mm256_unpackhi_epi16(mantissa, zero), _mm256_unpackhi_epi16(n, zero));
        let weight = _mm256_avg_epu16(_mm256_packus_epi32(low, high), zero);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(weight, _mm256_set1_epi16(1)));
        // SAFETY: sixteen i16 have 32 bytes.
        unsafe { _mm256_storeu_si256(weights.as_mut_ptr().cast(), weight) };
    }
    let sums: [u32; 8] = bytemuck::cast(sums);
    sums.iter().fold(0, |sum, &lane| sum.wrapping_add(lane))
}

/// `_mm256_mulhi_epu16`, which compilers make of two products of 32 bits where a factor is the same in all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_words(a: __m256i, b: __m256i) -> __m256i {
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

/// The specification's [`scaled_weight`](crate::kernels::scalar::attention::scaled_weight).
#[inline]
#[target_feature(enable = "avx2")]
fn scale(weights: &Weights, scales: &Weights) -> Weights {
    let mut scaled = [_mm256_setzero_si256(); 2];
    for (half, scaled) in scaled.iter_mut().enumerate() {
        // SAFETY: 32 i16 have 64 bytes.
        let load = |values: &Weights| unsafe { _mm256_loadu_si256(values.as_ptr().add(16 * half).cast()) };
        *scaled = _mm256_mulhrs_epi16(load(weights), load(scales));
    }
    bytemuck::cast(scaled)
}
