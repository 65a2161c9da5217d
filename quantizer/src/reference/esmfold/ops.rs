//! The operations that folding needs besides those of the language model.

use candle_core::{Device, Tensor};

use crate::reference::ReferenceError;
use crate::reference::attention::softmax;
use crate::reference::ops::with_values;

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
