//! Weights of the structure module and the heads that a model file has in another form.

use std::f64::consts::LOG2_E;

use candle_core::DType;
use foldpoint_core::fixed::ACT_FRAC;

use super::EncodeError;
use super::encoder::Encoder;
use crate::fixed::{multiplier, per_one};
use crate::reference::{Linear, ReferenceError};
use crate::table::Group;

/// The smallest weight of squared distances: what is below changes no logit.
const POINT_WEIGHT_MIN: f64 = 1e-30;

impl Encoder<'_> {
    /// Writes what distances between points count in each head.
    pub fn point_weights(
        &mut self,
        name: &str,
        weights: &[f32],
        query_points: usize,
    ) -> Result<(), EncodeError> {
        let fixed = point_weights(weights, query_points);
        Ok(self.writer.add_i32(name, &[weights.len(), 2], fixed)?)
    }

    /// Writes the part of `linear` that reads the group's columns.
    pub fn columns(&mut self, group: &Group, linear: &Linear) -> Result<(), EncodeError> {
        let unknown = || ReferenceError::NotInTable(group.name.clone());
        let (first, count) = group.columns.ok_or_else(unknown)?;
        self.linear(group, &columns(linear, first, count)?)
    }
}

/// For each head mantissa and shift of what a sum of squared distances, unit 2^-32, takes off a logit, unit
/// 2^-16 log2.
fn point_weights(weights: &[f32], query_points: usize) -> Vec<i32> {
    let scale = (1.0 / (3.0 * (query_points as f64 * 9.0 / 2.0))).sqrt();
    let softplus = |weight: f64| weight.max(0.0) + (-weight.abs()).exp().ln_1p();
    let factor = |&weight: &f32| {
        let factor = 0.5 * softplus(weight.into()) * scale * LOG2_E / per_one(ACT_FRAC);
        multiplier(factor.max(POINT_WEIGHT_MIN))
    };
    weights.iter().map(factor).flat_map(|m| [m.mantissa, m.shift]).collect()
}

/// The Linear on `inputs` columns from `first` on; the bias is part of the first.
fn columns(linear: &Linear, first: usize, inputs: usize) -> Result<Linear, ReferenceError> {
    let bias = if first == 0 { linear.bias.clone() } else { linear.bias.zeros_like()? };
    Ok(Linear { weight: linear.weight.narrow(1, first, inputs)?.contiguous()?, bias })
}

/// One Linear for three with nothing between them, multiplied in f64.
pub(super) fn chain([first, second, third]: &[Linear; 3]) -> Result<Linear, ReferenceError> {
    let wide = |linear: &Linear| -> Result<Linear, ReferenceError> {
        Ok(Linear { weight: linear.weight.to_dtype(DType::F64)?, bias: linear.bias.to_dtype(DType::F64)? })
    };
    let after = |second: Linear, first: &Linear| -> Result<Linear, ReferenceError> {
        let moved = second.weight.matmul(&first.bias.unsqueeze(1)?)?.squeeze(1)?;
        Ok(Linear { weight: second.weight.matmul(&first.weight)?, bias: (second.bias + moved)? })
    };
    let Linear { weight, bias } = after(wide(third)?, &after(wide(second)?, &wide(first)?)?)?;
    Ok(Linear { weight: weight.to_dtype(DType::F32)?, bias: bias.to_dtype(DType::F32)? })
}
