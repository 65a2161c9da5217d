//! Lets calibration see the values inside a forward pass.

use std::fmt;

use candle_core::Tensor;

use super::ReferenceError;
use super::ops::with_values;

/// A place in the network whose values are quantized: what a Linear or a LayerNorm reads. `Display` gives the prefix of
/// the tensor names that belong to it in a model file (`lm.layers.3.ffn.up`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// The residual stream where it is stored: 0 after the embedding, i + 1 after layer i. Channels: width.
    Residual(usize),
    /// Input of q, k and v in this layer, after LayerNorm. Channels: width.
    AttentionQkv(usize),
    /// Input of the attention's output projection in this layer. Channels: width.
    AttentionOutput(usize),
    /// Input of the feed-forward network's first Linear in this layer, after LayerNorm. Channels: width.
    FfnUp(usize),
    /// Input of the feed-forward network's second Linear in this layer, after GELU. Channels: ffn.
    FfnDown(usize),
    /// Input of the language-model head, which is the output of the final LayerNorm. Channels: width.
    HeadDense,
    /// Input of the language-model head's LayerNorm, after GELU. Channels: width.
    HeadNorm,
    /// Input of the language-model head's decoder. Channels: width.
    HeadDecoder,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Residual(index) => write!(f, "lm.residual.{index}"),
            Self::AttentionQkv(layer) => write!(f, "lm.layers.{layer}.attention.qkv"),
            Self::AttentionOutput(layer) => write!(f, "lm.layers.{layer}.attention.output"),
            Self::FfnUp(layer) => write!(f, "lm.layers.{layer}.ffn.up"),
            Self::FfnDown(layer) => write!(f, "lm.layers.{layer}.ffn.down"),
            Self::HeadDense => f.write_str("lm.head.dense"),
            Self::HeadNorm => f.write_str("lm.head.norm"),
            Self::HeadDecoder => f.write_str("lm.head.decoder"),
        }
    }
}

/// Is shown the values at every [`Site`] of a forward pass. The unit type looks at nothing.
pub trait Observer {
    /// Whether [`Observer::values`] shall be called for `site`.
    fn wants(&self, site: Site) -> bool;

    /// Receives `values` at `site` for one sequence of the batch: `[tokens, channels]`, row-major, `<cls>` and `<eos>`
    /// included.
    fn values(&mut self, sequence: usize, site: Site, values: &[f32], channels: usize);

    /// Is called after each layer of each sequence, layer by layer.
    fn layer_done(&mut self, _layer: usize, _sequence: usize) {}
}

impl Observer for () {
    fn wants(&self, _site: Site) -> bool {
        false
    }

    fn values(&mut self, _sequence: usize, _site: Site, _values: &[f32], _channels: usize) {}
}

/// An observer looking at one sequence.
pub struct Tap<'a> {
    observer: &'a mut dyn Observer,
    sequence: usize,
}

impl<'a> Tap<'a> {
    /// Shows `observer` the values of sequence number `sequence`.
    pub fn new(observer: &'a mut dyn Observer, sequence: usize) -> Self {
        Self { observer, sequence }
    }

    /// Shows the values of `tensor` (`[tokens, channels]`) at `site`.
    pub(super) fn show(&mut self, site: Site, tensor: &Tensor) -> Result<(), ReferenceError> {
        if !self.observer.wants(site) {
            return Ok(());
        }
        let (_, channels) = tensor.dims2()?;
        with_values(tensor, |values| self.observer.values(self.sequence, site, values, channels))
    }
}
