//! Logits over the alphabet for every token.

use candle_core::Tensor;

use super::ReferenceError;
use super::elementwise::gelu;
use super::observer::Tap;
use super::ops::{LayerNorm, Linear};
use super::weights::Weights;
use crate::checkpoint::Checkpoint;

/// The language-model head. Fields are named as in a model file.
pub struct LmHead {
    /// `[width, width]`.
    pub dense: Linear,
    /// After GELU.
    pub norm: LayerNorm,
    /// `[vocab, width]`; the embedding unless the checkpoint has another.
    pub decoder: Linear,
}

impl LmHead {
    /// Reads the head.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ReferenceError> {
        if !checkpoint.has_lm_head() {
            return Err(ReferenceError::NoLmHead(checkpoint.path().display().to_string()));
        }
        let weights = Weights::new(checkpoint).at("lm.head");
        Ok(Self {
            dense: weights.linear("dense")?,
            norm: weights.norm("norm")?,
            decoder: weights.linear("decoder")?,
        })
    }

    /// `hidden` is the output of the final LayerNorm, `[tokens, width]`; returns `[tokens, vocab]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, hidden: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor, ReferenceError> {
        let mut tap = tap.at("head");
        tap.show("dense", hidden)?;
        let y = gelu(self.dense.forward(hidden)?)?;
        tap.show("norm", &y)?;
        let y = self.norm.forward(&y)?;
        tap.show("decoder", &y)?;
        self.decoder.forward(&y)
    }
}
