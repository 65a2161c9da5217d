//! Tables of sixteen entries in registers, which compilers would gather from memory.

use core::arch::x86_64::*;

/// `table[index]` for eight indices below 16.
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(table: &[i32; 16], indices: [i32; 8]) -> [i32; 8] {
    let [low, high]: [__m256i; 2] = bytemuck::cast(*table);
    let indices = bytemuck::cast(indices);
    let [low, high] = [low, high].map(|half| _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(half, indices)));
    // The bit worth 8 becomes the sign, by which the blend chooses.
    let choose = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(indices));
    bytemuck::cast(_mm256_castps_si256(_mm256_blendv_ps(low, high, choose)))
}

/// `table[index]` for sixteen indices below 16.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(table: &[i32; 16], indices: [i32; 16]) -> [i32; 16] {
    // SAFETY: the types have equal sizes, and any bytes are allowed.
    unsafe {
        let [table, indices] = core::mem::transmute::<[[i32; 16]; 2], [__m512i; 2]>([*table, indices]);
        core::mem::transmute::<__m512i, [i32; 16]>(_mm512_permutexvar_epi32(indices, table))
    }
}
