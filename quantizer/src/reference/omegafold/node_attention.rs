//! Attention of the node representation, within the rows of the pseudo-MSA and within its columns.

use candle_core::{Device, Tensor};

use super::language_model::Rows;
use super::{Weights, plain};
use crate::reference::elementwise::{gated, softmax_last};
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap};

/// What a masked key has added to its logits; see [`super::language_model`].
const NO_KEY: f32 = -1e9;

/// What attends to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// The residues of a row.
    Rows,
    /// The rows of a residue.
    Columns,
}

/// Gated attention of the node representation.
pub struct NodeAttention {
    within: Within,
    heads: usize,
    pub(super) norm: LayerNorm,
    pub(super) q: Linear,
    pub(super) gate: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) output: Linear,
}

impl NodeAttention {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub(super) fn load(weights: &Weights<'_>, heads: usize, within: Within) -> Result<Self, ReferenceError> {
        let [q, gate] = weights.projections("qg", 0)?;
        let [k, v] = weights.projections("kv", 0)?;
        let norm = plain(q.shape()?.1);
        Ok(Self { within, heads, norm, q, gate, k, v, output: weights.attention_output(0)? })
    }

    /// What is added to `node`, `[rows * residues, width]`. `bias` is added to the logits of every row:
    /// `[heads, residues, residues]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        node: &Tensor,
        rows: Rows<'_>,
        bias: Option<&Tensor>,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let (count, residues) = (rows.count(), rows.residues.len());
        let (tokens, width) = node.dims2()?;
        let head_width = width / self.heads;
        let turn = |x: &Tensor, first: usize, second: usize| -> Result<Tensor, ReferenceError> {
            match self.within {
                Within::Rows => Ok(x.clone()),
                Within::Columns => {
                    let turned = x.reshape((first, second, width))?.transpose(0, 1)?;
                    Ok(turned.contiguous()?.reshape((tokens, width))?)
                }
            }
        };
        let node = turn(node, count, residues)?;
        tap.show("norm", &node)?;
        let x = self.norm.forward(&node)?;
        tap.show("projections", &x)?;
        let q = self.q.forward(&x)?.affine(1.0 / (head_width as f64).sqrt(), 0.0)?;
        let (k, v) = (self.k.forward(&x)?, self.v.forward(&x)?);
        let (groups, keys) = match self.within {
            Within::Rows => (count, residues),
            Within::Columns => (residues, count),
        };
        let mut contexts = Vec::with_capacity(groups);
        for group in 0..groups {
            let part = |x: &Tensor| {
                let part = x.narrow(0, group * keys, keys)?;
                part.reshape((keys, self.heads, head_width))?.transpose(0, 1)?.contiguous()
            };
            let mask: Vec<f32> = (0..keys)
                .map(|key| match self.within {
                    Within::Rows => group * residues + key,
                    Within::Columns => key * residues + group,
                })
                .map(|at| if rows.kept[at] { 0.0 } else { NO_KEY })
                .collect();
            let mut logits = part(&q)?.matmul(&part(&k)?.t()?)?;
            if let Some(bias) = bias {
                logits = (logits + bias)?;
            }
            let logits = logits.broadcast_add(&Tensor::from_vec(mask, (1, 1, keys), &Device::Cpu)?)?;
            let weights = softmax_last(logits)?;
            contexts.push(weights.matmul(&part(&v)?)?.transpose(0, 1)?.reshape((keys, width))?);
        }
        let y = gated(Tensor::cat(&contexts, 0)?, &self.gate.forward(&x)?)?;
        tap.show("output", &y)?;
        turn(&self.output.forward(&y)?, residues, count)
    }
}
