//! The codec of a residual site: channel exponents, range, breakpoints and the split of codes, by least
//! squares.

use foldpoint_core::quant::EXPONENT_MAX;
use serde::{Deserialize, Serialize};

use super::sample::{Sample, decibel};
use crate::scheme::{Residual, Scheme};

/// Values that the search looks at.
const VALUES_TRIED: usize = 24_000;

/// Breakpoints that the search looks at, as parts of the larger range.
const BREAKPOINTS: usize = 32;

/// Channels at these quantiles of loudness are tried as the one with exponent 0.
const QUIET_QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// A codec with real steps; [`crate::encode`] rounds them to stream units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualChoice {
    /// Bits of a code.
    pub bits: u32,
    /// Levels: negative tail, dense below zero, dense above zero, positive tail.
    pub counts: [i32; 4],
    /// Steps: negative tail, dense, positive tail.
    pub steps: [f64; 3],
    /// One exponent a channel: its levels are `2^exponent` times as far apart.
    pub exponents: Vec<u8>,
}

impl ResidualChoice {
    /// The largest magnitude of any level of any channel.
    pub fn range(&self) -> f64 {
        let [n_neg, a, b, n_pos] = self.counts.map(f64::from);
        let [neg, mid, pos] = self.steps;
        let largest = self.exponents.iter().copied().max().unwrap_or(0);
        (a * mid + n_neg * neg).max(b * mid + n_pos * pos) * f64::from(largest).exp2()
    }

    fn restore(&self, x: f64) -> f64 {
        let [n_neg, a, b, n_pos] = self.counts.map(f64::from);
        let [neg, mid, pos] = self.steps;
        let (low, high) = (-a * mid, b * mid);
        if x < low {
            low - ((low - x) / neg).round().min(n_neg) * neg
        } else if x > high {
            high + ((x - high) / pos).round().min(n_pos) * pos
        } else {
            (x / mid).round() * mid
        }
    }

    /// Signal-to-noise ratio in dB on the sampled values.
    pub fn snr(&self, sample: &Sample) -> f64 {
        let (mut signal, mut noise) = (0.0, 0.0);
        for row in sample.rows() {
            for (&value, &exponent) in row.iter().zip(&self.exponents) {
                let (value, scale) = (f64::from(value), f64::from(exponent).exp2());
                signal += value * value;
                noise += (self.restore(value / scale) * scale - value).powi(2);
            }
        }
        decibel(signal, noise)
    }
}

/// The best codec of a kind for a site. `importance` is what a unit of squared error costs in each channel:
/// the squared gain of the LayerNorm that reads it.
pub fn choose(sample: &Sample, importance: &[f64], kind: Residual, scheme: &Scheme) -> ResidualChoice {
    let flat = vec![0; sample.channels()];
    match kind {
        Residual::Wide => {
            let range = sample.max().max(f64::MIN_POSITIVE) * scheme.headroom;
            ResidualChoice {
                bits: 16,
                counts: [0, 32767, 32767, 0],
                steps: [0.0, range / 32767.0, 0.0],
                exponents: flat,
            }
        }
        Residual::Uniform(bits) => Values::new(sample, importance, scheme, flat).uniform(bits),
        Residual::Piecewise(bits) => {
            let mut best = Values::new(sample, importance, scheme, flat).piecewise(bits);
            for sizes in [sample.channel_rms(), sample.channel_max().iter().map(|&max| max.into()).collect()]
            {
                for quiet in QUIET_QUANTILES {
                    let candidate =
                        Values::new(sample, importance, scheme, exponents(&sizes, quiet)).piecewise(bits);
                    if candidate.0 < best.0 {
                        best = candidate;
                    }
                }
            }
            best.1
        }
    }
}

/// Powers of two that bring louder channels down to the one at quantile `quiet`; quieter channels keep 0.
fn exponents(sizes: &[f64], quiet: f64) -> Vec<u8> {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let reference = sorted.get((sizes.len() as f64 * quiet) as usize).copied().unwrap_or(1.0);
    let louder = |size: &f64| (size / reference.max(f64::MIN_POSITIVE)).max(1.0).log2().round();
    sizes.iter().map(|size| louder(size).min(f64::from(EXPONENT_MAX / 2)) as u8).collect()
}

/// Sampled values divided by their channels' scales, with what an error there costs.
struct Values {
    /// (value, weight), weight being the channel's importance times the square of its scale.
    values: Vec<(f64, f64)>,
    low: f64,
    high: f64,
    exponents: Vec<u8>,
}

impl Values {
    fn new(sample: &Sample, importance: &[f64], scheme: &Scheme, exponents: Vec<u8>) -> Self {
        let scales: Vec<f64> = exponents.iter().map(|&e| f64::from(e).exp2()).collect();
        let mut all: Vec<(f64, f64)> = sample
            .rows()
            .flat_map(|row| {
                let channels = row.iter().zip(&scales).zip(importance);
                channels.map(|((&v, &scale), importance)| (f64::from(v) / scale, importance * scale * scale))
            })
            .collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let outside = ((1.0 - scheme.percentile) / 2.0 * all.len() as f64) as usize;
        let at = |index: usize| all.get(index).map_or(0.0, |v| v.0);
        let (mut low, mut high) = (at(outside), at((all.len().max(1) - 1).saturating_sub(outside)));
        if scheme.percentile >= 1.0 {
            // Rows that were not kept count too.
            let beyond =
                sample.channel_max().iter().zip(&scales).map(|(&m, s)| f64::from(m) / s).fold(0.0, f64::max);
            if -low > high { low = low.min(-beyond) } else { high = high.max(beyond) }
        }
        let stride = all.len().div_ceil(VALUES_TRIED).max(1);
        Self {
            values: all.into_iter().step_by(stride).collect(),
            low: (low * scheme.headroom).min(-f64::MIN_POSITIVE),
            high: (high * scheme.headroom).max(f64::MIN_POSITIVE),
            exponents,
        }
    }

    fn error(&self, choice: &ResidualChoice) -> f64 {
        self.values.iter().map(|&(v, weight)| (choice.restore(v) - v).powi(2) * weight).sum()
    }

    /// Equal steps, zero among the levels.
    fn uniform(self, bits: u32) -> ResidualChoice {
        let levels = (1 << bits) - 1;
        let step = (self.high - self.low) / f64::from(levels - 1);
        let below = (-self.low / step).round() as i32;
        let counts = [0, below.clamp(0, levels - 1), (levels - 1 - below).max(0), 0];
        ResidualChoice { bits, counts, steps: [0.0, step, 0.0], exponents: self.exponents }
    }

    /// The breakpoint and split with the least squared error.
    fn piecewise(self, bits: u32) -> (f64, ResidualChoice) {
        let codes = 1 << bits;
        let larger = self.high.max(-self.low);
        let mut best = (f64::INFINITY, None);
        for index in 1..=BREAKPOINTS {
            // Denser where the breakpoint is small.
            let p = larger * (index as f64 / (BREAKPOINTS + 1) as f64).powi(2);
            for centre in [0.5, 0.625, 0.75, 0.8125, 0.875, 0.9375] {
                for negative in [0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9] {
                    let Some(choice) = self.candidate(bits, codes, p, centre, negative) else { continue };
                    let error = self.error(&choice);
                    if error < best.0 {
                        best = (error, Some(choice));
                    }
                }
            }
        }
        match best {
            (error, Some(choice)) => (error, choice),
            (error, None) => (error, self.uniform(bits)),
        }
    }

    /// `centre` of the codes within `[-p, p]`, `negative` of the others in the negative tail.
    fn candidate(&self, bits: u32, codes: i32, p: f64, centre: f64, negative: f64) -> Option<ResidualChoice> {
        let dense = ((f64::from(codes) * centre) as i32 - 1) / 2;
        let step = p / f64::from(dense);
        let tail_codes = codes - 1 - 2 * dense;
        let (mut low, mut high) = ((-self.low - p).max(0.0), (self.high - p).max(0.0));
        let mut n_neg = (f64::from(tail_codes) * negative).round() as i32;
        let mut n_pos = tail_codes - n_neg;
        if low == 0.0 {
            (n_neg, n_pos) = (0, tail_codes);
        } else if high == 0.0 {
            (n_neg, n_pos) = (tail_codes, 0);
        }
        if dense < 1 || low > 0.0 && n_neg == 0 || high > 0.0 && n_pos == 0 {
            return None;
        }
        if n_pos > 0 && high == 0.0 {
            high = step * f64::from(n_pos);
        }
        if n_neg > 0 && low == 0.0 {
            low = step * f64::from(n_neg);
        }
        let steps = [low / f64::from(n_neg.max(1)), step, high / f64::from(n_pos.max(1))];
        Some(ResidualChoice {
            bits,
            counts: [n_neg, dense, dense, n_pos],
            steps,
            exponents: self.exponents.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dense centre with a long positive tail, as before LayerNorm.
    fn skewed() -> Sample {
        let mut sample = Sample::every(1, 4);
        let value = |i: usize| {
            let u = (i * 7919 % 10007) as f32 / 10007.0 - 0.5;
            if i.is_multiple_of(97) { 40.0 * u.abs() } else { u }
        };
        let values: Vec<f32> = (0..8000).map(value).collect();
        sample.add(&values);
        sample
    }

    fn snr(residual: Residual) -> f64 {
        let sample = skewed();
        choose(&sample, &[1.0; 4], residual, &Scheme::default()).snr(&sample)
    }

    #[test]
    fn piecewise_beats_uniform_on_skewed_values() {
        assert!(snr(Residual::Piecewise(8)) > snr(Residual::Uniform(8)) + 6.0);
        assert!(snr(Residual::Piecewise(6)) > snr(Residual::Uniform(6)) + 6.0);
        assert!(snr(Residual::Wide) > snr(Residual::Piecewise(8)) + 20.0);
    }

    #[test]
    fn codes_fit_the_bits_and_the_range_holds_all_values() {
        let sample = skewed();
        for bits in [4, 6, 8] {
            for residual in [Residual::Piecewise(bits), Residual::Uniform(bits)] {
                let choice = choose(&sample, &[1.0; 4], residual, &Scheme::default());
                assert!(choice.counts.iter().sum::<i32>() < 1 << bits, "{choice:?}");
                assert!(choice.range() >= sample.max(), "{choice:?}");
            }
        }
    }

    #[test]
    fn a_site_of_zeros_has_a_codec() {
        let mut sample = Sample::every(1, 4);
        sample.add(&[0.0; 64]);
        for residual in [Residual::Piecewise(8), Residual::Uniform(8), Residual::Wide] {
            let choice = choose(&sample, &[1.0; 4], residual, &Scheme::default());
            assert_eq!(choice.restore(0.0), 0.0);
        }
    }
}
