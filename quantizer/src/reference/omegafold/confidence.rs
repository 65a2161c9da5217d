//! How sure the model is of each residue, and of a cycle as a whole.

use candle_core::Tensor;

use super::{Weights, plain};
use crate::checkpoint::OmegaFold;
use crate::reference::elementwise::softmax_last;
use crate::reference::esmfold::rigid::{minus, squared_norm};
use crate::reference::ops::{LayerNorm, Linear, with_values};
use crate::reference::{ReferenceError, Tap};

/// Residues whose CAs are nearer than this, in angstroms, are neighbours.
const NEIGHBOURS: f64 = 15.0;

/// Added to squared distances and to counts.
const EPSILON: f64 = 1e-10;

/// The confidence head.
pub struct ConfidenceHead {
    /// On the structure module's last state.
    pub norm: LayerNorm,
    /// With ReLU between.
    pub layers: [Linear; 3],
}

impl ConfidenceHead {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &OmegaFold) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("omega_fold_cycle.confidence_head");
        let linear = |index: usize| weights.linear(&format!("network.{index}"));
        Ok(Self {
            norm: plain(checkpoint.config().structure.sequence_width),
            layers: [linear(0)?, linear(2)?, linear(4)?],
        })
    }

    /// Each residue's confidence, 0 to 1, from `state`, `[residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, state: &Tensor, tap: &mut Tap<'_>) -> Result<Vec<f64>, ReferenceError> {
        let mut tap = tap.at("confidence");
        tap.show("norm", state)?;
        let x = self.norm.forward(state)?;
        let [first, second, third] = &self.layers;
        tap.show("first", &x)?;
        let x = first.forward(&x)?.relu()?;
        tap.show("second", &x)?;
        let x = second.forward(&x)?.relu()?;
        tap.show("third", &x)?;
        let shares = softmax_last(third.forward(&x)?)?;
        let (_, bins) = shares.dims2()?;
        let middle = |bin: usize| (2 * bin + 1) as f64 / (2 * bins) as f64;
        with_values(&shares, |shares| {
            let mean = |row: &[f32]| row.iter().enumerate().map(|(bin, &p)| f64::from(p) * middle(bin)).sum();
            shares.chunks_exact(bins).map(mean).collect()
        })
    }
}

/// The confidence of a cycle: each residue counts as often as it has neighbours. Where none has any it is the
/// sum, which may be above 1. `cas` are positions of CAs, in angstroms.
pub fn overall(confidence: &[f64], cas: &[[f64; 3]]) -> f64 {
    let neighbours = |i: usize| {
        let near =
            |j: &usize| *j != i && (squared_norm(minus(cas[i], cas[*j])) + EPSILON).sqrt() < NEIGHBOURS;
        (0..cas.len()).filter(near).count() as f64
    };
    let counts: Vec<f64> = (0..cas.len()).map(neighbours).collect();
    let sum: f64 = confidence.iter().zip(&counts).map(|(c, count)| c * (count + EPSILON)).sum();
    sum / (EPSILON + counts.iter().sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residues_count_by_their_neighbours() {
        let at = |x: f64| [x, 0.0, 0.0];
        let near = overall(&[0.2, 0.4, 0.9], &[at(0.0), at(10.0), at(20.0)]);
        assert!((near - (0.2 + 2.0 * 0.4 + 0.9) / 4.0).abs() < 1e-9, "{near}");
        let apart = overall(&[0.8, 0.9], &[at(0.0), at(15.1)]);
        assert!((apart - 1.7).abs() < 1e-9, "{apart}");
    }
}
