//! Geometric attention: triangle attention and triangle multiplication, along rows and along columns, all
//! from the same pairs.

use candle_core::Tensor;

use super::{Weights, plain};
use crate::reference::esmfold::triangle_attention::{Node, TriangleAttention};
use crate::reference::esmfold::triangle_multiplication::{Direction, TriangleMultiplication};
use crate::reference::ops::Linear;
use crate::reference::{ReferenceError, Tap};

/// A layer of geometric attention.
pub struct GeometricAttention {
    /// At the starting node and at the ending node.
    pub attention: [TriangleAttention; 2],
    /// Of the pairs, and of the transposed pairs. The second isn't AlphaFold's of incoming edges: its gate is
    /// the one of the mirrored pair.
    pub product: [TriangleMultiplication; 2],
}

impl GeometricAttention {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub(super) fn load(weights: &Weights<'_>, heads: usize) -> Result<Self, ReferenceError> {
        let attention = |axis: usize, node: Node| attention(weights, heads, axis, node);
        Ok(Self {
            attention: [attention(0, Node::Starting)?, attention(1, Node::Ending)?],
            product: [product(weights, 0)?, product(weights, 1)?],
        })
    }

    /// `pair`, `[residues * residues, width]`, after this layer. Its sums, at `sum`, are shown one after
    /// another, from `pair` itself on: a row of them is what is held meanwhile.
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
        let turned = pair.reshape((residues, residues, width))?.transpose(0, 1)?.contiguous()?;
        let turned = turned.reshape((pairs, width))?;
        let [start, end] = &self.attention;
        let [product, product_turned] = &self.product;
        let mut sum = pair.clone();
        tap.show("sum", &sum)?;
        let mut add = |part: Tensor, tap: &mut Tap<'_>| -> Result<(), ReferenceError> {
            sum = (&sum + part)?;
            tap.show("sum", &sum)
        };
        add(start.forward(pair, residues, &mut tap.at("attention_start"))?, tap)?;
        add(product.forward(pair, residues, &mut tap.at("product"))?, tap)?;
        add(product_turned.forward(&turned, residues, &mut tap.at("product_turned"))?, tap)?;
        add(end.forward(pair, residues, &mut tap.at("attention_end"))?, tap)?;
        Ok(sum)
    }
}

fn attention(
    weights: &Weights<'_>,
    heads: usize,
    axis: usize,
    node: Node,
) -> Result<TriangleAttention, ReferenceError> {
    let bias = Linear {
        weight: weights.tensor("linear_b_weights")?.narrow(1, axis, 1)?.squeeze(1)?.t()?.contiguous()?,
        bias: weights.tensor("linear_b_bias")?.narrow(0, axis, 1)?.flatten_all()?,
    };
    let weights = weights.at("attention");
    let [q, gate] = weights.projections("qg", axis)?;
    let [k, v] = weights.projections("kv", axis)?;
    let (norm, output) = (plain(q.shape()?.1), weights.attention_output(axis)?);
    Ok(TriangleAttention { node, heads, norm, bias, q, k, v, gate, output })
}

fn product(weights: &Weights<'_>, axis: usize) -> Result<TriangleMultiplication, ReferenceError> {
    let weight = weights.tensor("act_w")?.narrow(1, axis, 1)?.squeeze(1)?.t()?.contiguous()?;
    let bias = weights.tensor("act_b")?.narrow(0, axis, 1)?.squeeze(0)?;
    let width = weight.dims2()?.1;
    let part = |index: usize| -> Result<Linear, ReferenceError> {
        let part = |x: &Tensor| x.narrow(0, index * width, width)?.contiguous();
        Ok(Linear { weight: part(&weight)?, bias: part(&bias)? })
    };
    let output = weights.tensor("out_proj_w")?.narrow(0, axis, 1)?.squeeze(0)?;
    Ok(TriangleMultiplication {
        direction: Direction::Outgoing,
        norm_in: plain(width),
        a: part(0)?,
        b: part(1)?,
        a_gate: part(2)?,
        b_gate: part(3)?,
        gate: part(4)?,
        norm_out: plain(width),
        output: Linear {
            weight: output.t()?.contiguous()?,
            bias: weights.tensor("out_proj_b")?.narrow(0, axis, 1)?.squeeze(0)?.contiguous()?,
        },
    })
}
