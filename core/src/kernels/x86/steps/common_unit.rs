//! The products of triangle multiplication in a unit that the channels of a pair share.

use crate::kernels::scalar;
use crate::kernels::scalar::common_unit::PRODUCT_BITS;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Values of a vector.
const N: usize = 8;

/// The specification's [`common_unit`](scalar::common_unit::common_unit): written out for 64 and 128
/// channels.
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(rows: &[u32], columns: &[u32], product: &[i32], out: &mut [i32]) -> i32 {
    let done = match product.len() {
        64 => common_unit::<8>(rows, columns, product, out),
        128 => common_unit::<16>(rows, columns, product, out),
        _ => None,
    };
    match done {
        Some(unit) => unit,
        None => scalar::common_unit::common_unit(rows, columns, product, out),
    }
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(rows: &[u32], columns: &[u32], product: &[i32], out: &mut [i32]) -> i32 {
    scalar::common_unit::common_unit(rows, columns, product, out)
}

/// Eight channels.
#[derive(Clone, Copy)]
struct Channels {
    /// Scales' mantissas, then magnitudes of even channels.
    even: __m256i,
    /// The same, then magnitudes of odd channels.
    odd: __m256i,
    /// Scales' exponents.
    exponents: __m256i,
}

/// The first lane of each two, and the second, in 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn apart(lanes: __m256i) -> [__m256i; 2] {
    let even = _mm256_blend_epi32::<0b1010_1010>(lanes, _mm256_setzero_si256());
    [even, _mm256_srli_epi64::<32>(lanes)]
}

/// The largest or the least lane, or all of them.
macro_rules! fold_lanes {
    ($all:expr, $join:ident) => {{
        let all = $all;
        let all = $join(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
        let all = $join(all, _mm_shuffle_epi32::<0b01_00_11_10>(all));
        $join(all, _mm_shuffle_epi32::<0b10_11_00_01>(all))
    }};
}

/// For so many vectors of channels; `None` where there are other scales or outputs than so many, where a
/// mantissa is 0, and where all channels vanish in the coarsest unit.
#[inline]
#[target_feature(enable = "avx2")]
fn common_unit<const VECTORS: usize>(
    rows: &[u32],
    columns: &[u32],
    product: &[i32],
    out: &mut [i32],
) -> Option<i32> {
    let rows: &[[u32; N]; VECTORS] = rows.as_chunks().0.first_chunk()?;
    let columns: &[[u32; N]; VECTORS] = columns.as_chunks().0.first_chunk()?;
    let product: &[[i32; N]; VECTORS] = product.as_chunks().0.first_chunk()?;
    let out: &mut [[i32; N]; VECTORS] = out.as_chunks_mut().0.first_chunk_mut()?;
    let zero = _mm256_setzero_si256();
    let mut memory = [const { MaybeUninit::<Channels>::uninit() }; VECTORS];
    let (mut coarsest, mut least) = (_mm256_set1_epi32(i32::MIN), _mm256_set1_epi32(-1));
    for ((channels, rows), columns) in memory.iter_mut().zip(rows).zip(columns) {
        let (rows, columns) = (bytemuck::cast(*rows), bytemuck::cast(*columns));
        let mask = _mm256_set1_epi32(0x7fff);
        // Both halves of a pair of 16 bits: the upper ones are 0.
        let even = _mm256_madd_epi16(_mm256_and_si256(rows, mask), _mm256_and_si256(columns, mask));
        let exponent = |word| _mm256_srai_epi32::<24>(_mm256_slli_epi32::<8>(word));
        let exponents = _mm256_add_epi32(exponent(rows), exponent(columns));
        coarsest = _mm256_max_epi32(coarsest, exponents);
        least = _mm256_min_epu32(least, even);
        channels.write(Channels { even, odd: even, exponents });
    }
    // SAFETY: all are written.
    let mut channels = memory.map(|channels| unsafe { channels.assume_init() });
    let coarsest = _mm_cvtsi128_si32(fold_lanes!(coarsest, _mm_max_epi32));
    let mut any = zero;
    for (channels, product) in channels.iter_mut().zip(product) {
        let magnitudes = _mm256_abs_epi32(bytemuck::cast(*product));
        let mantissas = channels.even;
        channels.even = _mm256_mul_epu32(magnitudes, mantissas);
        channels.odd =
            _mm256_mul_epu32(_mm256_srli_epi64::<32>(magnitudes), _mm256_srli_epi64::<32>(mantissas));
        // A shift by all bits or more is 0, as the specification's is.
        let [even, odd] = apart(_mm256_sub_epi32(_mm256_set1_epi32(coarsest), channels.exponents));
        any = _mm256_or_si256(any, _mm256_srlv_epi64(channels.even, even));
        any = _mm256_or_si256(any, _mm256_srlv_epi64(channels.odd, odd));
    }
    let any = _mm_or_si128(_mm256_castsi256_si128(any), _mm256_extracti128_si256::<1>(any));
    let any = (_mm_cvtsi128_si64(any) | _mm_extract_epi64::<1>(any)).cast_unsigned();
    if any == 0 || _mm_cvtsi128_si32(fold_lanes!(least, _mm_min_epu32)) == 0 {
        return None;
    }
    let unit = 64 - any.leading_zeros().cast_signed() + coarsest - PRODUCT_BITS;
    for ((out, channels), product) in out.iter_mut().zip(&channels).zip(product) {
        let product = bytemuck::cast(*product);
        // All places but the last, which rounds. Where the specification shifts by less than one place or by
        // more than 62, so it does by as many: the magnitudes are 0 then, or vanish.
        let places = _mm256_sub_epi32(_mm256_set1_epi32(unit - 1), channels.exponents);
        let [even, odd] = apart(_mm256_max_epi32(places, _mm256_setzero_si256()));
        // Half a unit is rounded up: that of a negative number's magnitude down. Its product isn't 0.
        let signs = _mm256_srai_epi32::<31>(product);
        let even_signs = _mm256_shuffle_epi32::<0b10_10_00_00>(signs);
        let odd_signs = _mm256_shuffle_epi32::<0b11_11_01_01>(signs);
        let even = _mm256_srlv_epi64(_mm256_add_epi64(channels.even, even_signs), even);
        let odd = _mm256_srlv_epi64(_mm256_add_epi64(channels.odd, odd_signs), odd);
        let halves = _mm256_blend_epi32::<0b1010_1010>(even, _mm256_slli_epi64::<32>(odd));
        let magnitudes = _mm256_srli_epi32::<1>(_mm256_sub_epi32(halves, _mm256_set1_epi32(-1)));
        *out = bytemuck::cast(_mm256_sign_epi32(magnitudes, product));
    }
    Some(unit)
}
