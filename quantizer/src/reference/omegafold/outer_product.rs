//! Node to pair: the mean over the pseudo-MSA of the products of two residues' channels.

use candle_core::{Device, Tensor};

use super::language_model::Rows;
use super::{Weights, plain};
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap};

/// Added to the number of rows that two residues have in common.
const COUNT_EPSILON: f32 = 1e-3;

/// The outer product.
pub struct OuterProduct {
    pub(super) norm: LayerNorm,
    /// Left and right side, one after the other: `[2 * channels, node width]`.
    pub(super) projection: Linear,
    /// `[pair width, channels * channels]`; inputs are products, the right side's channel fastest.
    pub(super) output: Linear,
}

impl OuterProduct {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        let projection = weights.linear("input_proj")?;
        let weight = weights.tensor("out_weights")?;
        let (left, right, pair) = weight.dims3()?;
        let weight = weight.reshape((left * right, pair))?.t()?.contiguous()?;
        let output = Linear { weight, bias: weights.tensor("out_bias")? };
        Ok(Self { norm: plain(projection.shape()?.1), projection, output })
    }

    /// The matrix from a right side to what a left side and it add to a pair, as what is made of the left
    /// side: `[channels * pair width, channels]`, outputs from one channel of the right side together.
    ///
    /// # Errors
    /// The weights are misshapen.
    pub(super) fn matrices(&self) -> Result<Linear, ReferenceError> {
        let (outputs, channels) = (self.output.shape()?.0, self.projection.shape()?.0 / 2);
        let weight = self.output.weight.reshape((outputs, channels, channels))?.permute((2, 0, 1))?;
        let weight = weight.contiguous()?.reshape((channels * outputs, channels))?;
        let bias = Tensor::zeros(channels * outputs, weight.dtype(), &Device::Cpu)?;
        Ok(Linear { weight, bias })
    }

    /// What is added to the pairs, `[residues * residues, pair width]`, from `node`,
    /// `[rows * residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        node: &Tensor,
        rows: Rows<'_>,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let (count, residues) = (rows.count(), rows.residues.len());
        tap.show("norm", node)?;
        let x = self.norm.forward(node)?;
        tap.show("projection", &x)?;
        let kept: Vec<f32> = rows.kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
        let mask = Tensor::from_vec(kept, (count * residues, 1), &Device::Cpu)?;
        let x = self.projection.forward(&x)?.broadcast_mul(&mask)?;
        let channels = x.dims2()?.1 / 2;
        tap.show("weights", &x.narrow(1, 0, channels)?)?;
        // [residues, channels, rows] each.
        let side = |index: usize| -> Result<Tensor, ReferenceError> {
            let side = x.narrow(1, index * channels, channels)?.reshape((count, residues, channels))?;
            Ok(side.permute((1, 2, 0))?.contiguous()?)
        };
        let (left, right) = (side(0)?, side(1)?);
        let right = right.reshape((residues * channels, count))?.t()?.contiguous()?;
        let mask = mask.reshape((count, residues))?;
        // The bias is divided, too.
        let common = (mask.t()?.matmul(&mask)? + f64::from(COUNT_EPSILON))?;
        let mut pairs = Vec::with_capacity(residues);
        for i in 0..residues {
            let products = left.narrow(0, i, 1)?.squeeze(0)?.matmul(&right)?;
            let products = products.reshape((channels, residues, channels))?.transpose(0, 1)?.contiguous()?;
            let y = self.output.forward(&products.reshape((residues, channels * channels))?)?;
            pairs.push(y.broadcast_div(&common.narrow(0, i, 1)?.reshape((residues, 1))?)?);
        }
        Ok(Tensor::cat(&pairs, 0)?)
    }
}
