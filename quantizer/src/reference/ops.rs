//! The operations that layers and heads are made of.

use std::borrow::Borrow;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Storage, Tensor};
use rayon::prelude::*;

use super::ReferenceError;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::vectorised::vectorised;

/// Values that a thread takes at a time.
pub(super) const CHUNK: usize = 1 << 14;

/// A matrix of weights and a bias per output channel. Clones share both.
#[derive(Clone)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

impl Linear {
    /// Loads `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, name: &str) -> Result<Self, ReferenceError> {
        Self::of_tensors(checkpoint, &format!("{name}.weight"), &format!("{name}.bias"))
    }

    /// Weights and biases of zero: what products cost can be measured on it.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn zeros(outputs: usize, inputs: usize) -> Result<Self, ReferenceError> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
        Ok(Self { weight: zeros(&[outputs, inputs])?, bias: zeros(&[outputs])? })
    }

    /// Loads `name.weight`; there is no bias.
    ///
    /// # Errors
    /// The tensor can't be read.
    pub fn load_matrix(checkpoint: &Checkpoint, name: &str) -> Result<Self, ReferenceError> {
        let weight = load_weight(checkpoint, &format!("{name}.weight"))?;
        let bias = Tensor::zeros(weight.dims2()?.0, weight.dtype(), &Device::Cpu)?;
        Ok(Self { weight, bias })
    }

    /// Loads the tensors `weight` and `bias`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn of_tensors(checkpoint: &Checkpoint, weight: &str, bias: &str) -> Result<Self, ReferenceError> {
        Ok(Self { weight: load_weight(checkpoint, weight)?, bias: load(checkpoint, bias)? })
    }

    /// Several Linears that read the same input as one, their outputs one after the other.
    ///
    /// # Errors
    /// They don't read the same number of channels.
    pub fn join<L: Borrow<Self>>(parts: &[L]) -> Result<Self, ReferenceError> {
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.borrow().weight).collect();
        let biases: Vec<&Tensor> = parts.iter().map(|part| &part.borrow().bias).collect();
        Ok(Self { weight: Tensor::cat(&weights, 0)?, bias: Tensor::cat(&biases, 0)? })
    }

    /// (outputs, inputs).
    ///
    /// # Errors
    /// The weight is not a matrix.
    pub fn shape(&self) -> Result<(usize, usize), ReferenceError> {
        Ok(self.weight.dims2()?)
    }

    /// The weight and the bias, row-major.
    ///
    /// # Errors
    /// They are not f32.
    pub fn values(&self) -> Result<(Vec<f32>, Vec<f32>), ReferenceError> {
        Ok((to_vec(&self.weight)?, to_vec(&self.bias)?))
    }

    /// `x` is `[tokens, inputs]`; returns `[tokens, outputs]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, ReferenceError> {
        let ((_, width), (outputs, inputs)) = (x.dims2()?, self.shape()?);
        if width != inputs {
            return Err(ReferenceError::Inputs { expected: inputs, found: width });
        }
        let bias = to_vec(&self.bias)?;
        in_place(x.matmul(&self.weight.t()?)?, |y| {
            y.par_chunks_exact_mut(outputs).for_each(|row| {
                vectorised(|| row.iter_mut().zip(&bias).for_each(|(y, bias)| *y += bias));
            });
        })
    }
}

/// LayerNorm with a gain and a bias per channel.
#[derive(Clone)]
pub struct LayerNorm {
    /// One per channel.
    pub gain: Vec<f32>,
    /// One per channel.
    pub bias: Vec<f32>,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// `x` is `[tokens, channels]`, and so is the result.
    ///
    /// # Errors
    /// `x` is not a matrix.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, ReferenceError> {
        let shape = x.dims2()?;
        let mut y = vec![0.0; shape.0 * shape.1];
        with_values(x, |values| {
            let channels = self.gain.len();
            let rows = y.par_chunks_exact_mut(channels).zip(values.par_chunks_exact(channels));
            rows.for_each(|(y, row)| vectorised(|| self.normalize(row, y)));
        })?;
        Ok(Tensor::from_vec(y, shape, &Device::Cpu)?)
    }

    #[inline(always)]
    fn normalize(&self, row: &[f32], y: &mut [f32]) {
        let channels = row.len() as f64;
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / channels;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / channels;
        let scale = 1.0 / (variance + self.eps).sqrt();
        let parameters = self.gain.iter().zip(&self.bias);
        for ((y, &v), (gain, bias)) in y.iter_mut().zip(row).zip(parameters) {
            *y = ((f64::from(v) - mean) * scale) as f32 * gain + bias;
        }
    }
}

/// Loads a tensor as f32.
fn load(checkpoint: &Checkpoint, name: &str) -> Result<Tensor, ReferenceError> {
    shaped(checkpoint, name, checkpoint.read(name)?)
}

/// Loads the weights of a Linear as f32.
fn load_weight(checkpoint: &Checkpoint, name: &str) -> Result<Tensor, ReferenceError> {
    shaped(checkpoint, name, checkpoint.read_weight(name)?)
}

fn shaped(checkpoint: &Checkpoint, name: &str, values: Vec<f32>) -> Result<Tensor, ReferenceError> {
    let shape = checkpoint.shape(name).ok_or_else(|| CheckpointError::MissingTensors {
        path: checkpoint.path().into(),
        names: vec![name.into()],
    })?;
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

struct InPlace<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "in place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else {
            return Err(candle_core::Error::Msg("f32 was expected".into()));
        };
        (self.0)(&mut values[layout.start_offset()..][..layout.shape().elem_count()]);
        Ok(())
    }
}

/// Lets `change` work on the values of `tensor` in row-major order: memory that was just written is quicker
/// than new memory. Nothing else may need what they were.
pub(super) fn in_place(tensor: Tensor, change: impl Fn(&mut [f32])) -> Result<Tensor, ReferenceError> {
    let tensor = tensor.contiguous()?;
    tensor.inplace_op1(&InPlace(change))?;
    Ok(tensor)
}

/// `x + y`, in the memory of `y`, which nothing else may need.
pub(super) fn add(x: &Tensor, y: Tensor) -> Result<Tensor, ReferenceError> {
    with_values(x, |x| {
        in_place(y, |y| {
            y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                vectorised(|| y.iter_mut().zip(x).for_each(|(y, x)| *y += x));
            });
        })
    })?
}

/// Calls `f` with the values of `tensor` in row-major order, without a copy where they lie that way already.
pub(super) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R, ReferenceError> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Ok(f(&tensor.flatten_all()?.to_vec1()?)) };
    let values = storage.as_slice::<f32>()?;
    Ok(f(&values[layout.start_offset()..][..layout.shape().elem_count()]))
}

/// The values of `tensor` in row-major order.
pub(crate) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, ReferenceError> {
    with_values(tensor, <[f32]>::to_vec)
}
