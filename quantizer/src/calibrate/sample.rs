//! Values seen at one site.

/// Every `keep_every`-th row, and each channel's largest magnitude over all rows.
#[derive(Debug)]
pub struct Sample {
    channels: usize,
    keep_every: usize,
    seen: usize,
    kept: Vec<f32>,
    channel_max: Vec<f32>,
}

impl Sample {
    pub fn new(channels: usize, keep_every: usize) -> Self {
        Self { channels, keep_every, seen: 0, kept: Vec::new(), channel_max: vec![0.0; channels] }
    }

    /// Adds rows of `channels` values.
    pub fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.channels) {
            for (max, value) in self.channel_max.iter_mut().zip(row) {
                *max = max.max(value.abs());
            }
            if self.seen.is_multiple_of(self.keep_every) {
                self.kept.extend_from_slice(row);
            }
            self.seen += 1;
        }
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The rows kept.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.kept.chunks_exact(self.channels)
    }

    /// The rows kept, one after another.
    pub fn into_kept(self) -> Vec<f32> {
        self.kept
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

/// Signal-to-noise ratio in dB.
pub fn decibel(signal: f64, noise: f64) -> f64 {
    10.0 * (signal.max(f64::MIN_POSITIVE) / noise.max(f64::MIN_POSITIVE)).log10()
}
