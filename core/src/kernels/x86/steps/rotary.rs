//! Rotary position embedding of eight pairs.

use crate::kernels::lanes::rotary::Pairs;
use core::arch::x86_64::*;

/// [`turn_pairs`](crate::kernels::lanes::rotary::turn_pairs): products of the even lanes and of the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
pub fn turn_eight(pairs: Pairs<8>) -> [[i32; 8]; 2] {
    let [x, y, cos, sin]: [__m256i; 4] = bytemuck::cast(pairs);
    let odd = |lanes| _mm256_srli_epi64::<32>(lanes);
    let [x_odd, y_odd, cos_odd, sin_odd] = [odd(x), odd(y), odd(cos), odd(sin)];
    let half = _mm256_set1_epi64x(1 << 29);
    let first = |x, y, cos, sin| {
        _mm256_add_epi64(_mm256_sub_epi64(_mm256_mul_epi32(x, cos), _mm256_mul_epi32(y, sin)), half)
    };
    let second = |x, y, cos, sin| {
        _mm256_add_epi64(_mm256_add_epi64(_mm256_mul_epi32(y, cos), _mm256_mul_epi32(x, sin)), half)
    };
    // From Q30: of every even lane the low half after a shift right, of every odd one the high half after a
    // shift left.
    let units = |even, odd| {
        let (even, odd) = (_mm256_srli_epi64::<30>(even), _mm256_slli_epi64::<2>(odd));
        _mm256_blend_epi32::<0b1010_1010>(even, odd)
    };
    bytemuck::cast([
        units(first(x, y, cos, sin), first(x_odd, y_odd, cos_odd, sin_odd)),
        units(second(x, y, cos, sin), second(x_odd, y_odd, cos_odd, sin_odd)),
    ])
}
