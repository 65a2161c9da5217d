//! Which input channels of a Linear get a second limb.
//!
//! A row's step is set by its largest ordinary channel, and every channel pays for it: the noise is
//! proportional to the square of that largest value. Channels are taken one after another, each time the one
//! whose leaving lowers the sum of squared largest values over the sampled rows the most.

use foldpoint_core::Isa;
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::kernels::linear::{LIMB_BITS, row_len};
use rayon::prelude::*;

use super::sample::{Sample, decibel};
use crate::fixed::to_fixed;

/// How many of a row's largest channels are looked at; more than these are hardly ever taken from one row.
const LARGEST_KEPT: usize = 96;

/// The best `count` channels, ascending; fewer if more don't help, unless it is all of them or most.
pub fn choose(sample: &Sample, count: usize) -> Vec<u16> {
    if count > LARGEST_KEPT {
        return loudest(sample, count);
    }
    if count >= sample.channels() {
        return (0..sample.channels() as u16).collect();
    }
    let mut rows: Vec<Vec<(f32, u16)>> = sample.par_rows().map(largest).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let mut gain = vec![0.0f64; sample.channels()];
        for row in &rows {
            if let [(first, channel), rest @ ..] = row.as_slice() {
                let second = rest.first().map_or(0.0, |&(value, _)| value);
                gain[usize::from(*channel)] += f64::from(*first).powi(2) - f64::from(second).powi(2);
            }
        }
        let best = gain.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((channel, _)) = best.filter(|(_, gain)| **gain > 0.0) else { break };
        let channel = channel as u16;
        chosen.push(channel);
        for row in &mut rows {
            row.retain(|&(_, c)| c != channel);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// The `count` channels with the largest magnitudes, ascending: where most channels have two limbs, what
/// counts is that the others are quiet.
fn loudest(sample: &Sample, count: usize) -> Vec<u16> {
    let mut channels: Vec<u16> = (0..sample.channels() as u16).collect();
    let max = |channel: u16| sample.channel_max()[usize::from(channel)];
    channels.sort_by(|&a, &b| max(b).total_cmp(&max(a)));
    channels.truncate(count);
    channels.sort_unstable();
    channels
}

/// A row's largest magnitudes with their channels, descending.
fn largest(row: &[f32]) -> Vec<(f32, u16)> {
    let mut values: Vec<(f32, u16)> = row.iter().zip(0..).map(|(v, channel)| (v.abs(), channel)).collect();
    let descending = |a: &(f32, u16), b: &(f32, u16)| b.0.total_cmp(&a.0);
    if values.len() > LARGEST_KEPT {
        values.select_nth_unstable_by(LARGEST_KEPT, descending);
        values.truncate(LARGEST_KEPT);
    }
    values.sort_unstable_by(descending);
    values
}

/// Signal-to-noise ratio in dB of the codes that inference will make of the sampled rows.
pub fn snr(sample: &Sample, outliers: &[u16]) -> f64 {
    let backend = Isa::best().backend();
    let high_len = row_len(sample.channels(), outliers.len()) - row_len(sample.channels(), 0);
    let energies = |row: &[f32]| {
        let fixed: Vec<i32> = row.iter().map(|&v| to_fixed(v.into(), ACT_FRAC)).collect();
        let mut codes = vec![0i8; row_len(sample.channels(), outliers.len())];
        let scale = backend.quantize_row(&fixed, outliers, &mut codes);
        let unit = f64::from(scale.mantissa) * f64::from(i32::from(scale.exponent) - ACT_FRAC as i32).exp2();
        let (high, low) = codes.split_at(high_len);
        let mut restored: Vec<i32> = low.iter().map(|&code| code.into()).collect();
        for (&channel, &high) in outliers.iter().zip(high) {
            restored[usize::from(channel)] += i32::from(high) << LIMB_BITS;
        }
        row.iter().zip(restored).fold((0.0, 0.0), |(signal, noise), (&value, code)| {
            let value = f64::from(value);
            (signal + value * value, noise + (f64::from(code) * unit - value).powi(2))
        })
    };
    // Collected, so that the order of the sums doesn't depend on threads.
    let rows: Vec<(f64, f64)> = sample.par_rows().map(energies).collect();
    decibel(rows.iter().map(|row| row.0).sum(), rows.iter().map(|row| row.1).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: &[[f32; 6]]) -> Sample {
        let mut sample = Sample::every(1, 6);
        rows.iter().for_each(|row| sample.add(row));
        sample
    }

    #[test]
    fn takes_the_channels_that_stretch_the_scale() {
        let sample = sample(&[[1.0, -9.0, 1.0, 0.5, 1.0, 0.0], [1.0, 0.1, 0.9, 0.5, 5.0, 0.0]]);
        assert_eq!(choose(&sample, 1), [1]);
        assert_eq!(choose(&sample, 2), [1, 4]);
    }

    #[test]
    fn takes_all_or_the_loudest_if_there_are_many() {
        assert_eq!(choose(&sample(&[[0.0; 6]]), 6), [0, 1, 2, 3, 4, 5]);
        let mut wide = Sample::every(1, 200);
        let row: Vec<f32> = (0..200).map(|c| if c % 2 == 0 { 1.0 } else { -2.0 - c as f32 }).collect();
        wide.add(&row);
        let odd: Vec<u16> = (0..100).map(|i| 2 * i + 1).collect();
        assert_eq!(choose(&wide, 100), odd);
    }

    #[test]
    fn stops_when_no_channel_helps() {
        assert_eq!(choose(&sample(&[[0.0; 6]]), 3), [0u16; 0]);
    }

    #[test]
    fn a_second_limb_raises_the_ratio() {
        let rows: Vec<[f32; 6]> = (0..50)
            .map(|i| {
                std::array::from_fn(
                    |c| if c == 2 { 40.0 + i as f32 } else { (i * 7 + c * 3) as f32 % 5.3 - 2.0 },
                )
            })
            .collect();
        let sample = sample(&rows);
        let (without, with) = (snr(&sample, &[]), snr(&sample, &choose(&sample, 1)));
        assert!(with > without + 15.0, "{without} {with}");
    }
}
