//! How near the states of two models are.

/// Signal, noise and cosines over many rows.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    rows: usize,
    values: usize,
    /// Squares of the reference and of the differences, summed over each sequence.
    powers: Vec<[f64; 2]>,
    cosines: f64,
    /// 1 less the smallest cosine.
    worst: f64,
}

impl Agreement {
    /// Adds a sequence's rows of `channels` values, the integer model's and the float reference's.
    pub fn add(&mut self, state: &[f32], reference: &[f32], channels: usize) {
        self.powers.push([0.0; 2]);
        for (row, reference) in state.chunks_exact(channels).zip(reference.chunks_exact(channels)) {
            self.add_row(row, reference);
        }
    }

    fn add_row(&mut self, row: &[f32], reference: &[f32]) {
        let [mut dot, mut square, mut signal, mut noise] = [0.0; 4];
        for (&x, &r) in row.iter().zip(reference) {
            let (x, r) = (f64::from(x), f64::from(r));
            dot += x * r;
            square += x * x;
            signal += r * r;
            noise += (x - r) * (x - r);
        }
        let norms = (square * signal).sqrt();
        let cosine = if norms > 0.0 { dot / norms } else { f64::from(u8::from(square == signal)) };
        self.rows += 1;
        self.values += reference.len();
        if let Some([signals, noises]) = self.powers.last_mut() {
            *signals += signal;
            *noises += noise;
        }
        self.cosines += cosine;
        self.worst = self.worst.max(1.0 - cosine);
    }

    /// 10 log10 of the squares of the reference over those of the differences, both summed over all rows;
    /// infinite if there are no differences.
    pub fn snr(&self) -> f64 {
        decibels(self.total())
    }

    /// The same of single sequences: the median one's (the lower of two) and the worst one's.
    pub fn sequences_snr(&self) -> [f64; 2] {
        let mut ratios: Vec<f64> = self.powers.iter().map(|&powers| decibels(powers)).collect();
        ratios.sort_by(f64::total_cmp);
        let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::INFINITY);
        [at(ratios.len().saturating_sub(1) / 2), at(0)]
    }

    fn total(&self) -> [f64; 2] {
        self.powers.iter().fold([0.0; 2], |sum, powers| [sum[0] + powers[0], sum[1] + powers[1]])
    }

    /// Mean of the rows' cosines.
    pub fn cosine(&self) -> f64 {
        self.cosines / self.rows.max(1) as f64
    }

    /// The smallest cosine of a row.
    pub fn worst_cosine(&self) -> f64 {
        1.0 - self.worst
    }

    /// Root mean square of the reference's values.
    pub fn reference_rms(&self) -> f64 {
        (self.total()[0] / self.values.max(1) as f64).sqrt()
    }
}

fn decibels([signal, noise]: [f64; 2]) -> f64 {
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_noise_is_forty_decibels() {
        let mut agreement = Agreement::default();
        agreement.add(&[3.0, 4.0], &[3.0, 4.0], 2);
        assert_eq!((agreement.snr(), agreement.cosine()), (f64::INFINITY, 1.0));
        // Signal 25 + 25, noise 0.005.
        agreement.add(&[3.05, 4.05], &[3.0, 4.0], 2);
        assert!((agreement.snr() - 40.0).abs() < 1e-4, "{}", agreement.snr());
        assert!((agreement.reference_rms() - 12.5f64.sqrt()).abs() < 1e-12);
        agreement.add(&[-4.0, 3.0], &[3.0, 4.0], 2);
        assert!(agreement.worst_cosine().abs() < 1e-12, "a row at a right angle");
        assert!((agreement.cosine() - 2.0 / 3.0).abs() < 1e-4);
        let [median, worst] = agreement.sequences_snr();
        let expected = [10.0 * 5000f64.log10(), 10.0 * 0.5f64.log10()];
        assert!(
            (median - expected[0]).abs() < 1e-3 && (worst - expected[1]).abs() < 1e-9,
            "{median} {worst}"
        );
    }

    #[test]
    fn rows_of_zeros_are_equal_to_each_other_alone() {
        let cosine = |row: &[f32]| {
            let mut agreement = Agreement::default();
            agreement.add(row, &[0.0, 0.0], 2);
            agreement.cosine()
        };
        assert_eq!([cosine(&[0.0, 0.0]), cosine(&[0.0, 1.0])], [1.0, 0.0]);
    }
}
