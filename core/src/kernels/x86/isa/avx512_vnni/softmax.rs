//! Scores to weights.

use super::dpwssd;
use crate::fixed::tables::EXP2_COEFFICIENTS;
use crate::kernels::attention::Temperature;
use crate::kernels::linear::PANEL;
use crate::kernels::x86::generic::softmax::{KEYS, SoftmaxRows, Weights};
use core::arch::asm;
use core::arch::x86_64::*;

/// [`Loops::softmax`](crate::kernels::x86::generic::loops::Loops::softmax). Largest scores are found for all
/// rows first, and sums added up last, so that rows don't wait for their own.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn softmax<const R: usize>(mut rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
    let mut largest = [_mm512_set1_epi32(i32::MIN); R];
    for (row, largest) in largest.iter_mut().enumerate() {
        for scores in rows.row(row).0.as_chunks::<PANEL>().0 {
            // SAFETY: as many scores are read.
            *largest = _mm512_max_epi32(*largest, unsafe { _mm512_loadu_si512(scores.as_ptr().cast()) });
        }
    }
    let largest = of_each(largest, |a, b| _mm512_max_epi32(a, b));
    let last_scales = &rows.last_scales();
    let mut sums = [_mm512_setzero_si512(); R];
    for (row, (sum, largest)) in sums.iter_mut().zip(largest).enumerate() {
        let largest = _mm512_set1_epi32(largest);
        // A loop for each, so that neither asks which it is.
        *sum = if let Some(temperatures) = temperatures {
            let Temperature { factor, shift } = temperatures[row];
            let (shift, factor) =
                (_mm_cvtsi32_si128(i32::from(shift.min(31))), _mm512_set1_epi16(factor as i16));
            softmax_row(&mut rows, row, last_scales, largest, |low, high| {
                let t = saturated_halves(_mm512_srl_epi32(low, shift), _mm512_srl_epi32(high, shift));
                mulhuw(_mm512_adds_epu16(t, _mm512_set1_epi16(1)), factor)
            })
        } else {
            softmax_row(&mut rows, row, last_scales, largest, |low, high| {
                saturated_halves(rounded_logit(low), rounded_logit(high))
            })
        };
    }
    of_each(sums, |a, b| _mm512_add_epi32(a, b)).map(i32::cast_unsigned)
}

/// One row's weights, whose exponents `exponents` makes of differences to the largest score, and their sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn softmax_row(
    rows: &mut SoftmaxRows,
    row: usize,
    last_scales: &Weights,
    largest: __m512i,
    exponents: impl Fn(__m512i, __m512i) -> __m512i,
) -> __m512i {
    let (keys, value_scale) = (rows.keys, rows.value_scale);
    let (scores, weights) = rows.row(row);
    let (weights, _) = weights.as_chunks_mut::<KEYS>();
    let scores = scores.as_mut_ptr();
    let mut sums = _mm512_setzero_si512();
    let mut block = |at: usize, weights: &mut Weights, scales: &Weights, keys: __mmask32| {
        // SAFETY: there are as many scores as weights, and both in their arrays and in the scales so many for
        // each `at`; scaled weights go where scores have been read.
        unsafe {
            let low = _mm512_sub_epi32(largest, _mm512_loadu_si512(scores.add(at * KEYS).cast()));
            let high = _mm512_sub_epi32(largest, _mm512_loadu_si512(scores.add(at * KEYS + 16).cast()));
            let weight = _mm512_maskz_mov_epi16(keys, exp2_neg(exponents(low, high)));
            _mm512_storeu_si512(weights.as_mut_ptr().cast(), weight);
            sums = dpwssd(sums, weight, _mm512_set1_epi16(1));
            let scaled = _mm512_mulhrs_epi16(weight, _mm512_loadu_si512(scales.as_ptr().cast()));
            _mm512_storeu_si512(scores.add(at * KEYS / 2).cast(), scaled);
        }
    };
    let (scales, _) = value_scale[..keys].as_chunks::<KEYS>();
    for (at, (weights, scales)) in weights.iter_mut().zip(scales).enumerate() {
        block(at, weights, scales, __mmask32::MAX);
    }
    if let Some(weights) = weights.get_mut(scales.len()) {
        block(scales.len(), weights, last_scales, (1 << (keys % KEYS)) - 1);
    }
    sums
}

/// What `of_two` makes of all lanes of each vector. Pairs of vectors become one by interleaving values, then
/// pairs of values, then quarters: every step leaves half as many.
#[inline]
#[target_feature(enable = "avx512f")]
fn of_each<const R: usize>(vectors: [__m512i; R], of_two: impl Fn(__m512i, __m512i) -> __m512i) -> [i32; R] {
    const { assert!(R > 0 && R <= 8) };
    let (mut four, mut two) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 2]);
    for (index, four) in four.iter_mut().enumerate() {
        let [a, b] = [vectors[2 * index % R], vectors[(2 * index + 1) % R]];
        *four = of_two(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    for (two, [a, b]) in two.iter_mut().zip(four.as_chunks::<2>().0) {
        *two = of_two(_mm512_unpacklo_epi64(*a, *b), _mm512_unpackhi_epi64(*a, *b));
    }
    let quarters = |a, b| {
        let first = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
        of_two(first, _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b))
    };
    let halves = quarters(two[0], two[1]);
    // SAFETY: the types have equal sizes, and any bytes are allowed.
    let each: [i32; 16] = unsafe { core::mem::transmute(quarters(halves, halves)) };
    core::array::from_fn(|row| each[row])
}

/// [`exp2_neg`](crate::fixed::exp2_neg) in every lane.
#[target_feature(enable = "avx512f,avx512bw")]
fn exp2_neg(t: __m512i) -> __m512i {
    let [a, b, c, d] = EXP2_COEFFICIENTS.map(|coefficient| _mm512_set1_epi16(coefficient as i16));
    let f = _mm512_slli_epi16::<5>(t);
    let inner = _mm512_sub_epi16(c, _mm512_mulhi_epu16(f, d));
    let slope = _mm512_sub_epi16(b, _mm512_mulhi_epu16(f, inner));
    let mantissa = _mm512_sub_epi16(a, _mm512_mulhi_epu16(f, slope));
    let shifted = srlvw(mantissa, _mm512_srli_epi16::<11>(t));
    _mm512_avg_epu16(shifted, _mm512_setzero_si512())
}

/// `vpmulhuw`, which compilers make products of 32 bits of where a factor is the same in all lanes.
#[target_feature(enable = "avx512f,avx512bw")]
fn mulhuw(a: __m512i, b: __m512i) -> __m512i {
    let upper;
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpmulhuw {}, {}, {}", out(zmm_reg) upper, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    upper
}

/// `vpsrlvw`, whose zeros for shifts above 15 compilers take two instructions more for.
#[target_feature(enable = "avx512f,avx512bw")]
fn srlvw(values: __m512i, shifts: __m512i) -> __m512i {
    let shifted;
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpsrlvw {}, {}, {}", out(zmm_reg) shifted, in(zmm_reg) values, in(zmm_reg) shifts,
            options(pure, nomem, nostack, preserves_flags));
    }
    shifted
}

/// Numbers below 2^31 in order, those above 65535 as that.
#[target_feature(enable = "avx512f,avx512bw")]
fn saturated_halves(low: __m512i, high: __m512i) -> __m512i {
    let in_order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    _mm512_permutexvar_epi64(in_order, _mm512_packus_epi32(low, high))
}

/// The difference of logits in units of 2^-11, rounded half up; from 65535 on, at least that.
#[target_feature(enable = "avx512f")]
fn rounded_logit(difference: __m512i) -> __m512i {
    let difference = _mm512_min_epu32(difference, _mm512_set1_epi32(1 << 21));
    _mm512_srli_epi32::<5>(_mm512_add_epi32(difference, _mm512_set1_epi32(16)))
}
