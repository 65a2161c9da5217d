//! LayerNorm.

use super::multiply::{Lanes, upper_each};
use crate::fixed::{ACT_FRAC, Multiplier, div_round, rsqrt};
use crate::kernels::rows::Rows;
use crate::kernels::scalar;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;

/// Biases below this leave room for any product.
const BIAS_END: i32 = 1 << 30;

/// Rows whose means and deviations are made side by side: each takes divisions that wait for each other.
const ROWS: usize = 16;

/// The specification's [`layer_norm_rows`](scalar::layer_norm::layer_norm_rows), `N` values at a time. `upper` is [`upper_each`].
#[inline(always)]
pub fn layer_norm_rows<const N: usize>(
    x: Rows,
    gain: &[i32],
    bias: &[i32],
    epsilons: &[u64],
    y: &mut [i32],
    upper: impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let width = x.width.max(1);
    let mut rows = x.iter();
    let mut again = x.iter();
    for (epsilons, y) in epsilons.chunks(ROWS).zip(y.chunks_mut(ROWS.saturating_mul(width))) {
        let (mut sums, mut count) = ([Sums::default(); ROWS], 0);
        for (sums, x) in sums.iter_mut().zip(rows.by_ref().take(epsilons.len())) {
            *sums = Sums::of(x);
            count += 1;
        }
        let mut normals = [None; ROWS];
        for ((normal, sums), &epsilon) in normals.iter_mut().zip(&sums).zip(epsilons).take(count) {
            *normal = sums.normal(x.width, epsilon);
        }
        let y = y.chunks_exact_mut(width);
        for (((x, y), normal), &epsilon) in again.by_ref().take(count).zip(y).zip(&normals).zip(epsilons) {
            if normal.as_ref().and_then(|normal| normal.apply(x, gain, bias, y, &upper)).is_none() {
                scalar::layer_norm::layer_norm(x, gain, bias, epsilon, y);
            }
        }
    }
}

/// What a row's mean and deviation are made of.
#[derive(Clone, Copy, Default)]
struct Sums {
    values: i64,
    squares: u64,
    largest: u32,
}

impl Sums {
    #[inline(always)]
    fn of(x: &[i32]) -> Self {
        let (mut values, mut squares, mut largest) = (0i64, 0u64, 0u32);
        for &x in x {
            values = values.wrapping_add(i64::from(x));
            squares = squares.wrapping_add((i64::from(x) * i64::from(x)) as u64);
            largest = largest.max(x.unsigned_abs());
        }
        Self { values, squares, largest }
    }

    /// `None` where the sums may not be exact.
    #[inline(always)]
    fn normal(self, width: usize, epsilon: u64) -> Option<Normal> {
        // Then no square is above 2^46, the sum of all is below 2^62 and that of the values below 2^39.
        if self.largest > 1 << 23 || width >= 1 << 16 {
            return None;
        }
        let count = width.max(1) as i64;
        let mean = div_round(self.values, count);
        // The sum of (x - mean)^2 is sum x^2 - mean (2 sum x - n mean), whose parts may wrap; it can't.
        let squares = self.squares.wrapping_sub(mean.wrapping_mul(2 * self.values - count * mean) as u64);
        let variance = (squares + count as u64 / 2) / count as u64;
        let deviation = rsqrt(variance.saturating_add(epsilon).max(1));
        let by = Multiplier { mantissa: deviation.mantissa, shift: deviation.shift - ACT_FRAC as i32 };
        let centred = self.largest + mean.unsigned_abs() as u32;
        let by = Lanes::new(by, centred)?;
        Some(Normal { mean: mean as i32, by, largest: by.apply(centred as i32).unsigned_abs() })
    }
}

/// What brings a row to mean 0 and deviation 1.
#[derive(Clone, Copy)]
struct Normal {
    mean: i32,
    by: Lanes,
    /// The largest result.
    largest: u32,
}

impl Normal {
    /// `None` where a gain or bias is beyond the lanes; `y` is undefined then.
    #[inline(always)]
    fn apply<const N: usize>(
        &self,
        x: &[i32],
        gain: &[i32],
        bias: &[i32],
        y: &mut [i32],
        upper: impl Fn([i32; N], [i32; N]) -> [i32; N],
    ) -> Option<()> {
        let places = Places::of(self.largest);
        let mut beyond = [[0; N]; 2];
        let count = y.len().min(x.len()).min(gain.len()).min(bias.len());
        let ((y, rest_of_y), (x, rest_of_x)) = (y[..count].as_chunks_mut(), x[..count].as_chunks());
        let (gain, rest_of_gain) = gain[..count].as_chunks();
        let (bias, rest_of_bias) = bias[..count].as_chunks();
        for (((y, x), gain), bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
            *y = self.lanes(x, gain, bias, places, &mut beyond, &upper);
        }
        let rest = rest_of_y.iter_mut().zip(rest_of_x).zip(rest_of_gain).zip(rest_of_bias);
        let mut beyond = beyond.map(|lanes| [lanes.iter().fold(0, |all, lane| all | lane)]);
        for (((y, &x), &gain), &bias) in rest {
            [*y] = self.lanes(&[x], &[gain], &[bias], places, &mut beyond, &upper_each);
        }
        let within = |all: i32, end: i32| all.cast_unsigned() < 2 * end.unsigned_abs();
        let [[gains], [biases]] = beyond;
        (within(gains, places.gain_end) && within(biases, BIAS_END)).then_some(())
    }

    /// Some values. `beyond` takes bits of gains and of biases, which tell whether one is beyond the lanes.
    #[inline(always)]
    fn lanes<const N: usize>(
        &self,
        x: &[i32; N],
        gain: &[i32; N],
        bias: &[i32; N],
        places: Places,
        beyond: &mut [[i32; N]; 2],
        upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
    ) -> [i32; N] {
        let (mut normal, mut factor) = (*x, *gain);
        normal.iter_mut().for_each(|x| *x = x.wrapping_sub(self.mean) << self.by.left);
        let mut normal = upper(normal, [self.by.mantissa; N]);
        normal.iter_mut().for_each(|x| *x = ((*x + self.by.half()) >> self.by.right) << places.normal);
        factor.iter_mut().for_each(|gain| *gain <<= places.gain);
        let mut y = upper(normal, factor);
        for lane in 0..N {
            beyond[0][lane] |= gain[lane].wrapping_add(places.gain_end);
            beyond[1][lane] |= bias[lane].wrapping_add(BIAS_END);
            y[lane] = ((y[lane] + 1) >> 1).wrapping_add(bias[lane]);
        }
        y
    }
}

/// As many places as a product of a normal value and a gain is shifted beyond its lower half, so that the values take as many as they can.
#[derive(Clone, Copy)]
struct Places {
    normal: u32,
    gain: u32,
    /// Gains below this have room for theirs.
    gain_end: i32,
}

impl Places {
    /// For normal values of at most `largest` in magnitude.
    #[inline(always)]
    fn of(largest: u32) -> Self {
        const PLACES: u32 = 33 - GAIN_FRAC as u32;
        let normal = (largest.leading_zeros() - 1).min(PLACES);
        let gain = PLACES - normal;
        Self { normal, gain, gain_end: 1 << (30 - gain) }
    }
}
