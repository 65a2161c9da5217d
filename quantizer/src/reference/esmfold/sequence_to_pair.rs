//! What the sequence representation adds to the pair representation.

use candle_core::Tensor;

use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

/// Sequence to pair.
pub struct SequenceToPair {
    /// On the sequence representation.
    pub norm: LayerNorm,
    /// `[pair width, sequence width]`: q, then k, each of half the pair width.
    pub projection: Linear,
    /// `[pair width, pair width]`: reads the products, then the differences.
    pub output: Linear,
}

impl SequenceToPair {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        Ok(Self {
            norm: weights.norm("norm")?,
            projection: weights.linear("projection")?,
            output: weights.linear("output")?,
        })
    }

    /// What is added to the pair representation, `[residues * residues, pair width]`: for the pair (i, j)
    /// from q of j and k of i. `sequence` is `[residues, sequence width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, sequence: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor, ReferenceError> {
        tap.show("norm", sequence)?;
        let y = self.norm.forward(sequence)?;
        tap.show("projection", &y)?;
        let y = self.projection.forward(&y)?;
        let (residues, width) = y.dims2()?;
        let q = y.narrow(1, 0, width / 2)?.unsqueeze(0)?;
        let k = y.narrow(1, width / 2, width / 2)?.unsqueeze(1)?;
        let pairs = Tensor::cat(&[q.broadcast_mul(&k)?, q.broadcast_sub(&k)?], 2)?;
        let pairs = pairs.reshape((residues * residues, width))?;
        tap.show("output", &pairs)?;
        self.output.forward(&pairs)
    }
}
