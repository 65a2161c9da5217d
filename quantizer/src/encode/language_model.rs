//! The language model.

use foldpoint_core::alphabet;
use foldpoint_core::esm::{Config, LOGIT_FRAC};
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::kernels::attention::{CONTACT_WEIGHT_MAX, key_scale_max};
use foldpoint_core::quant::STREAM_MAX;

use super::{EncodeError, all_fixed, finest};
use crate::calibrate::Calibration;
use crate::checkpoint::Checkpoint;
use crate::fixed::{multiplier, per_one, squares, to_fixed};
use crate::reference::ContactHead;
use crate::writer::ModelWriter;

/// The shape, and the unit of the residual stream: as fine as lets every level of every site stay below 2^23.
pub(super) fn config(checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Config, EncodeError> {
    let shape = checkpoint.config();
    let stream_frac = finest("residual stream", calibration.residual_range("lm."), STREAM_MAX)?;
    let temperature = std::f64::consts::LOG2_E * (11.0f64 - 32.0).exp2()
        / (f64::from(key_scale_max(shape.head_width())) * (shape.head_width() as f64).sqrt());
    let mut config = Config::default();
    config.vocab = shape.vocab;
    config.layers = shape.layers;
    config.width = shape.width;
    config.heads = shape.heads;
    config.ffn = shape.ffn;
    config.token_dropout = shape.token_dropout;
    config.contact_head = checkpoint.has_contact_head();
    config.lm_head = checkpoint.has_lm_head();
    config.stream_frac = stream_frac;
    config.max_positions = shape.max_positions;
    config.mask_token = alphabet::MASK;
    config.epsilon = squares(shape.layer_norm_eps, stream_frac);
    config.epsilon_activation = squares(shape.layer_norm_eps, ACT_FRAC);
    config.temperature = multiplier(temperature);
    config.check().map_err(EncodeError::Shape)?;
    Ok(config)
}

/// The contact head in integers.
pub(super) struct ContactCodes {
    weights: Vec<i16>,
    /// Fractional bits of the weights.
    frac: u32,
    /// In units of contact logits.
    bias: i32,
}

impl ContactCodes {
    /// Weights with a shift such that the largest fills the 15 bits; the bias in logit units.
    ///
    /// # Errors
    /// The checkpoint can't be read, or the weights are too large.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, EncodeError> {
        let head = ContactHead::load(checkpoint)?;
        let largest = head.weights.iter().map(|w| f64::from(w.abs())).fold(f64::MIN_POSITIVE, f64::max);
        let limit = f64::from(CONTACT_WEIGHT_MAX);
        let frac = (limit / largest).log2().floor();
        let sum: f64 = head.weights.iter().map(|w| f64::from(w.abs())).sum();
        // A sum of weighted probabilities must stay within an i32 of logit units.
        let sum_limit = (30.0 - f64::from(LOGIT_FRAC)).exp2();
        if frac < 5.0 || sum > sum_limit {
            let (value, limit) = if frac < 5.0 { (largest, limit / 32.0) } else { (sum, sum_limit) };
            return Err(EncodeError::OutOfRange { tensor: "contact head".to_owned(), value, limit });
        }
        let frac = frac.min(30.0) as u32;
        let weights = head.weights.iter().map(|&w| to_fixed(w.into(), frac) as i16).collect();
        let bias = all_fixed("contact head bias", [f64::from(head.bias)], per_one(LOGIT_FRAC))?;
        Ok(Self { weights, frac, bias: bias[0] })
    }

    /// Writes it as group `name`.
    pub fn write(self, writer: &mut ModelWriter, name: &str) -> Result<(), EncodeError> {
        let Self { weights, frac, bias } = self;
        writer.add_i16(&format!("{name}.weight"), &[weights.len()], weights)?;
        Ok(writer.add_i32(&format!("{name}.param"), &[2], vec![frac as i32, bias])?)
    }
}
