//! The language model.

use foldpoint_core::alphabet;
use foldpoint_core::esm2::{CONFIG, Config, LOGIT_FRAC};
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::kernels::attention::{CONTACT_WEIGHT_MAX, key_scale_max};
use foldpoint_core::quant::STREAM_MAX;

use super::{EncodeError, Encoder, all_fixed, finest, multiplier, per_one, squares, to_fixed};
use crate::calibrate::Calibration;
use crate::checkpoint::Checkpoint;
use crate::reference::{ContactHead, Layer, LmHead, Reference, Site};

/// The shape, and the unit of the residual stream: as fine as lets every level of every site stay below 2^23.
fn config(checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Config, EncodeError> {
    let shape = checkpoint.config();
    let stream_frac = finest("residual stream", calibration.residual_range("lm."), STREAM_MAX)?;
    let temperature = std::f64::consts::LOG2_E * (11.0f64 - 32.0).exp2()
        / (f64::from(key_scale_max(shape.head_width())) * (shape.head_width() as f64).sqrt());
    Ok(Config {
        vocab: shape.vocab,
        layers: shape.layers,
        width: shape.width,
        heads: shape.heads,
        ffn: shape.ffn,
        token_dropout: shape.token_dropout,
        contact_head: checkpoint.has_contact_head(),
        lm_head: checkpoint.has_lm_head(),
        stream_frac,
        max_positions: shape.max_positions,
        mask_token: alphabet::MASK,
        epsilon: squares(shape.layer_norm_eps, stream_frac),
        epsilon_activation: squares(shape.layer_norm_eps, ACT_FRAC),
        temperature: multiplier(temperature),
    })
}

impl Encoder<'_> {
    /// Writes every tensor of the language model; returns the fractional bits of its residual stream.
    pub(super) fn language_model(&mut self, reference: &Reference) -> Result<u32, EncodeError> {
        let checkpoint = reference.checkpoint();
        let config = config(checkpoint, self.calibration)?;
        config.check().map_err(EncodeError::Shape)?;
        self.layers(reference, &config)?;
        if config.lm_head {
            self.lm_head(&LmHead::load(checkpoint)?)?;
        }
        if config.contact_head {
            self.contact_head(&ContactHead::load(checkpoint)?)?;
        }
        Ok(config.stream_frac)
    }

    fn layers(&mut self, reference: &Reference, config: &Config) -> Result<(), EncodeError> {
        let (activation, stream) = (per_one(ACT_FRAC), per_one(config.stream_frac));
        let record = config.to_record();
        self.writer.add_u32(CONFIG, &[record.len()], record.to_vec())?;
        let embedding = reference.embedding().iter().map(|&v| v.into());
        self.table("lm.embedding", &[config.vocab, config.width], embedding, stream)?;
        // Frequencies are radians per position; a turn is 2^32.
        let turns = |radians: f64| (radians / std::f64::consts::TAU * 32f64.exp2()).round() as u64 as u32;
        let phases: Vec<u32> = reference.checkpoint().rotary_frequencies()?.into_iter().map(turns).collect();
        self.writer.add_u32("lm.rotary", &[phases.len()], phases)?;
        self.residual(&Site::Residual(0).to_string(), config.stream_frac)?;
        for index in 0..config.layers {
            let layer = Layer::load(reference.checkpoint(), index)?;
            self.norm(&format!("lm.layers.{index}.attention.norm"), &layer.attention_norm)?;
            self.linear(&Site::AttentionQkv(index).to_string(), &layer.qkv, activation)?;
            self.linear(&Site::AttentionOutput(index).to_string(), &layer.output, stream)?;
            self.norm(&format!("lm.layers.{index}.ffn.norm"), &layer.ffn_norm)?;
            self.linear(&Site::FfnUp(index).to_string(), &layer.up, activation)?;
            self.linear(&Site::FfnDown(index).to_string(), &layer.down, stream)?;
            self.residual(&Site::Residual(index + 1).to_string(), config.stream_frac)?;
        }
        self.norm("lm.norm", reference.norm())
    }

    fn lm_head(&mut self, head: &LmHead) -> Result<(), EncodeError> {
        let activation = per_one(ACT_FRAC);
        self.linear(&Site::HeadDense.to_string(), &head.dense, activation)?;
        self.norm("lm.head.norm", &head.norm)?;
        self.linear(&Site::HeadDecoder.to_string(), &head.decoder, activation)
    }

    /// Weights with a shift such that the largest fills the 15 bits; the bias in logit units.
    fn contact_head(&mut self, head: &ContactHead) -> Result<(), EncodeError> {
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
        let weights: Vec<i16> = head.weights.iter().map(|&w| to_fixed(w.into(), frac) as i16).collect();
        self.writer.add_i16("lm.contact.weight", &[weights.len()], weights)?;
        let bias = all_fixed("contact head bias", [f64::from(head.bias)], per_one(LOGIT_FRAC))?;
        self.writer.add_i32("lm.contact.param", &[2], vec![frac as i32, bias[0]])?;
        Ok(())
    }
}
