//! What takes a row to its codes.

use super::values::{CODES, N, load};
use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::scales::Scales;
use crate::kernels::x86::steps::products::products;
use core::arch::x86_64::*;

/// What takes a row to its codes, in vectors.
#[derive(Clone, Copy)]
pub struct By {
    mantissa: __m256i,
    half: __m256i,
    left: __m128i,
    right: __m128i,
}

impl By {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(by: Lanes) -> Self {
        Self {
            mantissa: _mm256_set1_epi32(by.mantissa),
            half: _mm256_set1_epi32(by.half()),
            left: _mm_cvtsi32_si128(by.left.cast_signed()),
            right: _mm_cvtsi32_si128(by.right.cast_signed()),
        }
    }

    /// What takes row `r` to its codes.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn of_row(by: &Scales, r: usize) -> Self {
        Self {
            mantissa: _mm256_set1_epi32(by.inverse[r]),
            half: _mm256_set1_epi32(by.half[r]),
            left: _mm_cvtsi32_si128(by.left[r].cast_signed()),
            right: _mm_cvtsi32_si128(by.right[r].cast_signed()),
        }
    }

    /// [`Lanes::apply`] for the sixteen values from `A` and from `B` on, whose codes have at most 16 bits: in
    /// each half of the vector, four of the first eight and four of the second. With `LEFT`, values are
    /// shifted left first, which few rows need.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words<const LEFT: bool, const A: usize, const B: usize>(self, values: &[i32; CODES]) -> __m256i {
        let ([even_a, odd_a], [even_b, odd_b]) = if LEFT {
            let vectors: &[[i32; N]; CODES / N] = bytemuck::cast_ref(values);
            (self.products_of_shifted(&vectors[A / N]), self.products_of_shifted(&vectors[B / N]))
        } else {
            (products::<A, CODES>(values, self.mantissa), products::<B, CODES>(values, self.mantissa))
        };
        let (even, odd) = (upper_halves(even_a, even_b), upper_halves(odd_a, odd_b));
        let even = _mm256_sra_epi32(_mm256_add_epi32(even, self.half), self.right);
        let odd = _mm256_sra_epi32(_mm256_add_epi32(odd, self.half), self.right);
        _mm256_blend_epi16::<0b1010_1010>(even, _mm256_slli_epi32::<16>(odd))
    }

    /// [`products`] of values that are shifted left.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn products_of_shifted(self, values: &[i32; N]) -> [__m256i; 2] {
        let even = _mm256_sll_epi32(load(values), self.left);
        let odd = _mm256_shuffle_epi32::<0b11_11_01_01>(even);
        [_mm256_mul_epi32(even, self.mantissa), _mm256_mul_epi32(odd, self.mantissa)]
    }

    /// 32 codes of at most 16 bits, as [`words`](Self::words) has them.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn two_words<const LEFT: bool>(self, values: &[i32; CODES]) -> [__m256i; 2] {
        [self.words::<LEFT, 0, N>(values), self.words::<LEFT, { 2 * N }, { 3 * N }>(values)]
    }
}

/// The upper halves of lanes of 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_halves(a: __m256i, b: __m256i) -> __m256i {
    let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
    _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// The low bytes of 32 values that fit them, in order again.
#[inline]
#[target_feature(enable = "avx2")]
pub fn to_bytes([a, b]: [__m256i; 2]) -> __m256i {
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order)
}
