//! Values on their way into vectors.

use core::arch::x86_64::*;

/// Values of a vector.
pub const N: usize = 8;

/// Values that become a vector of codes.
pub const CODES: usize = 4 * N;

#[inline]
#[target_feature(enable = "avx2")]
pub fn load(values: &[i32; N]) -> __m256i {
    // SAFETY: as many values are read.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}
