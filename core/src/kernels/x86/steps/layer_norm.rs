//! LayerNorm's steps, eight or sixteen values at a time, the last of a row one by one.

use crate::fixed::requantize;
use crate::kernels::lanes::layer_norm::{self, Affine, Statistics, Steps, Sums};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;
use core::arch::x86_64::*;
use core::ops::Range;

/// LayerNorm of rows: the specification's [`layer_norm_rows`](crate::kernels::scalar::layer_norm::layer_norm_rows).
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    layer_norm::layer_norm_by(Avx2 { places: places(x.width) }, x, gain, bias, epsilons, y);
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    layer_norm::layer_norm_rows(x, gain, bias, epsilons, y, |a, b| super::multiply::avx512(a, b));
}

/// The proof that the machine has the features, for rows of one width.
#[derive(Clone, Copy)]
struct Avx2 {
    /// By how many of [`PLACES`] a normal value is shifted.
    places: u32,
}

/// What brings a row to mean 0 and deviation 1.
#[derive(Clone, Copy)]
struct Normal {
    mean: i32,
    mantissa: i32,
    shift: u32,
}

impl Steps for Avx2 {
    type Normal = Normal;

    #[inline(always)]
    fn sums(self, x: &[i32]) -> Sums {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { sums(x) }
    }

    #[inline(always)]
    fn normal(self, Statistics { mean, by, .. }: Statistics, affine: &Affine) -> Option<Normal> {
        // Shifted right logically, a negative number keeps its sign among the bits that are shifted left again.
        let shift = u32::try_from(by.shift).ok().filter(|shift| (1..=32 + self.places).contains(shift))?;
        affine.fits(1 << (31 - self.places_of_gain())).then_some(Normal {
            mean,
            mantissa: by.mantissa,
            shift,
        })
    }

    #[inline(always)]
    fn apply(self, x: Rows, normals: &[Option<Normal>], affine: &Affine, y: &mut [i32]) {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { apply(self, x, normals, affine, y) }
    }
}

impl Avx2 {
    #[inline(always)]
    const fn places_of_gain(self) -> u32 {
        PLACES - self.places
    }
}

/// By how many places a product of a normal value and a gain is shifted left, so that its upper half is the result.
const PLACES: u32 = 32 - GAIN_FRAC as u32;

/// How many of these a normal value of a row of so many has room for. With a variance of at least 1, rounded, no value is further from the mean
/// than `sqrt(3/2 width)` deviations: its normal value has fewer than 17 bits and those of `sqrt(2 width)`.
fn places(width: usize) -> u32 {
    let bits = usize::BITS - (2 * width.clamp(1, 1 << 16) - 1).leading_zeros();
    (15 - bits.div_ceil(2)).min(PLACES)
}

/// Values of a vector.
const N: usize = 8;

/// Values that are worked on without a loop; their gains and biases are made ready for all rows of a tile.
const BLOCK: usize = 64;

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
    x.chunks(SUMMED).fold(Sums::default(), |all, part| all.and(sums_of_part(part)))
}

/// Sums of values in lanes.
#[derive(Clone, Copy)]
struct Lanes {
    values: __m256i,
    /// Of squares in even lanes, and in odd ones.
    squares: [__m256i; 2],
    /// Bits of any magnitude.
    any: __m256i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, x: &[i32; N]) {
        let x = load(x);
        self.values = _mm256_add_epi32(self.values, x);
        self.any = _mm256_or_si256(self.any, _mm256_abs_epi32(x));
        self.squares[0] = _mm256_add_epi64(self.squares[0], _mm256_mul_epi32(x, x));
        let x = odd(x);
        self.squares[1] = _mm256_add_epi64(self.squares[1], _mm256_mul_epi32(x, x));
    }
}

/// [`sums`] of up to [`SUMMED`] values.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_part(x: &[i32]) -> Sums {
    let zeros = _mm256_setzero_si256();
    let mut lanes = Lanes { values: zeros, squares: [zeros; 2], any: zeros };
    let (blocks, others) = x.as_chunks::<BLOCK>();
    for block in blocks {
        for x in block.as_chunks().0 {
            lanes.add(x);
        }
    }
    let (vectors, rest) = others.as_chunks();
    for x in vectors {
        lanes.add(x);
    }
    let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes.values));
    let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(lanes.values));
    let values = _mm256_add_epi64(low, high);
    // Both sums side by side.
    let squares = _mm256_add_epi64(lanes.squares[0], lanes.squares[1]);
    let sums =
        _mm256_add_epi64(_mm256_unpacklo_epi64(values, squares), _mm256_unpackhi_epi64(values, squares));
    let sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let beyond = _mm256_set1_epi32(!(Sums::LARGEST - 1).cast_signed());
    let sums = Sums {
        values: _mm_cvtsi128_si64(sums),
        squares: _mm_extract_epi64::<1>(sums).cast_unsigned(),
        largest: if _mm256_testz_si256(lanes.any, beyond) == 1 { Sums::LARGEST } else { u32::MAX },
    };
    if rest.is_empty() { sums } else { sums.and(Sums::of(rest)) }
}

/// Gains and biases of as many channels as a vector has values.
#[derive(Clone, Copy)]
struct Channels {
    /// Of even lanes, and of odd ones, shifted to their places.
    gains: [__m256i; 2],
    /// The same in upper halves of 64 bits, above half a unit.
    biases: [__m256i; 2],
}

impl Channels {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(gain: &[i32; N], bias: &[i32; N], places: __m128i) -> Self {
        let (gain, bias) = (_mm256_sll_epi32(load(gain), places), load(bias));
        let half = _mm256_set1_epi64x(1 << 31);
        let above = |bias| _mm256_blend_epi32::<0b1010_1010>(half, bias);
        Self { gains: [gain, odd(gain)], biases: [above(_mm256_slli_epi64::<32>(bias)), above(bias)] }
    }
}

/// A [`Normal`] in vectors.
#[derive(Clone, Copy)]
struct Row {
    less_mean: __m256i,
    mantissa: __m256i,
    /// Half a unit of the normal value.
    half: __m256i,
    /// Places that it is shifted right, then left.
    right: __m128i,
    left: __m128i,
}

impl Row {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(normal: Normal, left: __m128i) -> Self {
        Self {
            less_mean: _mm256_set1_epi32(normal.mean.wrapping_neg()),
            mantissa: _mm256_set1_epi32(normal.mantissa),
            half: _mm256_set1_epi64x(1 << (normal.shift - 1)),
            right: _mm_cvtsi32_si128(normal.shift.cast_signed()),
            left,
        }
    }

    /// Results of some channels.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply(self, x: &[i32; N], channels: &Channels) -> [i32; N] {
        let centred = _mm256_add_epi32(self.less_mean, load(x));
        let even = self.products(centred, channels.gains[0], channels.biases[0]);
        let odd = self.products(odd(centred), channels.gains[1], channels.biases[1]);
        bytemuck::cast(_mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd))
    }

    /// Results of even lanes in upper halves of 64 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn products(self, centred: __m256i, gains: __m256i, biases: __m256i) -> __m256i {
        let normal = _mm256_add_epi64(_mm256_mul_epi32(centred, self.mantissa), self.half);
        let normal = _mm256_sll_epi32(_mm256_srl_epi64(normal, self.right), self.left);
        _mm256_add_epi64(_mm256_mul_epi32(normal, gains), biases)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn apply(steps: Avx2, x: Rows, normals: &[Option<Normal>], affine: &Affine, y: &mut [i32]) {
    let count = x.width.min(affine.gain.len()).min(affine.bias.len());
    let whole = count - count % N;
    for first in (0..whole).step_by(BLOCK) {
        let channels = first..whole.min(first + BLOCK);
        apply_channels(steps, x, normals, affine, channels, y);
    }
    if whole < count {
        apply_last(x, normals, affine, whole..count, y);
    }
}

/// [`apply`] for up to [`BLOCK`] channels, whole vectors of them.
#[inline]
#[target_feature(enable = "avx2")]
fn apply_channels(
    steps: Avx2,
    x: Rows,
    normals: &[Option<Normal>],
    affine: &Affine,
    channels: Range<usize>,
    y: &mut [i32],
) {
    let left = _mm_cvtsi32_si128(steps.places.cast_signed());
    let left_of_gain = _mm_cvtsi32_si128(steps.places_of_gain().cast_signed());
    let zeros = [_mm256_setzero_si256(); 2];
    let mut ready = [Channels { gains: zeros, biases: zeros }; BLOCK / N];
    let gain = affine.gain[channels.clone()].as_chunks().0;
    let bias = affine.bias[channels.clone()].as_chunks().0;
    for ((ready, gain), bias) in ready.iter_mut().zip(gain).zip(bias) {
        *ready = Channels::new(gain, bias, left_of_gain);
    }
    let (mut x_at, mut y_at) = (channels.start, channels.start);
    for normal in normals {
        if let Some(normal) = normal {
            let (Some(x), Some(y)) = (x.values.get(x_at..), y.get_mut(y_at..)) else { return };
            let row = Row::new(*normal, left);
            match (x.first_chunk::<BLOCK>(), y.first_chunk_mut::<BLOCK>()) {
                (Some(x), Some(y)) if channels.len() == BLOCK => apply_vectors(row, x, &ready, y),
                _ => apply_vectors(row, x, &ready[..channels.len() / N], y),
            }
        }
        (x_at, y_at) = (x_at.saturating_add(x.stride), y_at + x.width);
    }
}

/// As many vectors as there are channels for.
#[inline(always)]
fn apply_vectors(row: Row, x: &[i32], channels: &[Channels], y: &mut [i32]) {
    let vectors = y.as_chunks_mut().0.iter_mut().zip(x.as_chunks().0).zip(channels);
    for ((y, x), channels) in vectors {
        // SAFETY: a row is made where the machine has the features.
        *y = unsafe { row.apply(x, channels) };
    }
}

/// The last channels of each row, fewer than a vector has values.
#[inline(never)]
fn apply_last(x: Rows, normals: &[Option<Normal>], affine: &Affine, channels: Range<usize>, y: &mut [i32]) {
    for ((x, y), normal) in x.iter().zip(y.chunks_exact_mut(x.width)).zip(normals) {
        let Some(normal) = normal else { continue };
        for channel in channels.clone() {
            let value = requantize(x[channel] - normal.mean, normal.mantissa, normal.shift.cast_signed());
            y[channel] = requantize(value, affine.gain[channel], GAIN_FRAC) + affine.bias[channel];
        }
    }
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
        let largest = Sums::LARGEST as i32 - 1;
        let mut random = Random(1);
        for count in [0, 7, SUMMED - 8, SUMMED, SUMMED + 8, 2 * SUMMED + 13] {
            for x in [
                std::vec![largest; count],
                std::vec![-largest; count],
                random.many(count, |r| (r.next() as i32) >> 8),
            ] {
                // SAFETY: the machine has the features.
                let sums = unsafe { sums(&x) };
                assert!(sums.largest <= Sums::LARGEST, "{count}");
                assert_eq!(Sums { largest: 0, ..sums }, Sums { largest: 0, ..Sums::of(&x) }, "{count}");
            }
            for beyond in [Sums::LARGEST as i32 + 1, -(Sums::LARGEST as i32) - 1, i32::MIN, i32::MAX] {
                let mut x = std::vec![0; count];
                if let Some(last) = x.last_mut() {
                    *last = beyond;
                    // SAFETY: the machine has the features.
                    assert!(unsafe { sums(&x) }.largest > Sums::LARGEST, "{beyond}");
                }
            }
        }
    }

    #[test]
    fn the_largest_normal_value_has_places() {
        for width in (1..5000).chain([1 << 15, (1 << 16) - 1]) {
            // One value as far from a mean of 0 as it can be, with a variance that is rounded down by as much as it can be.
            let largest = 65_536.0 * libm::sqrt(1.5 * width as f64) + 1.0;
            assert!(libm::ldexp(largest, places(width).cast_signed()) < 2_147_483_648.0, "{width}");
        }
        assert_eq!([1, 64, 128, 1 << 16].map(places), [12, 11, 11, 6]);
    }
}
