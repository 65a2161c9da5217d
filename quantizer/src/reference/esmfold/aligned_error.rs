//! Predicted aligned error and the TM-score that follows from it.

use crate::table::PAIR_BINS;

/// Upper edge of the last bin but one, in angstroms.
const LAST_EDGE: f64 = 31.0;

/// The error that is expected at residue j when the structures are aligned at residue i.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlignedError {
    /// `[residues * residues, 64]`.
    pub logits: Vec<f32>,
    /// The mean error of the pair (i, j), in angstroms: `[residues, residues]`.
    pub mean: Vec<f32>,
    /// Predicted TM-score, 0 to 1.
    pub ptm: f32,
}

impl AlignedError {
    /// From logits over bins of equal width, 0 to 31 angstroms and one beyond. pTM is that of AlphaFold: the
    /// best alignment's mean of 1 / (1 + (error / d0)^2).
    pub fn from_logits(logits: Vec<f32>, residues: usize) -> Self {
        let width = LAST_EDGE / (PAIR_BINS - 2) as f64;
        let center = |bin: usize| (bin as f64 + 0.5) * width;
        let d0 = 1.24 * (residues.max(19) as f64 - 15.0).cbrt() - 1.8;
        let score = |bin: usize| 1.0 / (1.0 + (center(bin) / d0).powi(2));
        let mut mean = Vec::with_capacity(residues * residues);
        let mut ptm = 0.0f64;
        for aligned in logits.chunks_exact(residues.max(1) * PAIR_BINS) {
            let mut sum = 0.0;
            for logits in aligned.chunks_exact(PAIR_BINS) {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let (mut total, mut error, mut terms) = (0.0, 0.0, 0.0);
                for (bin, &logit) in logits.iter().enumerate() {
                    let share = f64::from(logit - largest).exp();
                    total += share;
                    error += share * center(bin);
                    terms += share * score(bin);
                }
                mean.push((error / total) as f32);
                sum += terms / total;
            }
            ptm = ptm.max(sum / residues as f64);
        }
        Self { logits, mean, ptm: ptm as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_bins_give_their_centers_and_the_best_alignment_its_score() {
        let mut logits = vec![0.0; 4 * PAIR_BINS];
        for (pair, bin) in [0, 63, 1, 0].into_iter().enumerate() {
            logits[pair * PAIR_BINS + bin] = 1000.0;
        }
        let error = AlignedError::from_logits(logits, 2);
        assert_eq!(error.mean, [0.25, 31.75, 0.75, 0.25]);
        let d0 = 1.24 * 4f64.cbrt() - 1.8;
        let score = |error: f64| 1.0 / (1.0 + (error / d0).powi(2));
        assert!((f64::from(error.ptm) - (score(0.75) + score(0.25)) / 2.0).abs() < 1e-6);
    }
}
