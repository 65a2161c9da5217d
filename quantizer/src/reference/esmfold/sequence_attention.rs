//! Self-attention over the sequence, biased by the pair representation and gated.

use candle_core::Tensor;

use crate::reference::elementwise::{gated, softmax_last};
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

/// Sequence attention of a trunk block.
pub struct SequenceAttention {
    /// Attention heads.
    pub heads: usize,
    /// On the sequence representation.
    pub norm: LayerNorm,
    /// Queries, keys and values of all heads, one after the other: `[3 * width, width]`, without bias.
    pub qkv: Linear,
    /// `[width, width]`, before sigmoid.
    pub gate: Linear,
    /// `[width, width]`.
    pub output: Linear,
}

impl SequenceAttention {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>, heads: usize) -> Result<Self, ReferenceError> {
        let [qkv, gate] = weights.linears("projections")?;
        Ok(Self { heads, norm: weights.norm("norm")?, qkv, gate, output: weights.linear("output")? })
    }

    /// What is added to the sequence representation `sequence`, `[residues, width]`. `bias` is
    /// `[heads, residues, residues]`, queries first.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        bias: &Tensor,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let (residues, width) = sequence.dims2()?;
        let head_width = width / self.heads;
        tap.show("norm", sequence)?;
        let x = self.norm.forward(sequence)?;
        tap.show("projections", &x)?;
        let qkv = self.qkv.forward(&x)?;
        let part = |index: usize| {
            let part = qkv.narrow(1, index * width, width)?.reshape((residues, self.heads, head_width))?;
            part.transpose(0, 1)?.contiguous()
        };
        let (q, k, v) = (part(0)?.affine(1.0 / (head_width as f64).sqrt(), 0.0)?, part(1)?, part(2)?);
        let weights = softmax_last((q.matmul(&k.t()?)? + bias)?)?;
        let y = weights.matmul(&v)?.transpose(0, 1)?.reshape((residues, width))?;
        let y = gated(y, &self.gate.forward(&x)?)?;
        tap.show("output", &y)?;
        self.output.forward(&y)
    }
}
