//! Self-attention over the sequence, biased by the pair representation and gated.

use candle_core::Tensor;

use super::ops::{gated, load_matrix, load_norm, softmax_last};
use super::site::FoldTap;
use crate::checkpoint::Checkpoint;
use crate::reference::ReferenceError;
use crate::reference::ops::{LayerNorm, Linear};

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
    /// Reads the weights of the block with `prefix`. Checkpoints keep q, k and v of each head together; here, as in the
    /// language model, come the queries of all heads first.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, prefix: &str, heads: usize) -> Result<Self, ReferenceError> {
        let joined = load_matrix(checkpoint, &format!("{prefix}.seq_attention.proj"))?;
        let (outputs, width) = joined.shape()?;
        let weight = joined.weight.reshape((heads, 3, width / heads, width))?;
        let weight = weight.transpose(0, 1)?.contiguous()?.reshape((outputs, width))?;
        Ok(Self {
            heads,
            norm: load_norm(checkpoint, &format!("{prefix}.layernorm_1"))?,
            qkv: Linear { weight, bias: joined.bias },
            gate: Linear::load(checkpoint, &format!("{prefix}.seq_attention.g_proj"))?,
            output: Linear::load(checkpoint, &format!("{prefix}.seq_attention.o_proj"))?,
        })
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
        tap: &mut FoldTap<'_>,
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
        let weights = softmax_last(&(q.matmul(&k.t()?)? + bias)?)?;
        let y = weights.matmul(&v)?.transpose(0, 1)?.reshape((residues, width))?;
        let y = gated(&y, &self.gate.forward(&x)?)?;
        tap.show("output", &y)?;
        self.output.forward(&y)
    }
}
