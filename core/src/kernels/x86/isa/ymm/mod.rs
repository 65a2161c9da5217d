//! What the instruction sets with 256-bit vectors have in common: everything but the products of codes.

mod softmax;

pub use softmax::softmax;

use crate::kernels::linear::PANEL;
use crate::kernels::x86::generic::vectors::{Channels, RowScale, UPPER};
use core::arch::x86_64::*;

/// Sixteen lanes of 32 bits, or 32 of 16 bits.
pub type Pair = [__m256i; 2];

/// What [`Vectors`](crate::kernels::x86::generic::vectors::Vectors) asks for beside products, for a type that
/// is the proof of AVX2.
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
