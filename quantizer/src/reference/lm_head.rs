//! Logits over the alphabet for every token.

use candle_core::Tensor;

use super::ReferenceError;
use super::observer::{Site, Tap};
use super::ops::{LayerNorm, Linear, load, load_weight};
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
        let own = "lm_head.decoder.weight";
        let decoder = if checkpoint.contains(own) { own } else { "embeddings.word_embeddings.weight" };
        Ok(Self {
            dense: Linear::load(checkpoint, "lm_head.dense")?,
            norm: LayerNorm::load(checkpoint, "lm_head.layer_norm")?,
            decoder: Linear {
                weight: load_weight(checkpoint, decoder)?,
                bias: load(checkpoint, "lm_head.bias")?,
            },
        })
    }

    /// `hidden` is the output of the final LayerNorm, `[tokens, width]`; returns `[tokens, vocab]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, hidden: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor, ReferenceError> {
        tap.show(Site::HeadDense, hidden)?;
        let y = self.dense.forward(hidden)?.gelu_erf()?;
        tap.show(Site::HeadNorm, &y)?;
        let y = self.norm.forward(&y)?;
        tap.show(Site::HeadDecoder, &y)?;
        self.decoder.forward(&y)
    }
}
