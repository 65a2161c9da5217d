//! How sure a mean difference is.

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 10_000;
const SEED: u64 = 20_240_607;

/// A mean and its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean of the sample.
    pub mean: f64,
    /// 2.5% quantile of the resampled means.
    pub low: f64,
    /// 97.5% quantile of the resampled means.
    pub high: f64,
}

/// Mean of paired differences with its percentile bootstrap interval (10,000 resamples, always the same
/// ones); `None` for an empty sample.
pub fn mean_interval(differences: &[f64]) -> Option<Interval> {
    let mean = mean(differences.iter().copied())?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut resample = || {
        let sum: f64 = differences.iter().map(|_| differences[random.usize(..differences.len())]).sum();
        sum / differences.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { mean, low: means[RESAMPLES / 40], high: means[RESAMPLES - 1 - RESAMPLES / 40] })
}

/// Arithmetic mean, `None` of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0usize), |(s, n), v| (s + v, n + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_a_known_sample() {
        // Normal theory: standard error of the mean of 0..100 is 29.0 / 10.
        let sample: Vec<f64> = (0..100).map(f64::from).collect();
        let interval = mean_interval(&sample).expect("a sample");
        assert_eq!(interval.mean, 49.5);
        assert!((interval.low - (49.5 - 1.96 * 2.89)).abs() < 0.3, "{interval:?}");
        assert!((interval.high - (49.5 + 1.96 * 2.89)).abs() < 0.3, "{interval:?}");
        assert_eq!(mean_interval(&sample), Some(interval));
    }

    #[test]
    fn degenerate_samples() {
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(mean_interval(&[2.5; 7]), Some(Interval { mean: 2.5, low: 2.5, high: 2.5 }));
    }
}
