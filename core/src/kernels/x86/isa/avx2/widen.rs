//! Columns widened to 16 bits, in pairs along their inputs.

use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::Pair;
use core::arch::x86_64::*;

/// A group of a panel, widened: the first two inputs of its sixteen columns, in pairs, then the other two.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct WideGroup(#[expect(dead_code, reason = "the loop in assembly reads it")] pub [__m256i; 4]);

/// The first two inputs of a group's sixteen columns, and the other two.
#[inline]
#[target_feature(enable = "avx2")]
pub fn columns(group: &Group) -> [Pair; 2] {
    // SAFETY: a group has 64 bytes.
    let halves = unsafe {
        [_mm256_loadu_si256(group.as_ptr().cast()), _mm256_loadu_si256(group.as_ptr().add(32).cast())]
    };
    [pairs(halves, words([0, 4, 8, 12])), pairs(halves, words([2, 6, 10, 14]))]
}

/// Bytes and their neighbours, each as the upper half of a word, in both halves of a vector.
#[inline]
#[target_feature(enable = "avx2")]
fn words(of_columns: [i8; 4]) -> __m256i {
    let [a, b, c, d] = of_columns;
    let words = [-1, a, -1, a + 1, -1, b, -1, b + 1, -1, c, -1, c + 1, -1, d, -1, d + 1];
    _mm256_broadcastsi128_si256(bytemuck::cast::<[i8; 16], _>(words))
}

/// These bytes of four columns in each half, widened: what is below them is shifted out.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs([a, b]: Pair, words: __m256i) -> Pair {
    [
        _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(a, words)),
        _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(b, words)),
    ]
}
