//! Weights by their names in the original, in the layout of the operations here.

use candle_core::{Device, Tensor};

use super::EPSILON;
use crate::checkpoint::OmegaFold;
use crate::reference::ReferenceError;
use crate::reference::ops::{LayerNorm, Linear};

/// A module of a checkpoint.
#[derive(Clone)]
pub struct Weights<'c> {
    checkpoint: &'c OmegaFold,
    /// What the names of its tensors begin with, with the dot.
    prefix: String,
}

impl<'c> Weights<'c> {
    /// All of `checkpoint`.
    pub fn new(checkpoint: &'c OmegaFold) -> Self {
        Self { checkpoint, prefix: String::new() }
    }

    /// The module below `part`.
    pub fn at(&self, part: impl std::fmt::Display) -> Self {
        Self { checkpoint: self.checkpoint, prefix: format!("{}{part}.", self.prefix) }
    }

    /// The values of a tensor.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, ReferenceError> {
        Ok(self.checkpoint.read(&format!("{}{name}", self.prefix))?)
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor, ReferenceError> {
        let shape = self.checkpoint.shape(&format!("{}{name}", self.prefix)).unwrap_or_default();
        Ok(Tensor::from_vec(self.values(name)?, shape, &Device::Cpu)?)
    }

    /// A Linear with bias.
    pub fn linear(&self, name: &str) -> Result<Linear, ReferenceError> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: self.tensor(&format!("{name}.bias"))?,
        })
    }

    /// A LayerNorm.
    pub fn norm(&self, name: &str) -> Result<LayerNorm, ReferenceError> {
        let values = |part: &str| self.values(&format!("{name}.{part}"));
        Ok(LayerNorm { gain: values("weight")?, bias: values("bias")?, eps: EPSILON })
    }

    /// The halves of a projection of gated attention, `qg` or `kv`: `[inputs, axes, heads, 2 * channels]`,
    /// within a head the channels of the one and then those of the other.
    pub fn projections(&self, name: &str, axis: usize) -> Result<[Linear; 2], ReferenceError> {
        let weight = self.tensor(&format!("{name}_weights"))?.narrow(1, axis, 1)?.squeeze(1)?;
        let bias = self.tensor(&format!("{name}_bias"))?.narrow(0, axis, 1)?.squeeze(0)?.squeeze(1)?;
        let (inputs, heads, channels) = weight.dims3()?;
        let half = |index: usize| -> Result<Linear, ReferenceError> {
            let part =
                |x: &Tensor, dimension| x.narrow(dimension, index * channels / 2, channels / 2)?.contiguous();
            let weight = part(&weight, 2)?.reshape((inputs, heads * channels / 2))?;
            Ok(Linear { weight: weight.t()?.contiguous()?, bias: part(&bias, 1)?.flatten_all()? })
        };
        Ok([half(0)?, half(1)?])
    }

    /// The output Linear of gated attention: `[axes, heads, channels, outputs]`, its bias `[outputs, axes]`.
    pub fn attention_output(&self, axis: usize) -> Result<Linear, ReferenceError> {
        let weight = self.tensor("o_weights")?.narrow(0, axis, 1)?.squeeze(0)?;
        let (_, _, outputs) = weight.dims3()?;
        let weight = weight.reshape(((), outputs))?.t()?.contiguous()?;
        Ok(Linear { weight, bias: self.tensor("o_bias")?.narrow(1, axis, 1)?.squeeze(1)?.contiguous()? })
    }
}

/// The outputs `rows` of `linear`, in their order.
pub fn outputs(linear: &Linear, rows: &[usize]) -> Result<Linear, ReferenceError> {
    let rows = numbers(rows)?;
    Ok(Linear { weight: linear.weight.index_select(&rows, 0)?, bias: linear.bias.index_select(&rows, 0)? })
}

/// `linear` with its inputs `columns`, in their order.
pub fn inputs(linear: &Linear, columns: &[usize]) -> Result<Linear, ReferenceError> {
    let weight = linear.weight.index_select(&numbers(columns)?, 1)?.contiguous()?;
    Ok(Linear { weight, bias: linear.bias.clone() })
}

fn numbers(numbers: &[usize]) -> Result<Tensor, ReferenceError> {
    let numbers: Vec<u32> = numbers.iter().map(|&number| number as u32).collect();
    Ok(Tensor::from_slice(&numbers, numbers.len(), &Device::Cpu)?)
}
