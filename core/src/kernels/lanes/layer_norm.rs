//! LayerNorm.

use super::multiply::{Lanes, upper_each};
use crate::fixed::{ACT_FRAC, Divisor, Multiplier, rsqrt};
use crate::kernels::rows::Rows;
use crate::kernels::scalar;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;

/// Biases below this leave room for any product.
const BIAS_END: u32 = 1 << 30;

/// Rows whose means and deviations are made side by side: each takes divisions that wait for each other.
const ROWS: usize = 32;

/// What is done with the values of rows: as compilers vectorise it, or a backend's own.
pub trait Steps: Copy {
    /// What brings a row to mean 0 and deviation 1, as these steps do it.
    type Normal: Copy;

    /// What the rows' means and deviations are made of; there are as many rows.
    #[inline(always)]
    fn sums_of_each(self, x: Rows, each: &mut [Sums]) {
        each.iter_mut().zip(x.iter()).for_each(|(sums, x)| *sums = Sums::of(x));
    }

    /// `None` where the row, gains or biases don't fit the lanes.
    fn normal(self, statistics: Statistics, affine: &Affine) -> Option<Self::Normal>;

    /// The results of the rows that have a normal, where it and `y` have a row for them.
    fn apply(self, x: Rows, normals: &[Option<Self::Normal>], affine: &Affine, y: &mut [i32]);
}

/// Steps for `N` values at a time, by a backend's [`upper_each`].
#[derive(Clone, Copy)]
struct ByLanes<const N: usize, U>(U);

impl<const N: usize, U: Fn([i32; N], [i32; N]) -> [i32; N] + Copy> Steps for ByLanes<N, U> {
    type Normal = Normal;

    #[inline(always)]
    fn normal(self, statistics: Statistics, affine: &Affine) -> Option<Normal> {
        Normal::new(statistics).filter(|normal| affine.fits(normal.places.gain_end))
    }

    #[inline(always)]
    fn apply(self, x: Rows, normals: &[Option<Normal>], affine: &Affine, y: &mut [i32]) {
        for ((x, y), normal) in x.iter().zip(y.chunks_exact_mut(x.width.max(1))).zip(normals) {
            if let Some(normal) = normal {
                normal.apply(x, [affine.gain, affine.bias], y, self.0);
            }
        }
    }
}

/// The specification's [`layer_norm_rows`](scalar::layer_norm::layer_norm_rows), `N` values at a time.
/// `upper` is [`upper_each`].
#[inline(always)]
pub fn layer_norm_rows<const N: usize>(
    x: Rows,
    gain: &[i32],
    bias: &[i32],
    epsilons: &[u64],
    y: &mut [i32],
    upper: impl Fn([i32; N], [i32; N]) -> [i32; N] + Copy,
) {
    layer_norm_by(ByLanes::<N, _>(upper), x, gain, bias, epsilons, y);
}

/// The same by a backend's steps.
#[inline(always)]
pub fn layer_norm_by<S: Steps>(
    steps: S,
    x: Rows,
    gain: &[i32],
    bias: &[i32],
    epsilons: &[u64],
    y: &mut [i32],
) {
    let width = x.width.max(1);
    let (count, affine) = (Divisor::new(width as u64), Affine::new(gain, bias));
    let rows = x.count();
    for (tile, (epsilons, y)) in
        epsilons.chunks(ROWS).zip(y.chunks_mut(ROWS.saturating_mul(width))).enumerate()
    {
        let read = epsilons.len().min(rows.saturating_sub(tile * ROWS)).min(y.len() / width).min(ROWS);
        let x =
            Rows { values: x.values.get((tile * ROWS).saturating_mul(x.stride)..).unwrap_or_default(), ..x };
        let mut sums = [Sums::default(); ROWS];
        let (sums, epsilons) = (&mut sums[..read], &epsilons[..read]);
        steps.sums_of_each(x, sums);
        let mut normals = [None; ROWS];
        let normals = &mut normals[..read];
        let any_left = make_normals(steps, sums, count, epsilons, &affine, normals);
        steps.apply(x, normals, &affine, y);
        if any_left {
            let results = x.iter().zip(y.chunks_exact_mut(width));
            let left = results.zip(normals).zip(epsilons).filter(|((_, normal), _)| normal.is_none());
            for (((x, y), _), &epsilon) in left {
                scalar::layer_norm::layer_norm(x, gain, bias, epsilon, y);
            }
        }
    }
}

/// The rows' normals; whether one doesn't fit. A function of its own, since nothing in it is a vector and all
/// of it stays in registers.
#[inline(never)]
fn make_normals<S: Steps>(
    steps: S,
    sums: &[Sums],
    count: Divisor,
    epsilons: &[u64],
    affine: &Affine,
    normals: &mut [Option<S::Normal>],
) -> bool {
    let mut any_left = false;
    for ((normal, sums), &epsilon) in normals.iter_mut().zip(sums).zip(epsilons) {
        *normal = sums.statistics(count, epsilon).and_then(|row| steps.normal(row, affine));
        any_left |= normal.is_none();
    }
    any_left
}

/// Gains and biases, one a channel.
pub struct Affine<'a> {
    /// Gains
    pub gain: &'a [i32],
    /// Biases
    pub bias: &'a [i32],
    /// The largest magnitudes.
    largest: [u32; 2],
}

impl<'a> Affine<'a> {
    #[inline(always)]
    fn new(gain: &'a [i32], bias: &'a [i32]) -> Self {
        let largest = |values: &[i32]| values.iter().fold(0, |all, value| value.unsigned_abs().max(all));
        Self { gain, bias, largest: [largest(gain), largest(bias)] }
    }

    /// Whether they fit the lanes, whose gains must be below `gain_end`.
    #[inline(always)]
    pub const fn fits(&self, gain_end: u32) -> bool {
        self.largest[0] < gain_end && self.largest[1] < BIAS_END
    }
}

/// What a row's mean and deviation are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of the values, where none is beyond [`LARGEST`](Self::LARGEST).
    pub values: i64,
    /// Of their squares, likewise.
    pub squares: u64,
    /// None is larger in magnitude; beyond [`LARGEST`](Self::LARGEST) if one is.
    pub largest: u32,
}

impl Sums {
    /// The largest value whose row lanes hold.
    pub const LARGEST: u32 = 1 << 23;

    /// Value by value.
    #[inline(always)]
    pub fn of(x: &[i32]) -> Self {
        let (mut values, mut squares, mut largest) = (0i64, 0u64, 0u32);
        for &x in x {
            values = values.wrapping_add(i64::from(x));
            squares = squares.wrapping_add((i64::from(x) * i64::from(x)) as u64);
            largest = largest.max(x.unsigned_abs());
        }
        Self { values, squares, largest }
    }

    /// The sums of these values and others.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "x86 sums whole vectors, then the rest")
    )]
    #[inline(always)]
    pub fn and(self, others: Self) -> Self {
        Self {
            values: self.values.wrapping_add(others.values),
            squares: self.squares.wrapping_add(others.squares),
            largest: self.largest.max(others.largest),
        }
    }

    /// `None` where the sums may not be exact.
    #[inline(always)]
    fn statistics(self, count: Divisor, epsilon: u64) -> Option<Statistics> {
        // Then no square is above 2^46, the sum of all is below 2^62 and that of the values below 2^39.
        if self.largest > Self::LARGEST || count.get() >= 1 << 16 {
            return None;
        }
        let half = count.get() / 2;
        let magnitude = count.divide(self.values.unsigned_abs() + half).cast_signed();
        let mean = if self.values < 0 { -magnitude } else { magnitude };
        // The sum of (x - mean)^2 is sum x^2 - mean (2 sum x - n mean), whose parts may wrap; it can't.
        let centred = 2 * self.values - count.get().cast_signed() * mean;
        let squares = self.squares.wrapping_sub(mean.wrapping_mul(centred).cast_unsigned());
        let variance = count.divide(squares + half);
        let deviation = rsqrt(variance.saturating_add(epsilon).max(1));
        let by = Multiplier { mantissa: deviation.mantissa, shift: deviation.shift - ACT_FRAC as i32 };
        Some(Statistics { mean: mean as i32, by, largest: self.largest + mean.unsigned_abs() as u32 })
    }
}

/// A row's mean, and what brings it to deviation 1.
#[derive(Clone, Copy)]
pub struct Statistics {
    /// The row's mean.
    pub mean: i32,
    /// What the distance from it is multiplied by.
    pub by: Multiplier,
    /// None is larger.
    largest: u32,
}

/// What brings a row to mean 0 and deviation 1.
#[derive(Clone, Copy)]
struct Normal {
    mean: i32,
    by: Lanes,
    /// For the largest result.
    places: Places,
}

impl Normal {
    /// `None` where the row doesn't fit the lanes.
    #[inline(always)]
    fn new(row: Statistics) -> Option<Self> {
        let by = Lanes::new(row.by, row.largest)?;
        let places = Places::of(by.apply(row.largest as i32).unsigned_abs());
        Some(Self { mean: row.mean, by, places })
    }

    /// For gains and biases that fit the lanes.
    #[inline(always)]
    fn apply<const N: usize>(
        &self,
        x: &[i32],
        [gain, bias]: [&[i32]; 2],
        y: &mut [i32],
        upper: impl Fn([i32; N], [i32; N]) -> [i32; N],
    ) {
        let count = y.len().min(x.len()).min(gain.len()).min(bias.len());
        let ((y, rest_of_y), (x, rest_of_x)) = (y[..count].as_chunks_mut(), x[..count].as_chunks());
        let (gain, rest_of_gain) = gain[..count].as_chunks();
        let (bias, rest_of_bias) = bias[..count].as_chunks();
        for (((y, x), gain), bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
            *y = self.lanes(x, gain, bias, &upper);
        }
        let rest = rest_of_y.iter_mut().zip(rest_of_x).zip(rest_of_gain).zip(rest_of_bias);
        for (((y, &x), &gain), &bias) in rest {
            [*y] = self.lanes(&[x], &[gain], &[bias], &upper_each);
        }
    }

    /// Some values.
    #[inline(always)]
    fn lanes<const N: usize>(
        &self,
        x: &[i32; N],
        gain: &[i32; N],
        bias: &[i32; N],
        upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
    ) -> [i32; N] {
        let (mut normal, mut factor) = (*x, *gain);
        normal.iter_mut().for_each(|x| *x = x.wrapping_sub(self.mean) << self.by.left);
        let mut normal = upper(normal, [self.by.mantissa; N]);
        let places = self.places;
        normal.iter_mut().for_each(|x| *x = ((*x + self.by.half()) >> self.by.right) << places.normal);
        factor.iter_mut().for_each(|gain| *gain <<= places.gain);
        let mut y = upper(normal, factor);
        for lane in 0..N {
            y[lane] = ((y[lane] + 1) >> 1).wrapping_add(bias[lane]);
        }
        y
    }
}

/// As many places as a product of a normal value and a gain is shifted beyond its lower half, so that the
/// values take as many as they can.
#[derive(Clone, Copy)]
struct Places {
    /// Those of the normal value.
    normal: u32,
    /// Those of the gain.
    gain: u32,
    /// Gains below this have room for theirs.
    gain_end: u32,
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
