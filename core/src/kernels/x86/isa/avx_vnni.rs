//! AVX-VNNI: groups of four 8-bit products in 256-bit vectors (`vpdpbusd`).

use super::ymm::{self, Pair};
use crate::kernels::attention::{Head, Temperature};
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::loops::{Dots, Loops};
use crate::kernels::x86::generic::matrix::{Rows, dots};
use crate::kernels::x86::generic::score::score;
use crate::kernels::x86::generic::softmax::SoftmaxRows;
use crate::kernels::x86::generic::vectors::{Group, Vectors};
use core::arch::asm;
use core::arch::x86_64::*;

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend = backend!("avx_vnni", AvxVnni, 4, avx2, "avx2,avxvnni");

/// The proof that the machine has the features.
#[derive(Clone, Copy)]
pub struct AvxVnni(());

impl Vectors for AvxVnni {
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const PANELS_OF_FEW_ROWS: usize = 2;
    const VALUES: usize = 1;
    type Sums = Pair;
    type Columns = Pair;
    type Codes = __m256i;

    #[inline(always)]
    fn zero(self) -> Pair {
        // SAFETY: the machine has the features.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn less(self, excess: i32) -> Pair {
        // SAFETY: the machine has the features.
        unsafe { [_mm256_set1_epi32(excess.wrapping_neg()); 2] }
    }

    /// Columns are taken as unsigned, 128 more than they are, because rows are read once for many columns.
    #[inline(always)]
    fn columns(self, group: &Group) -> Pair {
        // SAFETY: the machine has the features, and a group has 64 bytes.
        unsafe {
            let sign = _mm256_set1_epi8(i8::MIN);
            let (low, high) = (group.as_ptr().cast(), group.as_ptr().add(32).cast());
            [
                _mm256_xor_si256(_mm256_loadu_si256(low), sign),
                _mm256_xor_si256(_mm256_loadu_si256(high), sign),
            ]
        }
    }

    #[inline(always)]
    fn codes(self, codes: [i8; GROUP]) -> __m256i {
        // SAFETY: the machine has the features.
        unsafe { _mm256_set1_epi32(bytemuck::cast(codes)) }
    }

    #[inline(always)]
    fn add(self, sums: Pair, columns: Pair, codes: __m256i) -> Pair {
        // SAFETY: the machine has the features.
        unsafe {
            [
                _mm256_dpbusd_avx_epi32(sums[0], columns[0], codes),
                _mm256_dpbusd_avx_epi32(sums[1], columns[1], codes),
            ]
        }
    }

    #[inline(always)]
    fn excess(self, codes: &[i8]) -> i32 {
        let (vectors, rest) = codes.as_chunks::<32>();
        let mut excess = rest.iter().fold(0i32, |sum, &code| sum.wrapping_add(i32::from(code) << 7));
        // SAFETY: the machine has the features, and every chunk has 32 bytes.
        let sums: [i32; 8] = unsafe {
            let mut sums = _mm256_setzero_si256();
            for vector in vectors {
                let vector = _mm256_loadu_si256(vector.as_ptr().cast());
                sums = _mm256_dpbusd_avx_epi32(sums, _mm256_set1_epi8(i8::MIN), vector);
            }
            bytemuck::cast(sums)
        };
        for sum in sums {
            excess = excess.wrapping_add(sum);
        }
        excess
    }

    #[inline(always)]
    fn shift_limb(self, sums: Pair) -> Pair {
        const BITS: i32 = LIMB_BITS as i32;
        // SAFETY: the machine has the features.
        unsafe { [_mm256_slli_epi32::<BITS>(sums[0]), _mm256_slli_epi32::<BITS>(sums[1])] }
    }

    #[inline(always)]
    fn finish(self, sums: Pair) -> [i32; PANEL] {
        // SAFETY: the machine has the features.
        unsafe { ymm::store(sums) }
    }

    #[inline(always)]
    fn add_values(self, context: Pair, values: Pair, weights: [i16; 2]) -> Pair {
        // SAFETY: the machine has the features.
        unsafe {
            let weights = _mm256_set1_epi32(bytemuck::cast(weights));
            [dpwssd(context[0], values[0], weights), dpwssd(context[1], values[1], weights)]
        }
    }

    ymm::without_codes!();
}

impl Dots for AvxVnni {
    type Dots = Pair;

    #[inline(always)]
    fn dots<const R: usize, const P: usize>(
        self,
        rows: Rows,
        panels: &[Group],
        excess: &[i32; R],
    ) -> [[Pair; P]; R] {
        dots(self, rows, panels, excess)
    }

    #[inline(always)]
    fn scaled(self, dots: Pair, scales: &[i32; PANEL]) -> [i32; PANEL] {
        // SAFETY: the machine has the features.
        unsafe { ymm::scaled(dots, scales) }
    }
}

impl Loops for AvxVnni {
    #[inline(always)]
    fn score<const R: usize>(self, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
        score::<Self, R>(self, head, queries, stride, scores);
    }

    #[inline(always)]
    fn softmax<const R: usize>(self, rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
        // SAFETY: the machine has the features.
        unsafe { ymm::softmax(rows, temperatures) }
    }
}

/// `vpdpwssd`, which compilers make two instructions of.
#[target_feature(enable = "avx2,avxvnni")]
fn dpwssd(mut sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("{{vex}} vpdpwssd {}, {}, {}", inout(ymm_reg) sums, in(ymm_reg) a, in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}
