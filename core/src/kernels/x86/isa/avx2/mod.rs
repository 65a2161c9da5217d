//! AVX2: pairs of 16-bit products in 256-bit vectors (`vpmaddwd`).

mod loops;
mod matrix;
mod outliers;
mod pairs;
mod score;
mod widen;

use super::ymm::{self, Pair};
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::vectors::{Group, Vectors};
use core::arch::x86_64::*;

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend = backend!("avx2", Avx2, 8, avx2, "avx2");

/// The proof that the machine has the features.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Vectors for Avx2 {
    const ROWS: usize = 2;
    const PANELS: usize = 1;
    const PANELS_OF_FEW_ROWS: usize = 1;
    const VALUES: usize = 1;
    /// Every pair of lanes holds two halves of a column's sum.
    type Sums = [__m256i; 4];
    /// Codes widened to 16 bits.
    type Columns = [__m256i; 4];
    type Codes = __m256i;

    #[inline(always)]
    fn zero(self) -> [__m256i; 4] {
        // SAFETY: the machine has the features.
        unsafe { [_mm256_setzero_si256(); 4] }
    }

    #[inline(always)]
    fn less(self, _excess: i32) -> [__m256i; 4] {
        self.zero()
    }

    #[inline(always)]
    fn columns(self, group: &Group) -> [__m256i; 4] {
        let mut columns = self.zero();
        for (columns, codes) in columns.iter_mut().zip(group.as_chunks::<16>().0) {
            // SAFETY: the machine has the features, and every chunk has 16 bytes.
            *columns = unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(codes.as_ptr().cast())) };
        }
        columns
    }

    #[inline(always)]
    fn codes(self, codes: [i8; GROUP]) -> __m256i {
        // SAFETY: the machine has the features.
        unsafe { _mm256_cvtepi8_epi16(_mm_set1_epi32(bytemuck::cast(codes))) }
    }

    #[inline(always)]
    fn add(self, mut sums: [__m256i; 4], columns: [__m256i; 4], codes: __m256i) -> [__m256i; 4] {
        for (sums, columns) in sums.iter_mut().zip(columns) {
            // SAFETY: the machine has the features.
            *sums = unsafe { _mm256_add_epi32(*sums, _mm256_madd_epi16(columns, codes)) };
        }
        sums
    }

    #[inline(always)]
    fn excess(self, _codes: &[i8]) -> i32 {
        0
    }

    #[inline(always)]
    fn shift_limb(self, mut sums: [__m256i; 4]) -> [__m256i; 4] {
        for sums in &mut sums {
            // SAFETY: the machine has the features.
            *sums = unsafe { _mm256_slli_epi32::<{ LIMB_BITS as i32 }>(*sums) };
        }
        sums
    }

    #[inline(always)]
    fn finish(self, sums: [__m256i; 4]) -> [i32; PANEL] {
        // SAFETY: the machine has the features.
        unsafe { ymm::store(whole(sums)) }
    }

    #[inline(always)]
    fn add_values(self, context: Pair, values: Pair, weights: [i16; 2]) -> Pair {
        // SAFETY: the machine has the features.
        unsafe {
            let weights = _mm256_set1_epi32(bytemuck::cast(weights));
            [
                _mm256_add_epi32(context[0], _mm256_madd_epi16(values[0], weights)),
                _mm256_add_epi32(context[1], _mm256_madd_epi16(values[1], weights)),
            ]
        }
    }

    ymm::without_codes!();
}

/// The sums of the columns, in order.
#[target_feature(enable = "avx2")]
fn whole([a, b, c, d]: [__m256i; 4]) -> Pair {
    // The four 64-bit parts of a sum of neighbours are the columns' first, third, second and fourth pair.
    let [low, high] = [_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d)];
    [_mm256_permute4x64_epi64::<0b11_01_10_00>(low), _mm256_permute4x64_epi64::<0b11_01_10_00>(high)]
}
