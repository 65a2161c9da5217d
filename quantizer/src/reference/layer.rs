//! One transformer layer.

use candle_core::Tensor;

use super::ReferenceError;
use super::attention::{Map, Rotary, attend};
use super::elementwise::gelu;
use super::observer::Tap;
use super::ops::{LayerNorm, Linear, add};
use super::weights::Weights;
use crate::checkpoint::Checkpoint;

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
        let weights = Weights::new(checkpoint).at(format_args!("lm.layers.{index}"));
        let qkv: [Linear; 3] = weights.linears("attention.qkv")?;
        Ok(Self {
            index,
            heads: checkpoint.config().heads,
            attention_norm: weights.norm("attention.norm")?,
            qkv: Linear::join(&qkv)?,
            output: weights.linear("attention.output")?,
            ffn_norm: weights.norm("ffn.norm")?,
            up: weights.linear("ffn.up")?,
            down: weights.linear("ffn.down")?,
        })
    }

    /// `x` is the residual stream of some sequences, one after another, `[tokens, width]`, of which each has
    /// as many as `lengths` says; returns it after this layer. `tap` sees what every LayerNorm and Linear
    /// reads; `map` is called with each sequence's number in `lengths`, each head, one after another, and its
    /// attention weights `[tokens, tokens]`; with several sequences at the same time.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        x: &Tensor,
        lengths: &[usize],
        rotary: &Rotary,
        tap: &mut Tap<'_>,
        map: &Map<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let mut tap = tap.at(format_args!("layers.{}", self.index));
        tap.show("attention.norm", x)?;
        let y = self.attention_norm.forward(x)?;
        tap.show("attention.qkv", &y)?;
        let y = attend(&self.qkv.forward(&y)?, lengths, self.heads, rotary, map)?;
        tap.show("attention.output", &y)?;
        let x = add(x, self.output.forward(&y)?)?;
        tap.show("ffn.norm", &x)?;
        let y = self.ffn_norm.forward(&x)?;
        tap.show("ffn.up", &y)?;
        let y = gelu(self.up.forward(&y)?)?;
        tap.show("ffn.down", &y)?;
        add(&x, self.down.forward(&y)?)
    }
}
