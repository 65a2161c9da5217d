//! A calibrated checkpoint as a model file.

mod compensate;
mod linear;
mod metadata;
mod multiplier;

use foldpoint_core::esm2::{CONFIG, Config, LOGIT_FRAC};
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::format::FormatError;
use foldpoint_core::kernels::attention::{CONTACT_WEIGHT_MAX, key_scale_max};
use foldpoint_core::quant::{Codec, STREAM_MAX};

use crate::calibrate::{Calibration, ResidualChoice};
use crate::checkpoint::{Checkpoint, CheckpointError, MASK_TOKEN};
use crate::reference::{ContactHead, Layer, LayerNorm, LmHead, Reference, ReferenceError, Site};
use crate::writer::{ModelWriter, WriteError};
pub use metadata::Provenance;
pub use multiplier::multiplier;

/// Fractional bits of a LayerNorm gain.
const GAIN_FRAC: u32 = 20;

/// Why a checkpoint can't be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The checkpoint can't be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The float model can't be loaded.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A tensor can't be laid out.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A tensor name is too long.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The shape is one that inference refuses.
    #[error("this model can't run in integers: {0}")]
    Shape(&'static str),
    /// A value is beyond its fixed-point format.
    #[error("{tensor}: the value {value} is outside what the integer format holds ({limit})")]
    OutOfRange {
        /// The tensor.
        tensor: String,
        /// The value.
        value: f64,
        /// The largest magnitude.
        limit: f64,
    },
    /// A site was never seen in calibration.
    #[error("{0} has no calibration values")]
    NotCalibrated(Site),
}

/// `value` in units of `2^-frac`, rounded to nearest, saturating.
pub fn to_fixed(value: f64, frac: u32) -> i32 {
    (value * f64::from(frac).exp2()).round() as i32
}

/// As [`to_fixed`] for every value of a tensor; values beyond an i32 are errors.
fn all_fixed(
    tensor: &str,
    values: impl IntoIterator<Item = f64>,
    frac: u32,
) -> Result<Vec<i32>, EncodeError> {
    let limit = (31.0 - f64::from(frac)).exp2();
    values
        .into_iter()
        .map(|value| {
            if value.abs() < limit {
                Ok(to_fixed(value, frac))
            } else {
                Err(EncodeError::OutOfRange { tensor: tensor.to_owned(), value, limit })
            }
        })
        .collect()
}

/// Writes every tensor of the language model.
///
/// # Errors
/// The checkpoint can't be read, or holds a value that no integer format fits.
pub fn encode(
    reference: &Reference,
    calibration: &Calibration,
    provenance: &Provenance,
) -> Result<ModelWriter, EncodeError> {
    let checkpoint = reference.checkpoint();
    let mut encoder =
        Encoder { calibration, config: config(checkpoint, calibration)?, writer: ModelWriter::new() };
    encoder.config.check().map_err(EncodeError::Shape)?;
    encoder.trunk(reference)?;
    if encoder.config.lm_head {
        encoder.lm_head(&LmHead::load(checkpoint)?)?;
    }
    if encoder.config.contact_head {
        encoder.contact_head(&ContactHead::load(checkpoint)?)?;
    }
    let text = provenance.to_json(calibration);
    encoder.writer.add_u8("meta.json", &[text.len()], text.into_bytes())?;
    Ok(encoder.writer)
}

/// The shape, and the unit of the residual stream: as fine as lets every level of every site stay below 2^23.
fn config(checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Config, EncodeError> {
    let shape = checkpoint.config();
    let range = calibration.residual_range().max(f64::MIN_POSITIVE);
    // A level's steps are rounded up to whole units; 2% make room for that.
    let stream_frac =
        (f64::from(STREAM_MAX) / (range * 1.02)).log2().floor().clamp(-1.0, f64::from(ACT_FRAC));
    if stream_frac < 0.0 {
        return Err(EncodeError::OutOfRange {
            tensor: "residual stream".to_owned(),
            value: range,
            limit: STREAM_MAX.into(),
        });
    }
    let stream_frac = stream_frac as u32;
    let squares = |frac: u32| (shape.layer_norm_eps * f64::from(2 * frac).exp2()).round().max(1.0) as u64;
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
        mask_token: MASK_TOKEN,
        epsilon: squares(stream_frac),
        epsilon_activation: squares(ACT_FRAC),
        temperature: multiplier(temperature),
    })
}

struct Encoder<'a> {
    calibration: &'a Calibration,
    config: Config,
    writer: ModelWriter,
}

impl Encoder<'_> {
    fn trunk(&mut self, reference: &Reference) -> Result<(), EncodeError> {
        let Config { vocab, width, stream_frac, .. } = self.config;
        let record = self.config.to_record();
        self.writer.add_u32(CONFIG, &[record.len()], record.to_vec())?;
        let embedding = reference.embedding().iter().map(|&v| v.into());
        let embedding = all_fixed("lm.embedding", embedding, stream_frac)?;
        self.writer.add_i32("lm.embedding", &[vocab, width], embedding)?;
        // Frequencies are radians per position; a turn is 2^32.
        let turns = |radians: f64| (radians / std::f64::consts::TAU * 32f64.exp2()).round() as u64 as u32;
        let phases: Vec<u32> = reference.checkpoint().rotary_frequencies()?.into_iter().map(turns).collect();
        self.writer.add_u32("lm.rotary", &[phases.len()], phases)?;
        self.residual(Site::Residual(0))?;
        for index in 0..self.config.layers {
            let layer = Layer::load(reference.checkpoint(), index)?;
            self.norm(&format!("lm.layers.{index}.attention.norm"), &layer.attention_norm)?;
            self.linear(Site::AttentionQkv(index), &layer.qkv, ACT_FRAC)?;
            self.linear(Site::AttentionOutput(index), &layer.output, stream_frac)?;
            self.norm(&format!("lm.layers.{index}.ffn.norm"), &layer.ffn_norm)?;
            self.linear(Site::FfnUp(index), &layer.up, ACT_FRAC)?;
            self.linear(Site::FfnDown(index), &layer.down, stream_frac)?;
            self.residual(Site::Residual(index + 1))?;
        }
        self.norm("lm.norm", reference.norm())
    }

    fn lm_head(&mut self, head: &LmHead) -> Result<(), EncodeError> {
        self.linear(Site::HeadDense, &head.dense, ACT_FRAC)?;
        self.norm("lm.head.norm", &head.norm)?;
        self.linear(Site::HeadDecoder, &head.decoder, ACT_FRAC)
    }

    fn norm(&mut self, name: &str, norm: &LayerNorm) -> Result<(), EncodeError> {
        let width = self.config.width;
        for (part, values, frac) in [("gain", &norm.gain, GAIN_FRAC), ("bias", &norm.bias, ACT_FRAC)] {
            let name = format!("{name}.{part}");
            let fixed = all_fixed(&name, values.iter().map(|&v| v.into()), frac)?;
            self.writer.add_i32(&name, &[width], fixed)?;
        }
        Ok(())
    }

    fn residual(&mut self, site: Site) -> Result<(), EncodeError> {
        let choice = self.calibration.residuals.get(&site).ok_or(EncodeError::NotCalibrated(site))?;
        let name = site.to_string();
        let record = record(choice, self.config.stream_frac);
        self.writer.add_i32(&name, &[Codec::RECORD_LEN], record.to_vec())?;
        let exponents = choice.exponents.clone();
        self.writer.add_u8(&format!("{name}.exponent"), &[exponents.len()], exponents)?;
        Ok(())
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
        let bias = all_fixed("contact head bias", [f64::from(head.bias)], LOGIT_FRAC)?;
        self.writer.add_i32("lm.contact.param", &[2], vec![frac as i32, bias[0]])?;
        Ok(())
    }
}

/// The codec with its steps rounded up to whole stream units.
fn record(choice: &ResidualChoice, stream_frac: u32) -> [i32; Codec::RECORD_LEN] {
    let unit = f64::from(stream_frac).exp2();
    let [neg, mid, pos] =
        choice.steps.map(|step| (step * unit).ceil().clamp(1.0, f64::from(STREAM_MAX)) as i32);
    let [n_neg, a, b, n_pos] = choice.counts;
    [choice.bits as i32, n_neg, a, b, n_pos, neg, mid, pos]
}
