//! One transformer layer.

use candle_core::Tensor;

use super::ReferenceError;
use super::attention::{Rotary, attend};
use super::observer::{Site, Tap};
use super::ops::{LayerNorm, Linear};
use crate::checkpoint::{Checkpoint, layer_prefix};

/// The weights of one layer. Fields are named as in a model file.
pub struct Layer {
    /// Number of this layer.
    pub index: usize,
    /// Attention heads.
    pub heads: usize,
    /// Before attention.
    pub attention_norm: LayerNorm,
    /// Queries, keys and values: `[3 * width, width]`.
    pub qkv: Linear,
    /// `[width, width]`.
    pub output: Linear,
    /// Before the feed-forward network.
    pub ffn_norm: LayerNorm,
    /// `[ffn, width]`.
    pub up: Linear,
    /// `[width, ffn]`.
    pub down: Linear,
}

impl Layer {
    /// Reads the weights of layer `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, index: usize) -> Result<Self, ReferenceError> {
        let prefix = layer_prefix(index);
        let projections = ["query", "key", "value"].map(|name| format!("{prefix}.attention.self.{name}"));
        Ok(Self {
            index,
            heads: checkpoint.config().heads,
            attention_norm: Self::load_attention_norm(checkpoint, index)?,
            qkv: Linear::load_joined(checkpoint, &projections)?,
            output: Linear::load(checkpoint, &format!("{prefix}.attention.output.dense"))?,
            ffn_norm: LayerNorm::load(checkpoint, &format!("{prefix}.LayerNorm"))?,
            up: Linear::load(checkpoint, &format!("{prefix}.intermediate.dense"))?,
            down: Linear::load(checkpoint, &format!("{prefix}.output.dense"))?,
        })
    }

    /// Reads only the LayerNorm before the attention of layer `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load_attention_norm(checkpoint: &Checkpoint, index: usize) -> Result<LayerNorm, ReferenceError> {
        LayerNorm::load(checkpoint, &format!("{}.attention.LayerNorm", layer_prefix(index)))
    }

    /// `x` is the residual stream, `[tokens, width]`; returns it after this layer. `tap` sees every [`Site`] of the layer
    /// but the residual that comes in; `map` is called with each head and its attention weights `[tokens, tokens]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        tap: &mut Tap<'_>,
        map: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Tensor, ReferenceError> {
        let layer = self.index;
        let y = self.attention_norm.forward(x)?;
        tap.show(Site::AttentionQkv(layer), &y)?;
        let y = attend(&self.qkv.forward(&y)?, self.heads, rotary, map)?;
        tap.show(Site::AttentionOutput(layer), &y)?;
        let x = (x + self.output.forward(&y)?)?;
        let y = self.ffn_norm.forward(&x)?;
        tap.show(Site::FfnUp(layer), &y)?;
        let y = self.up.forward(&y)?.gelu_erf()?;
        tap.show(Site::FfnDown(layer), &y)?;
        let x = (x + self.down.forward(&y)?)?;
        tap.show(Site::Residual(layer + 1), &x)?;
        Ok(x)
    }
}
