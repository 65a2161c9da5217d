//! Values seen at one site.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::vectorised::vectorised;
use crate::work::Floats;

/// Rows whose maxima a thread finds at a time.
const ROWS_TOGETHER: usize = 512;

/// Some of a site's rows, and each channel's largest magnitude over all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    channels: usize,
    keep: Keep,
    seen: usize,
    kept: Floats,
    channel_max: Vec<f32>,
}

/// Which rows are kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Keep {
    /// Every n-th.
    Every(usize),
    /// Those whose scattered number ends in `bits` zeros; `bits` rises whenever there are more than `limit`.
    AtMost { limit: usize, bits: u32 },
}

impl Keep {
    fn wants(self, row: usize) -> bool {
        match self {
            Self::Every(n) => row.is_multiple_of(n),
            // Pairs come in rows of equal length: a plain stride could meet the same column again and again.
            Self::AtMost { bits, .. } => scattered(row) & ((1 << bits) - 1) == 0,
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of
/// `row`.
fn scattered(row: usize) -> u64 {
    let x = (row as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Sample {
    /// Keeps every `n`-th row.
    pub fn every(n: usize, channels: usize) -> Self {
        Self::new(Keep::Every(n), channels)
    }

    /// Keeps up to `limit` rows, spread over however many come.
    pub fn at_most(limit: usize, channels: usize) -> Self {
        Self::new(Keep::AtMost { limit, bits: 0 }, channels)
    }

    fn new(keep: Keep, channels: usize) -> Self {
        Self { channels, keep, seen: 0, kept: Floats::default(), channel_max: vec![0.0; channels] }
    }

    /// Adds rows of `channels` values.
    pub fn add(&mut self, values: &[f32]) {
        let channels = self.channels;
        self.add_columns(values, channels, 0);
    }

    /// Adds the columns from `first` on of rows of `stride` values.
    pub fn add_columns(&mut self, values: &[f32], stride: usize, first: usize) {
        let columns = first..first + self.channels;
        let maxima = values.par_chunks(ROWS_TOGETHER * stride).map(|rows| {
            let mut maxima = vec![0.0f32; self.channels];
            for row in rows.chunks_exact(stride) {
                vectorised(|| raise(&mut maxima, row[columns.clone()].iter().map(|value| value.abs())));
            }
            maxima
        });
        for maxima in maxima.collect::<Vec<_>>() {
            raise(&mut self.channel_max, maxima);
        }
        for row in values.chunks_exact(stride) {
            if self.keep.wants(self.seen) {
                self.kept.0.extend_from_slice(&row[columns.clone()]);
                self.thin();
            }
            self.seen += 1;
        }
    }

    /// Drops rows if there are more than the limit.
    fn thin(&mut self) {
        let Keep::AtMost { limit, .. } = self.keep else { return };
        while self.kept.0.len() > limit * self.channels {
            let before = self.keep;
            let Keep::AtMost { bits, .. } = &mut self.keep else { return };
            *bits += 1;
            let (after, channels) = (self.keep, self.channels);
            // Kept rows are those that `before` wanted, in order.
            let numbers = (0..).filter(|&row| before.wants(row));
            let mut to = 0;
            for (from, number) in numbers.take(self.kept.0.len() / channels).enumerate() {
                if after.wants(number) {
                    self.kept.0.copy_within(from * channels..(from + 1) * channels, to);
                    to += channels;
                }
            }
            self.kept.0.truncate(to);
        }
    }

    /// Adds what another sample of the same site has.
    pub fn absorb(&mut self, other: &Self) {
        self.kept.0.extend_from_slice(&other.kept.0);
        raise(&mut self.channel_max, other.channel_max.iter().copied());
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The rows kept.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.kept.0.chunks_exact(self.channels)
    }

    /// The rows kept, for all threads.
    pub fn par_rows(&self) -> impl IndexedParallelIterator<Item = &[f32]> {
        self.kept.0.par_chunks_exact(self.channels)
    }

    /// The rows kept, one after another.
    pub fn kept(&self) -> &[f32] {
        &self.kept.0
    }

    /// Each channel's largest magnitude.
    pub fn channel_max(&self) -> &[f32] {
        &self.channel_max
    }

    /// The largest magnitude.
    pub fn max(&self) -> f64 {
        self.channel_max.iter().copied().fold(0.0, f32::max).into()
    }

    /// Each channel's root mean square over the rows kept.
    pub fn channel_rms(&self) -> Vec<f64> {
        let mut squares = vec![0.0; self.channels];
        let mut count = 0.0f64;
        for row in self.rows() {
            count += 1.0;
            squares.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v).powi(2));
        }
        squares.into_iter().map(|sum| (sum / count.max(1.0)).sqrt()).collect()
    }
}

/// Puts what is larger in the place of each of `maxima`.
#[inline(always)]
fn raise(maxima: &mut [f32], values: impl IntoIterator<Item = f32>) {
    maxima.iter_mut().zip(values).for_each(|(max, value)| *max = max.max(value));
}

/// Signal-to-noise ratio in dB.
pub fn decibel(signal: f64, noise: f64) -> f64 {
    10.0 * (signal.max(f64::MIN_POSITIVE) / noise.max(f64::MIN_POSITIVE)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_thinned_to_the_limit_wherever_calls_end() {
        let row = |number: usize| [number as f32, -1.0];
        let all: Vec<f32> = (0..1000).flat_map(row).collect();
        let mut whole = Sample::at_most(100, 2);
        whole.add(&all);
        let mut parts = Sample::at_most(100, 2);
        all.chunks(2 * 64).for_each(|part| parts.add(part));
        assert_eq!(whole.kept(), parts.kept());
        let rows: Vec<f32> = whole.rows().map(|row| row[0]).collect();
        assert!((30..=100).contains(&rows.len()), "{}", rows.len());
        assert!(rows.is_sorted() && whole.rows().all(|row| row[1] == -1.0));
        assert_eq!(whole.max(), 999.0);
        let columns: std::collections::BTreeSet<usize> = rows.iter().map(|&row| row as usize % 64).collect();
        assert!(columns.len() > 15, "{columns:?}");
    }

    #[test]
    fn columns_and_other_samples_are_added() {
        let mut sample = Sample::every(1, 2);
        sample.add_columns(&[1.0, 2.0, 3.0, 4.0, 5.0, -6.0], 3, 1);
        let mut other = Sample::every(2, 2);
        other.add(&[7.0, 0.0, 0.0, -9.0]);
        sample.absorb(&other);
        assert_eq!(sample.kept(), [2.0, 3.0, 5.0, -6.0, 7.0, 0.0]);
        assert_eq!(sample.channel_max(), [7.0, 9.0]);
    }
}
