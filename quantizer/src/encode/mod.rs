//! A calibrated checkpoint as a model file.

mod compensate;
mod error;
mod fold;
mod language_model;
mod linear;
mod metadata;
mod multiplier;
mod structure;
mod trunk;

use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::quant::{Codec, STREAM_MAX};

use crate::calibrate::{Calibration, ResidualChoice};
use crate::reference::esmfold::FoldReference;
use crate::reference::{LayerNorm, Reference};
use crate::writer::ModelWriter;
pub use error::EncodeError;
pub use fold::structure_shape;
pub use linear::{Quantized, pack, quantize_weights, row_sums};
pub use metadata::Provenance;
pub use multiplier::{multiplier, split};

/// Fractional bits of a LayerNorm gain.
const GAIN_FRAC: u32 = 20;

/// `value` in units of `2^-frac`, rounded to nearest, saturating.
pub fn to_fixed(value: f64, frac: u32) -> i32 {
    (value * per_one(frac)).round() as i32
}

/// How many units of `2^-frac` are 1.
fn per_one(frac: u32) -> f64 {
    f64::from(frac).exp2()
}

/// Every value of a tensor in units of which `per_one` are 1; values beyond an i32, or no numbers, are errors.
fn all_fixed(
    tensor: &str,
    values: impl IntoIterator<Item = f64>,
    per_one: f64,
) -> Result<Vec<i32>, EncodeError> {
    let limit = 31f64.exp2() / per_one;
    values
        .into_iter()
        .map(|value| {
            if value.abs() < limit {
                Ok((value * per_one).round() as i32)
            } else {
                Err(EncodeError::OutOfRange { tensor: tensor.to_owned(), value, limit })
            }
        })
        .collect()
}

/// Writes every tensor of the model: of the language model, and of the folding model if the checkpoint is one.
///
/// # Errors
/// The checkpoint can't be read, or holds a value that no integer format fits.
pub fn encode(
    reference: &Reference,
    calibration: &Calibration,
    provenance: &Provenance,
) -> Result<ModelWriter, EncodeError> {
    let mut encoder = Encoder { calibration, writer: ModelWriter::new() };
    let stream_frac = encoder.language_model(reference)?;
    if reference.checkpoint().fold_config().is_some() {
        encoder.fold(&FoldReference::new(reference.checkpoint())?, stream_frac)?;
    }
    let text = provenance.to_json(calibration);
    encoder.writer.add_u8("meta.json", &[text.len()], text.into_bytes())?;
    Ok(encoder.writer)
}

struct Encoder<'a> {
    calibration: &'a Calibration,
    writer: ModelWriter,
}

impl Encoder<'_> {
    /// Writes a table of values in units of which `per_one` are 1.
    fn table(
        &mut self,
        name: &str,
        shape: &[usize],
        values: impl IntoIterator<Item = f64>,
        per_one: f64,
    ) -> Result<(), EncodeError> {
        let fixed = all_fixed(name, values, per_one)?;
        Ok(self.writer.add_i32(name, shape, fixed)?)
    }

    /// Writes the gain and the bias of a LayerNorm.
    fn norm(&mut self, name: &str, norm: &LayerNorm) -> Result<(), EncodeError> {
        for (part, values, frac) in [("gain", &norm.gain, GAIN_FRAC), ("bias", &norm.bias, ACT_FRAC)] {
            let values = values.iter().map(|&v| v.into());
            self.table(&format!("{name}.{part}"), &[norm.gain.len()], values, per_one(frac))?;
        }
        Ok(())
    }

    /// Writes the codec of residual site `name`, whose stream has units of `2^-stream_frac`.
    fn residual(&mut self, name: &str, stream_frac: u32) -> Result<(), EncodeError> {
        let not_calibrated = || EncodeError::NotCalibrated(name.to_owned());
        let choice = self.calibration.residuals.get(name).ok_or_else(not_calibrated)?;
        let record = record(choice, stream_frac);
        self.writer.add_i32(name, &[Codec::RECORD_LEN], record.to_vec())?;
        let exponents = choice.exponents.clone();
        self.writer.add_u8(&format!("{name}.exponent"), &[exponents.len()], exponents)?;
        Ok(())
    }
}

/// Fractional bits of a stream's unit: as fine as lets magnitudes up to `range` stay below `limit` units, at most
/// [`ACT_FRAC`].
fn finest(stream: &str, range: f64, limit: i32) -> Result<u32, EncodeError> {
    // A level's steps are rounded up to whole units; 2% make room for that.
    let frac = (f64::from(limit) / (range.max(f64::MIN_POSITIVE) * 1.02)).log2().floor();
    if frac >= 0.0 {
        Ok(frac.min(f64::from(ACT_FRAC)) as u32)
    } else {
        Err(EncodeError::OutOfRange { tensor: stream.to_owned(), value: range, limit: limit.into() })
    }
}

/// LayerNorm's epsilon in squares of `2^-frac`.
fn squares(epsilon: f64, frac: u32) -> u64 {
    (epsilon * per_one(2 * frac)).round().max(1.0) as u64
}

/// The codec with its steps rounded up to whole stream units.
fn record(choice: &ResidualChoice, stream_frac: u32) -> [i32; Codec::RECORD_LEN] {
    let unit = f64::from(stream_frac).exp2();
    let [neg, mid, pos] =
        choice.steps.map(|step| (step * unit).ceil().clamp(1.0, f64::from(STREAM_MAX)) as i32);
    let [n_neg, a, b, n_pos] = choice.counts;
    [choice.bits as i32, n_neg, a, b, n_pos, neg, mid, pos]
}
