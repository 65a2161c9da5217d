//! LayerNorm.

use super::multiply::{Lanes, upper};
use crate::fixed::{ACT_FRAC, Multiplier, div_round, rsqrt};
use crate::kernels::rows::Rows;
use crate::kernels::scalar;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;

/// Biases below this leave room for any product.
const BIAS_END: i32 = 1 << 30;

/// Rows whose means and deviations are made side by side: each takes divisions that wait for each other.
const ROWS: usize = 16;

/// The specification's [`layer_norm_rows`](scalar::layer_norm::layer_norm_rows).
#[inline(always)]
pub fn layer_norm_rows(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
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
            if normal.as_ref().and_then(|normal| normal.apply(x, gain, bias, y)).is_none() {
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
    fn apply(&self, x: &[i32], gain: &[i32], bias: &[i32], y: &mut [i32]) -> Option<()> {
        // As many places as a product is shifted beyond its lower half, so that the values take as many as they can.
        const PLACES: u32 = 33 - GAIN_FRAC as u32;
        let left = (self.largest.leading_zeros() - 1).min(PLACES);
        let gain_end = 1i32 << (30 - (PLACES - left));
        let (mut gains, mut biases) = (0, 0);
        for (((y, &x), &gain), &bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
            let normal = self.by.apply(x.wrapping_sub(self.mean));
            let product = (upper(normal << left, gain << (PLACES - left)) + 1) >> 1;
            gains |= gain.wrapping_add(gain_end);
            biases |= bias.wrapping_add(BIAS_END);
            *y = product.wrapping_add(bias);
        }
        let within = |all: i32, end: i32| all.cast_unsigned() < 2 * end.unsigned_abs();
        (within(gains, gain_end) && within(biases, BIAS_END)).then_some(())
    }
}
