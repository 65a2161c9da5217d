//! What the pair representation adds to the attention logits over the sequence.

use candle_core::Tensor;

use super::ops::{load_matrix, load_norm};
use super::site::FoldTap;
use crate::checkpoint::Checkpoint;
use crate::reference::ReferenceError;
use crate::reference::ops::{LayerNorm, Linear};

/// Pair to sequence.
pub struct PairBias {
    /// On the pair representation.
    pub norm: LayerNorm,
    /// `[heads, pair width]`, without bias.
    pub linear: Linear,
}

impl PairBias {
    /// Reads the weights below `prefix`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, prefix: &str) -> Result<Self, ReferenceError> {
        Ok(Self {
            norm: load_norm(checkpoint, &format!("{prefix}.layernorm"))?,
            linear: load_matrix(checkpoint, &format!("{prefix}.linear"))?,
        })
    }

    /// `pair` is `[residues * residues, pair width]`; returns `[heads, residues, residues]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        pair: &Tensor,
        residues: usize,
        tap: &mut FoldTap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        tap.show("norm", pair)?;
        let y = self.norm.forward(pair)?;
        tap.show("linear", &y)?;
        let y = self.linear.forward(&y)?;
        Ok(y.t()?.contiguous()?.reshape(((), residues, residues))?)
    }
}
