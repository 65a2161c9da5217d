//! Upper halves of products. Where compilers know that a factor is the same in all lanes, they widen what it
//! is multiplied with, which takes twice as long.

use core::arch::x86_64::*;

/// [`upper_each`](crate::kernels::lanes::multiply::upper_each) for eight pairs.
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
    bytemuck::cast(upper_256(bytemuck::cast(a), bytemuck::cast(b)))
}

/// The same for sixteen.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
    // SAFETY: the types have equal sizes, and any bytes are allowed.
    unsafe {
        let [a, b] = core::mem::transmute::<[[i32; 16]; 2], [__m512i; 2]>([a, b]);
        core::mem::transmute::<__m512i, [i32; 16]>(upper_512(a, b))
    }
}

/// [`upper`](crate::kernels::lanes::multiply::upper) in every lane.
#[inline]
#[target_feature(enable = "avx2")]
pub fn upper_256(a: __m256i, b: __m256i) -> __m256i {
    let even = _mm256_srli_epi64::<32>(_mm256_mul_epi32(a, b));
    // Shifted to their places, factors that are known to be positive become products of 64 bits.
    let [a, b] = [a, b].map(|odd| _mm256_shuffle_epi32::<0b11_11_01_01>(odd));
    let odd = _mm256_mul_epi32(a, b);
    _mm256_blend_epi32::<0b1010_1010>(even, odd)
}

/// The same for vectors twice as long.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn upper_512(a: __m512i, b: __m512i) -> __m512i {
    let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, _mm512_mul_epi32(a, b))
}
