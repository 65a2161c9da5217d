//! LayerNorm's steps, eight or sixteen values at a time, the last of a row one by one.

use crate::fixed::requantize;
use crate::kernels::lanes::layer_norm::{self, Affine, Statistics, Steps, Sums};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;
use crate::kernels::x86::steps::rows::{parts_mut, row_parts};
use core::arch::asm;
use core::arch::x86_64::*;
use core::ops::Range;

/// LayerNorm of rows: the specification's
/// [`layer_norm_rows`](crate::kernels::scalar::layer_norm::layer_norm_rows).
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    layer_norm::layer_norm_by(Avx2::new(x.width), x, gain, bias, epsilons, y);
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
    /// What is added to normal values, so that none is negative: shifted logically, they are what they are.
    /// Beyond the magnitude of any.
    raised: i64,
}

/// What brings a row to mean 0 and deviation 1, [`raised`](Avx2::raised).
#[derive(Clone, Copy)]
struct Normal {
    /// Of the product of a value and the mantissa, all that is added before it is shifted.
    start: i64,
    mantissa: i32,
    shift: u32,
    mean: i32,
}

impl Steps for Avx2 {
    type Normal = Normal;

    #[inline(always)]
    fn sums_of_each(self, x: Rows, each: &mut [Sums]) {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { sums_of_each(x, each) }
    }

    #[inline(always)]
    fn normal(self, Statistics { mean, by, .. }: Statistics, affine: &Affine) -> Option<Normal> {
        // Neither 2^62 nor more: there is room for twice as much.
        let shift = u32::try_from(by.shift)
            .ok()
            .filter(|&shift| (1..=self.raised.leading_zeros() - 2).contains(&shift))?;
        affine.fits(self.gain_end()).then(|| Normal {
            start: ((2 * self.raised + 1) << (shift - 1)) - i64::from(mean) * i64::from(by.mantissa),
            mantissa: by.mantissa,
            shift,
            mean,
        })
    }

    #[inline(always)]
    fn apply(self, x: Rows, normals: &[Option<Normal>], affine: &Affine, y: &mut [i32]) {
        // SAFETY: the value is the proof that the machine has the features.
        unsafe { apply(self, x, normals, affine, y) }
    }
}

impl Avx2 {
    /// With a variance of at least 1, rounded, no value is further from the mean than `sqrt(3/2 width)`
    /// deviations: its normal value has fewer than 17 bits and those of `sqrt(2 width)`.
    const fn new(width: usize) -> Self {
        let width = if width < 1 << 16 { width as u32 } else { 1 << 16 };
        let bits = u32::BITS - (2 * width).saturating_sub(1).leading_zeros();
        Self { raised: 1 << (16 + bits.div_ceil(2)) }
    }

    /// Gains below this times normal values are below 2^30 units; no gain is 2^31.
    const fn gain_end(self) -> u32 {
        let bits = 30 + GAIN_FRAC as u32 - self.raised.trailing_zeros();
        1 << (if bits < 31 { bits } else { 31 })
    }
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

#[inline(never)]
#[target_feature(enable = "avx2")]
fn sums_of_each(x: Rows, each: &mut [Sums]) {
    if x.width != BLOCK {
        return each.iter_mut().zip(x.iter()).for_each(|(sums, x)| *sums = sums_of_row(x));
    }
    for (row, sums) in row_parts::<BLOCK>(x, 0, each.len()).zip(each) {
        let mut lanes = Lanes::new();
        lanes.add_block(row);
        *sums = lanes.sums(BLOCK);
    }
}

#[target_feature(enable = "avx2")]
fn sums_of_row(x: &[i32]) -> Sums {
    x.chunks(SUMMED).fold(Sums::default(), |all, part| all.and(sums_of_part(part)))
}

/// Sums of values in lanes, each raised by [`Sums::LARGEST`]: those that are not beyond it have 24 bits then,
/// and no sign.
#[derive(Clone, Copy)]
struct Lanes {
    raised: __m256i,
    /// Of squares in even lanes, and in odd ones.
    squares: [__m256i; 2],
    /// Bits of any.
    any: __m256i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        let zeros = _mm256_setzero_si256();
        Self { raised: zeros, squares: [zeros; 2], any: zeros }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, x: &[i32; N]) {
        let x = _mm256_add_epi32(load(x), _mm256_set1_epi32(Sums::LARGEST.cast_signed()));
        self.raised = _mm256_add_epi32(self.raised, x);
        self.any = _mm256_or_si256(self.any, x);
        self.squares[0] = _mm256_add_epi64(self.squares[0], _mm256_mul_epu32(x, x));
        let x = odd(x);
        self.squares[1] = _mm256_add_epi64(self.squares[1], _mm256_mul_epu32(x, x));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_block(&mut self, x: &[i32; BLOCK]) {
        for x in x.as_chunks().0 {
            self.add(x);
        }
    }

    /// The sums of so many values, at most [`SUMMED`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sums(self, count: usize) -> Sums {
        const LARGEST: u64 = Sums::LARGEST as u64;
        let even = _mm256_and_si256(self.raised, _mm256_set1_epi64x(u32::MAX.into()));
        let raised = _mm256_add_epi64(even, _mm256_srli_epi64::<32>(self.raised));
        // Both sums side by side.
        let squares = _mm256_add_epi64(self.squares[0], self.squares[1]);
        let sums =
            _mm256_add_epi64(_mm256_unpacklo_epi64(raised, squares), _mm256_unpackhi_epi64(raised, squares));
        let sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let (raised, squares) = (_mm_cvtsi128_si64(sums), _mm_extract_epi64::<1>(sums).cast_unsigned());
        let (count, beyond) = (count as u64, _mm256_set1_epi32(!(2 * Sums::LARGEST - 1).cast_signed()));
        // x^2 = (x + L)^2 - 2 L (x + L) + L^2; parts may wrap, the sum can't.
        let twice = raised.cast_unsigned().wrapping_mul(2 * LARGEST);
        Sums {
            values: raised - (count * LARGEST).cast_signed(),
            squares: squares.wrapping_sub(twice).wrapping_add(count * LARGEST * LARGEST),
            largest: if _mm256_testz_si256(self.any, beyond) == 1 { Sums::LARGEST } else { u32::MAX },
        }
    }
}

/// [`sums_of_row`] of up to [`SUMMED`] values.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_part(x: &[i32]) -> Sums {
    let mut lanes = Lanes::new();
    let (blocks, others) = x.as_chunks::<BLOCK>();
    for block in blocks {
        lanes.add_block(block);
    }
    let (vectors, rest) = others.as_chunks();
    for x in vectors {
        lanes.add(x);
    }
    let sums = lanes.sums(x.len() - rest.len());
    if rest.is_empty() { sums } else { sums.and(Sums::of(rest)) }
}

/// Gains and biases of as many channels as a vector has values.
#[derive(Clone, Copy)]
#[repr(C)]
struct Channels {
    /// Of even lanes, and of odd ones.
    gains: [__m256i; 2],
    /// The same in units of the product, with half a unit of the result, less what the gain makes of
    /// [`Avx2::raised`].
    biases: [__m256i; 2],
}

impl Channels {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(steps: Avx2, gain: &[i32; N], bias: &[i32; N]) -> Self {
        let (gain, bias) = (load(gain), load(bias));
        let (gains, biases) = ([gain, odd(gain)], [bias, odd(bias)]);
        let raised = _mm256_set1_epi64x(steps.raised);
        let (unit, half) = (_mm256_set1_epi64x(1 << GAIN_FRAC), _mm256_set1_epi64x(1 << (GAIN_FRAC - 1)));
        let start = |bias, gain| {
            let bias = _mm256_add_epi64(_mm256_mul_epi32(bias, unit), half);
            _mm256_sub_epi64(bias, _mm256_mul_epi32(gain, raised))
        };
        Self { gains, biases: [start(biases[0], gains[0]), start(biases[1], gains[1])] }
    }
}

/// A [`Normal`] in vectors.
#[derive(Clone, Copy)]
struct Row {
    start: __m256i,
    mantissa: __m256i,
    shift: __m128i,
}

impl Row {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(normal: &Normal) -> Self {
        Self {
            start: _mm256_set1_epi64x(normal.start),
            mantissa: _mm256_set1_epi32(normal.mantissa),
            shift: _mm_cvtsi32_si128(normal.shift.cast_signed()),
        }
    }

    /// Results of the vector of channels of this number. Compilers would have the gain's share of what is
    /// raised in each product.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply<const VECTOR: usize, const VALUES: usize, const VECTORS: usize>(
        self,
        x: &[i32; VALUES],
        channels: &[Channels; VECTORS],
    ) -> [i32; N] {
        const { assert!(VECTOR < VECTORS && N * VECTORS == VALUES, "values and channels") };
        let even: __m256i;
        // SAFETY: there are eight values and their channels, whose layout is that of the structure.
        unsafe {
            asm!(
                "vpmuldq {even}, {mantissa}, ymmword ptr [{x} + {at}]",
                "vmovshdup {odd}, ymmword ptr [{x} + {at}]",
                "vpmuldq {odd}, {odd}, {mantissa}",
                "vpaddq {even}, {even}, {start}",
                "vpaddq {odd}, {odd}, {start}",
                "vpsrlq {even}, {even}, {shift}",
                "vpsrlq {odd}, {odd}, {shift}",
                "vpmuldq {even}, {even}, ymmword ptr [{channels} + {channel}]",
                "vpmuldq {odd}, {odd}, ymmword ptr [{channels} + {channel} + 32]",
                "vpaddq {even}, {even}, ymmword ptr [{channels} + {channel} + 64]",
                "vpaddq {odd}, {odd}, ymmword ptr [{channels} + {channel} + 96]",
                "vpsrlq {even}, {even}, {right}",
                "vpsllq {odd}, {odd}, {left}",
                "vpblendd {even}, {even}, {odd}, 0xaa",
                x = in(reg) x.as_ptr(),
                at = const VECTOR * size_of::<[i32; N]>(),
                channels = in(reg) channels.as_ptr(),
                channel = const VECTOR * size_of::<Channels>(),
                right = const GAIN_FRAC,
                left = const 32 - GAIN_FRAC,
                mantissa = in(ymm_reg) self.mantissa,
                start = in(ymm_reg) self.start,
                shift = in(xmm_reg) self.shift,
                even = out(ymm_reg) even,
                odd = out(ymm_reg) _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        bytemuck::cast(even)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn apply(steps: Avx2, x: Rows, normals: &[Option<Normal>], affine: &Affine, y: &mut [i32]) {
    let count = x.width.min(affine.gain.len()).min(affine.bias.len());
    let [blocks, whole] = [BLOCK, N].map(|part| count - count % part);
    let of = |channels: Range<usize>| [affine.gain, affine.bias].map(|all| &all[channels.clone()]);
    for first in (0..blocks).step_by(BLOCK) {
        if let [Some(gain), Some(bias)] = of(first..blocks).map(<[i32]>::first_chunk) {
            apply_block(steps, x, normals, first, [gain, bias], y);
        }
    }
    for first in (blocks..whole).step_by(N) {
        if let [Some(gain), Some(bias)] = of(first..whole).map(<[i32]>::first_chunk) {
            let channels = [Channels::new(steps, gain, bias)];
            let results = parts_mut(y, x.width, first, normals.len());
            for ((x, y), normal) in row_parts(x, first, normals.len()).zip(results).zip(normals) {
                if let Some(normal) = normal {
                    *y = Row::new(normal).apply::<0, N, 1>(x, &channels);
                }
            }
        }
    }
    if whole < count {
        apply_last(x, normals, affine, whole..count, y);
    }
}

/// [`apply`] for a block of channels.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn apply_block(
    steps: Avx2,
    x: Rows,
    normals: &[Option<Normal>],
    first: usize,
    [gain, bias]: [&[i32; BLOCK]; 2],
    y: &mut [i32],
) {
    let [gain, bias]: [&[[i32; N]; BLOCK / N]; 2] = [bytemuck::cast_ref(gain), bytemuck::cast_ref(bias)];
    let results = parts_mut::<i32, BLOCK>(y, x.width, first, normals.len());
    let rows = row_parts(x, first, normals.len()).zip(results).zip(normals);
    macro_rules! each_vector {
        ($($vector:literal)*) => {
            let channels = [$(Channels::new(steps, &gain[$vector], &bias[$vector])),*];
            for ((x, y), normal) in rows {
                if let Some(normal) = normal {
                    let (row, y): (_, &mut [[i32; N]; BLOCK / N]) = (Row::new(normal), bytemuck::cast_mut(y));
                    $(y[$vector] = row.apply::<$vector, BLOCK, { BLOCK / N }>(x, &channels);)*
                }
            }
        };
    }
    each_vector!(0 1 2 3 4 5 6 7);
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
                let sums = unsafe { sums_of_row(&x) };
                assert!(sums.largest <= Sums::LARGEST, "{count}");
                assert_eq!(Sums { largest: 0, ..sums }, Sums { largest: 0, ..Sums::of(&x) }, "{count}");
            }
            for beyond in [Sums::LARGEST as i32 + 1, -(Sums::LARGEST as i32) - 1, i32::MIN, i32::MAX] {
                let mut x = std::vec![0; count];
                if let Some(last) = x.last_mut() {
                    *last = beyond;
                    // SAFETY: the machine has the features.
                    assert!(unsafe { sums_of_row(&x) }.largest > Sums::LARGEST, "{beyond}");
                }
            }
        }
    }

    #[test]
    fn the_largest_normal_value_is_raised_above_zero() {
        for width in (1..5000).chain([1 << 15, (1 << 16) - 1]) {
            // One value as far from a mean of 0 as it can be, with a variance that is rounded down by as much
            // as it can be.
            let largest = 65_536.0 * libm::sqrt(1.5 * width as f64) + 1.0;
            assert!(largest < Avx2::new(width).raised as f64, "{width}");
        }
        assert_eq!([1, 64, 128, 1 << 16].map(|width| Avx2::new(width).raised.ilog2()), [17, 20, 20, 25]);
    }
}
