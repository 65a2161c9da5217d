//! The structure module and the heads.

use std::f64::consts::LOG2_E;

use candle_core::DType;
use foldpoint_core::esmfold::{Config, StructureConfig};
use foldpoint_core::fixed::ACT_FRAC;

use super::fold::TRANSLATION_FRAC;
use super::{EncodeError, Encoder, multiplier, per_one};
use crate::reference::esmfold::heads::Heads;
use crate::reference::esmfold::invariant_point_attention::InvariantPointAttention;
use crate::reference::esmfold::structure_module::StructureModule;
use crate::reference::{Linear, ReferenceError};

/// The smallest weight of squared distances: what is below changes no logit.
const POINT_WEIGHT_MIN: f64 = 1e-30;

impl Encoder<'_> {
    /// Writes the structure module.
    pub(super) fn structure_module(
        &mut self,
        module: &StructureModule,
        config: &Config,
    ) -> Result<(), EncodeError> {
        let below = |part: &str| format!("fold.structure.{part}");
        let activation = per_one(ACT_FRAC);
        self.linear(&below("sequence_input"), &module.sequence_input, activation)?;
        self.linear(&below("pair_input"), &module.pair_input, activation)?;
        self.norm(&below("sequence_norm"), &module.sequence_norm)?;
        self.norm(&below("pair_norm"), &module.pair_norm)?;
        self.linear(&below("initial"), &module.initial, activation)?;
        self.attention(&module.attention, &config.structure)?;
        self.norm(&below("attention_norm"), &module.attention_norm)?;
        for (layer, parts) in module.transition.layers.iter().enumerate() {
            for (linear, part) in parts.iter().zip(["first", "second", "third"]) {
                self.linear(&below(&format!("transition.{layer}.{part}")), linear, activation)?;
            }
        }
        self.norm(&below("transition.norm"), &module.transition.norm)?;
        let update = &module.backbone_update.linear;
        self.linear(&below("backbone_update.linear"), update, per_one(TRANSLATION_FRAC))?;
        let resnet = &module.angle_resnet;
        self.linear(&below("angle_resnet.input"), &resnet.input, activation)?;
        self.linear(&below("angle_resnet.initial"), &resnet.initial, activation)?;
        for (block, parts) in resnet.blocks.iter().enumerate() {
            for (linear, part) in parts.iter().zip(["first", "second"]) {
                self.linear(&below(&format!("angle_resnet.{block}.{part}")), linear, activation)?;
            }
        }
        self.linear(&below("angle_resnet.output"), &resnet.output, activation)
    }

    fn attention(
        &mut self,
        attention: &InvariantPointAttention,
        config: &StructureConfig,
    ) -> Result<(), EncodeError> {
        let below = |part: &str| format!("fold.structure.attention.{part}");
        let activation = per_one(ACT_FRAC);
        let parts = [&attention.q, &attention.kv, &attention.q_points, &attention.kv_points];
        self.linear(&below("projections"), &Linear::join(&parts)?, activation)?;
        let logit = activation * LOG2_E * (1.0f64 / 3.0).sqrt();
        self.linear(&below("pair_bias"), &attention.pair_bias, logit)?;
        let weights = point_weights(&attention.point_weights, config.query_points);
        self.writer.add_i32(&below("point_weights"), &[config.heads, 2], weights)?;
        let mut first = 0;
        for part in 0..=config.pair_parts() {
            let inputs = config.output_part(part);
            let linear = columns(&attention.output, first, inputs)?;
            self.linear(&below(&format!("output.{part}")), &linear, activation)?;
            first += inputs;
        }
        Ok(())
    }

    /// Writes the heads.
    pub(super) fn heads(&mut self, heads: &Heads) -> Result<(), EncodeError> {
        let (activation, logit) = (per_one(ACT_FRAC), per_one(ACT_FRAC) * LOG2_E);
        self.norm("fold.heads.plddt.norm", &heads.plddt_norm)?;
        self.linear("fold.heads.plddt.linear", &chain(&heads.plddt)?, logit)?;
        self.linear_at("fold.heads.aligned_error", "fold.heads.pair", &heads.aligned_error, logit)?;
        self.linear_at("fold.heads.distogram", "fold.heads.pair", &heads.distogram, activation)
    }
}

/// For each head mantissa and shift of what a sum of squared distances, unit 2^-32, takes off a logit, unit 2^-16 log2.
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
fn chain([first, second, third]: &[Linear; 3]) -> Result<Linear, ReferenceError> {
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
