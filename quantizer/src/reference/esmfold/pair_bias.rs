//! What the pair representation adds to the attention logits over the sequence.

use candle_core::Tensor;

use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

/// Pair to sequence.
pub struct PairBias {
    /// On the pair representation.
    pub norm: LayerNorm,
    /// `[heads, pair width]`, without bias.
    pub linear: Linear,
}

impl PairBias {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        Ok(Self { norm: weights.norm("norm")?, linear: weights.linear("linear")? })
    }

    /// `pair` is `[residues * residues, pair width]`; returns `[heads, residues, residues]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        pair: &Tensor,
        residues: usize,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        tap.show("norm", pair)?;
        let y = self.norm.forward(pair)?;
        tap.show("linear", &y)?;
        let y = self.linear.forward(&y)?;
        Ok(y.t()?.contiguous()?.reshape(((), residues, residues))?)
    }
}
