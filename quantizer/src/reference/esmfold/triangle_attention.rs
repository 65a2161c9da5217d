//! Triangle attention: the pairs of one row, or one column, attend to each other.

use candle_core::Tensor;

use crate::reference::elementwise::{gated, softmax_last};
use crate::reference::ops::{LayerNorm, Linear, add};
use crate::reference::{ReferenceError, Tap, Weights};

/// Which pairs attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Those with the same first residue: rows.
    Starting,
    /// Those with the same second residue: columns.
    Ending,
}

/// Triangle attention of a trunk block.
pub struct TriangleAttention {
    /// Which pairs attend to each other.
    pub node: Node,
    /// Attention heads.
    pub heads: usize,
    /// On the pair representation.
    pub norm: LayerNorm,
    /// Added to the logits: `[heads, width]`, without bias.
    pub bias: Linear,
    /// Queries of all heads: `[width, width]`, without bias.
    pub q: Linear,
    /// Keys of all heads: `[width, width]`, without bias.
    pub k: Linear,
    /// Values of all heads: `[width, width]`, without bias.
    pub v: Linear,
    /// `[width, width]`, before sigmoid.
    pub gate: Linear,
    /// `[width, width]`.
    pub output: Linear,
}

impl TriangleAttention {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>, heads: usize, node: Node) -> Result<Self, ReferenceError> {
        let [q, k, v, gate] = weights.linears("projections")?;
        let (norm, bias, output) =
            (weights.norm("norm")?, weights.linear("bias")?, weights.linear("output")?);
        Ok(Self { node, heads, norm, bias, q, k, v, gate, output })
    }

    /// What is added to `pair`, `[residues * residues, width]`. At an ending node, all sites see pair (i, j)
    /// in row (j, i).
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        pair: &Tensor,
        residues: usize,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let (pairs, width) = pair.dims2()?;
        let turn = |x: &Tensor| -> Result<Tensor, ReferenceError> {
            match self.node {
                Node::Starting => Ok(x.clone()),
                Node::Ending => {
                    let turned = x.reshape((residues, residues, width))?.transpose(0, 1)?;
                    Ok(turned.contiguous()?.reshape((pairs, width))?)
                }
            }
        };
        let pair = turn(pair)?;
        tap.show("norm", &pair)?;
        let x = self.norm.forward(&pair)?;
        tap.show("projections", &x)?;
        // [heads, queries, keys], the same for every row.
        let bias = self.bias.forward(&x)?.t()?.contiguous()?.reshape((self.heads, residues, residues))?;
        let head_width = width / self.heads;
        let q = self.q.forward(&x)?.affine(1.0 / (head_width as f64).sqrt(), 0.0)?;
        let (k, v) = (self.k.forward(&x)?, self.v.forward(&x)?);
        let mut rows = Vec::with_capacity(residues);
        for row in 0..residues {
            let part = |x: &Tensor| {
                let part = x.narrow(0, row * residues, residues)?;
                part.reshape((residues, self.heads, head_width))?.transpose(0, 1)?.contiguous()
            };
            let weights = softmax_last(add(&bias, part(&q)?.matmul(&part(&k)?.t()?)?)?)?;
            rows.push(weights.matmul(&part(&v)?)?.transpose(0, 1)?.reshape((residues, width))?);
        }
        let y = gated(Tensor::cat(&rows, 0)?, &self.gate.forward(&x)?)?;
        tap.show("output", &y)?;
        turn(&self.output.forward(&y)?)
    }
}
