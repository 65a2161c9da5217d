//! LayerNorm's steps, eight or sixteen values at a time, the last of a row one by one.

use crate::kernels::lanes::layer_norm::{self, Affine, Normal, Steps, Sums};
use crate::kernels::lanes::multiply::upper_each;
use crate::kernels::rows::Rows;
use core::arch::x86_64::*;

/// LayerNorm of rows: the specification's [`layer_norm_rows`](crate::kernels::scalar::layer_norm::layer_norm_rows).
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    layer_norm::layer_norm_by(Avx2(()), x, gain, bias, epsilons, y);
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    layer_norm::layer_norm_rows(x, gain, bias, epsilons, y, |a, b| super::multiply::avx512(a, b));
}

/// The proof that the machine has the features.
#[derive(Clone, Copy)]
struct Avx2(());

impl Steps for Avx2 {
    #[inline(always)]
    fn sums(self, x: &[i32]) -> Sums {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { sums(x) }
    }

    #[inline(always)]
    fn apply(self, normal: &Normal, x: &[i32], affine: &Affine, y: &mut [i32]) {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { apply(normal, x, affine, y) }
    }
}

/// Values of a vector.
const N: usize = 8;

/// Values of which a lane's sum has 32 bits, if none is beyond [`Sums::LARGEST`].
const SUMMED: usize = (N << 31) / (2 * Sums::LARGEST as usize);

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i32; N]) -> __m256i {
    // SAFETY: as many values are read.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

/// The odd lanes in place of the even ones before them.
#[inline]
#[target_feature(enable = "avx2")]
fn odd(values: __m256i) -> __m256i {
    _mm256_shuffle_epi32::<0b11_11_01_01>(values)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sums(x: &[i32]) -> Sums {
    if x.len() <= SUMMED {
        return sums_of_part(x);
    }
    let add = |all: Sums, part: Sums| Sums {
        values: all.values.wrapping_add(part.values),
        squares: all.squares.wrapping_add(part.squares),
        largest: all.largest.max(part.largest),
    };
    x.chunks(SUMMED).fold(Sums::default(), |all, part| add(all, sums_of_part(part)))
}

/// [`sums`] of up to [`SUMMED`] values.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_part(x: &[i32]) -> Sums {
    let mut largest = _mm256_setzero_si256();
    let (mut squares_of_even, mut squares_of_odd, mut sums) = (largest, largest, largest);
    let (vectors, rest) = x.as_chunks::<N>();
    for x in vectors {
        let x = load(x);
        sums = _mm256_add_epi32(sums, x);
        largest = _mm256_max_epu32(largest, _mm256_abs_epi32(x));
        squares_of_even = _mm256_add_epi64(squares_of_even, _mm256_mul_epi32(x, x));
        let x = odd(x);
        squares_of_odd = _mm256_add_epi64(squares_of_odd, _mm256_mul_epi32(x, x));
    }
    let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums));
    let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sums));
    let values = _mm256_add_epi64(low, high);
    // Both sums side by side.
    let squares = _mm256_add_epi64(squares_of_even, squares_of_odd);
    let sums =
        _mm256_add_epi64(_mm256_unpacklo_epi64(values, squares), _mm256_unpackhi_epi64(values, squares));
    let sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256::<1>(largest));
    let two = _mm_max_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    let one = _mm_max_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
    let sums = Sums {
        values: _mm_cvtsi128_si64(sums),
        squares: _mm_extract_epi64::<1>(sums).cast_unsigned(),
        largest: _mm_cvtsi128_si32(one).cast_unsigned(),
    };
    if rest.is_empty() {
        return sums;
    }
    let others = Sums::of(rest);
    Sums {
        values: sums.values.wrapping_add(others.values),
        squares: sums.squares.wrapping_add(others.squares),
        largest: sums.largest.max(others.largest),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn apply(normal: &Normal, x: &[i32], affine: &Affine, y: &mut [i32]) {
    // Without shifts that most rows don't need.
    let done = match (normal.by.left, gain_places(normal)) {
        (0, 0) => apply_vectors::<false, false>(normal, x, affine, y),
        (_, 0) => apply_vectors::<true, false>(normal, x, affine, y),
        _ => apply_vectors::<true, true>(normal, x, affine, y),
    };
    if done < y.len() {
        let [x, gain, bias] = [x, affine.gain, affine.bias].map(|all| all.get(done..).unwrap_or_default());
        normal.apply(x, [gain, bias], &mut y[done..], upper_each::<1>);
    }
}

/// Places of a product here: one less than [`Places`](layer_norm::Places) have, since half a unit is added to the whole product.
const PLACES: u32 = 12;

/// Of these the gain's.
#[inline(always)]
fn gain_places(normal: &Normal) -> u32 {
    PLACES - normal.places.normal.min(PLACES)
}

/// [`apply`] for as many values as vectors have, which is how many.
#[inline]
#[target_feature(enable = "avx2")]
fn apply_vectors<const LEFT: bool, const GAIN: bool>(
    normal: &Normal,
    x: &[i32],
    affine: &Affine,
    y: &mut [i32],
) -> usize {
    let places = |count: u32| _mm_cvtsi32_si128(count.cast_signed());
    let less_mean = _mm256_set1_epi32(normal.mean.wrapping_neg());
    let (mantissa, half) = (_mm256_set1_epi32(normal.by.mantissa), _mm256_set1_epi32(normal.by.half()));
    let (left, right) = (places(normal.by.left), places(normal.by.right));
    let (of_normal, of_gain) = (places(PLACES - gain_places(normal)), places(gain_places(normal)));
    let half_product = _mm256_set1_epi64x(1 << 31);
    let (x, y) = (x.as_chunks::<N>().0, y.as_chunks_mut::<N>().0);
    let (gain, bias) = (affine.gain.as_chunks::<N>().0, affine.bias.as_chunks::<N>().0);
    let count = x.len().min(y.len()).min(gain.len()).min(bias.len());
    let (x, y, gain, bias) = (&x[..count], &mut y[..count], &gain[..count], &bias[..count]);
    for at in 0..count {
        let mut centred = _mm256_add_epi32(less_mean, load(&x[at]));
        if LEFT {
            centred = _mm256_sll_epi32(centred, left);
        }
        let even = _mm256_srli_epi64::<32>(_mm256_mul_epi32(centred, mantissa));
        let upper = _mm256_blend_epi32::<0b1010_1010>(even, _mm256_mul_epi32(odd(centred), mantissa));
        let value = _mm256_sra_epi32(_mm256_add_epi32(upper, half), right);
        let value = _mm256_sll_epi32(value, of_normal);
        let mut gain = load(&gain[at]);
        if GAIN {
            gain = _mm256_sll_epi32(gain, of_gain);
        }
        let even = _mm256_add_epi64(_mm256_mul_epi32(value, gain), half_product);
        let odd = _mm256_add_epi64(_mm256_mul_epi32(odd(value), odd(gain)), half_product);
        let upper = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        y[at] = bytemuck::cast(_mm256_add_epi32(upper, load(&bias[at])));
    }
    count * N
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::Random;

    #[test]
    fn sums_of_long_rows_of_the_largest_values_are_exact() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        let largest = Sums::LARGEST as i32;
        let mut random = Random(1);
        for count in [0, 7, SUMMED - 8, SUMMED, SUMMED + 8, 2 * SUMMED + 13] {
            for x in [
                std::vec![largest; count],
                std::vec![-largest; count],
                random.many(count, |r| (r.next() as i32) >> 8),
            ] {
                // SAFETY: the machine has the features.
                assert_eq!(unsafe { sums(&x) }, Sums::of(&x), "{count}");
            }
        }
    }
}
