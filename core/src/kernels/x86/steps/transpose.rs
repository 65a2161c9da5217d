//! Squares transposed in registers.

use crate::kernels::lanes::transpose::Square;
use core::arch::x86_64::*;

/// A square whose rows are another's columns: pairs of rows are interleaved by values, then by pairs of
/// values, then by halves.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transpose_square(square: Square) -> Square {
    let [a, b, c, d, e, f, g, h]: [__m256i; 8] = bytemuck::cast(square);
    let interleave = |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let [ab, cd, ef, gh] = [interleave(a, b), interleave(c, d), interleave(e, f), interleave(g, h)];
    let pairs = |a, b| [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)];
    let [upper, lower] = [[ab, cd], [ef, gh]].map(|[a, b]| [pairs(a[0], b[0]), pairs(a[1], b[1])]);
    let mut transposed = [_mm256_setzero_si256(); 8];
    for (at, (upper, lower)) in upper.as_flattened().iter().zip(lower.as_flattened()).enumerate() {
        transposed[at] = _mm256_permute2x128_si256::<0x20>(*upper, *lower);
        transposed[at + 4] = _mm256_permute2x128_si256::<0x31>(*upper, *lower);
    }
    bytemuck::cast(transposed)
}
