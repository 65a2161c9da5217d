//! The operations that folding needs besides those of the language model.

use candle_core::{Device, Tensor};

use crate::checkpoint::Checkpoint;
use crate::reference::ReferenceError;
use crate::reference::attention::softmax;
use crate::reference::ops::{LayerNorm, Linear, load_weight, with_values};

/// What every LayerNorm of the folding model adds to the variance: PyTorch's default.
const LAYER_NORM_EPS: f64 = 1e-5;

/// Loads LayerNorm `name` of the folding model.
pub fn load_norm(checkpoint: &Checkpoint, name: &str) -> Result<LayerNorm, ReferenceError> {
    Ok(LayerNorm { eps: LAYER_NORM_EPS, ..LayerNorm::load(checkpoint, name)? })
}

/// Loads a Linear that has no bias.
pub fn load_matrix(checkpoint: &Checkpoint, name: &str) -> Result<Linear, ReferenceError> {
    let weight = load_weight(checkpoint, &format!("{name}.weight"))?;
    let bias = Tensor::zeros(weight.dims2()?.0, weight.dtype(), &Device::Cpu)?;
    Ok(Linear { weight, bias })
}

/// `x * sigmoid(gate)`, value by value.
pub fn gated(x: &Tensor, gate: &Tensor) -> Result<Tensor, ReferenceError> {
    Ok((x * gate.neg()?.exp()?.affine(1.0, 1.0)?.recip()?)?)
}

/// Softmax over the last dimension.
pub fn softmax_last(logits: &Tensor) -> Result<Tensor, ReferenceError> {
    let shape = logits.shape().clone();
    let width = shape.dims().last().copied().unwrap_or(1).max(1);
    let mut values = with_values(logits, <[f32]>::to_vec)?;
    values.chunks_exact_mut(width).for_each(softmax);
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// The rows of `table` with these numbers: `[rows, width]`.
pub fn lookup(table: &Tensor, rows: &[u32]) -> Result<Tensor, ReferenceError> {
    Ok(table.index_select(&Tensor::from_slice(rows, rows.len(), &Device::Cpu)?, 0)?)
}
