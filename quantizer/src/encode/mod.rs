//! A calibrated checkpoint as a model file: the rows of the [table](crate::table), one after another.

mod compensate;
mod error;
mod fold;
mod language_model;
mod linear;
mod metadata;
mod structure;
mod units;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;

use foldpoint_core::esmfold::RESIDUES;
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::quant::{Codec, STREAM_MAX};

use crate::calibrate::{Calibration, ResidualChoice};
use crate::checkpoint::Checkpoint;
use crate::fixed::per_one;
pub use crate::fixed::{multiplier, split, to_fixed};
use crate::reference::{LayerNorm, Linear, ReferenceError, Weights};
use crate::table::{Kind, Row, Unit};
use crate::work::{Work, WorkError};
use crate::writer::{Kept, ModelWriter};
pub use error::EncodeError;
pub use linear::{WeightCodes, quantize_weights};
pub use metadata::Provenance;
use units::Units;

/// Fractional bits of a LayerNorm gain.
const GAIN_FRAC: u32 = 20;

/// Every value of a tensor in units of which `per_one` are 1; values beyond an i32, or no numbers, are
/// errors.
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

/// What the names of a run's records begin with, the last made first: what [`Work::remove`] needs.
pub const RECORDS: [&str; 3] = ["rounded.", "folding", "language-model"];

/// The file in the folder of a run that tensors wait in.
const TENSORS: &str = "tensors";

/// Checks what of `checkpoint` no calibration changes, so that it fails before hours of it rather than after.
///
/// # Errors
/// As [`encode`].
pub fn check(checkpoint: &Checkpoint) -> Result<(), EncodeError> {
    let weights = Weights::new(checkpoint);
    checkpoint.for_each(&checkpoint.parts().rows(), |row, index| match row.kind {
        Kind::Norm => norm_codes(&weights, &row.numbered(index)).map(drop),
        Kind::ContactHead => language_model::ContactCodes::of(checkpoint).map(drop),
        _ => Ok(()),
    })
}

/// Writes every tensor of the model: of the language model, and of the folding model if the checkpoint is
/// one; those that an earlier run has left in `work` are taken from there. `progress` is called after each of
/// its [`groups`].
///
/// # Errors
/// The checkpoint can't be read, or holds a value that no integer format fits.
pub fn encode(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    provenance: &Provenance,
    work: &Work,
    progress: &mut dyn FnMut(),
) -> Result<ModelWriter, EncodeError> {
    let weights = Weights::new(checkpoint);
    let lm = language_model::config(checkpoint, calibration)?;
    let mut units = Units { language_model: lm.stream_frac, ..Units::default() };
    let mut records = BTreeMap::from([(foldpoint_core::esm::CONFIG, lm.to_record().to_vec())]);
    if let Some(shape) = checkpoint.fold_config() {
        let fold = fold::config(&weights, shape, calibration, lm.stream_frac)?;
        (units.sequence, units.pair) = (fold.sequence_frac, fold.pair_frac);
        records.insert(foldpoint_core::esmfold::CONFIG, fold.to_record().to_vec());
    }
    let metadata = provenance.to_json(calibration);
    let path = work.path(TENSORS);
    let file = File::options().create(true).append(true).read(true).open(&path);
    let file = file.map_err(|source| WorkError::Io { path, source })?;
    let writer = ModelWriter::keeping_in(file);
    let mut encoder = Encoder {
        checkpoint,
        weights,
        calibration,
        work,
        compensated: provenance.compensated,
        units,
        records,
        metadata,
        writer,
    };
    checkpoint.for_each(&checkpoint.parts().rows(), |row, index| {
        encoder.restored_group(row, index)?;
        progress();
        Ok::<_, EncodeError>(())
    })?;
    Ok(encoder.writer)
}

/// How many groups of tensors the model has.
pub fn groups(checkpoint: &Checkpoint) -> usize {
    let mut count = 0;
    let Ok(()) = checkpoint.for_each(&checkpoint.parts().rows(), |_, _| {
        count += 1;
        Ok::<_, Infallible>(())
    });
    count
}

struct Encoder<'a> {
    checkpoint: &'a Checkpoint,
    weights: Weights<'a>,
    calibration: &'a Calibration,
    work: &'a Work,
    /// Whether calibration has kept the inputs of every Linear.
    compensated: bool,
    units: Units,
    /// Records of sizes and constants, by name.
    records: BTreeMap<&'static str, Vec<u32>>,
    metadata: String,
    writer: ModelWriter,
}

impl Encoder<'_> {
    /// Writes number `index` of a group, or takes it from an earlier run if it is one that takes time.
    fn restored_group(&mut self, row: &Row, index: usize) -> Result<(), EncodeError> {
        if !matches!(row.kind, Kind::Linear | Kind::Chain | Kind::Columns) {
            return self.group(row, index);
        }
        let name = row.numbered(index);
        let record = format!("rounded.{name}");
        if let Some(tensors) = self.work.load::<Vec<Kept>>(&record)? {
            return Ok(tensors.into_iter().try_for_each(|kept| self.writer.restore(kept))?);
        }
        self.group(row, index)?;
        let is_of_group = |tensor: &str| tensor.rsplit_once('.').is_some_and(|(group, _)| group == name);
        Ok(self.work.save(&record, &self.writer.kept(is_of_group))?)
    }

    /// Writes number `index` of a group.
    fn group(&mut self, row: &Row, index: usize) -> Result<(), EncodeError> {
        let name = &row.numbered(index);
        match row.kind {
            Kind::Metadata => {
                let text = std::mem::take(&mut self.metadata).into_bytes();
                Ok(self.writer.add_u8(name, &[text.len()], text)?)
            }
            Kind::Config => {
                let unknown = || ReferenceError::NotInTable(name.clone());
                let record = self.records.remove(row.name).ok_or_else(unknown)?;
                Ok(self.writer.add_u32(name, &[record.len()], record)?)
            }
            Kind::Rotary => self.rotary(name),
            Kind::Table => self.rows(name, row.unit, usize::MAX),
            Kind::Residues => self.rows(name, row.unit, RESIDUES),
            Kind::Shares => self.shares(name, row.unit),
            Kind::Norm => self.norm(name),
            Kind::Linear => {
                let linear = Linear::join(&self.weights.all_linears(name)?)?;
                self.linear(row, index, &linear)
            }
            Kind::Chain => {
                let linear = structure::chain(&self.weights.linears(name)?)?;
                self.linear(row, index, &linear)
            }
            Kind::Columns => {
                let (first, count) = self.checkpoint.output_part(index).ok_or_else(|| self.no_fold())?;
                let linear = structure::columns(&self.weights.linear(name)?, first, count)?;
                self.linear(row, index, &linear)
            }
            Kind::Residual => self.residual(name, row.unit),
            Kind::ContactHead => self.contact_head(name),
            Kind::PointWeights => self.point_weights(name),
        }
    }

    fn no_fold(&self) -> ReferenceError {
        ReferenceError::NoFold(self.checkpoint.path().display().to_string())
    }

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

    /// Writes the first `rows` rows of a table, or all it has.
    fn rows(&mut self, name: &str, unit: Unit, rows: usize) -> Result<(), EncodeError> {
        let table = self.weights.tensor(name)?;
        let (found, width) = table.dims2().map_err(ReferenceError::from)?;
        let rows = rows.min(found);
        let values = crate::reference::to_vec(&table)?.into_iter().take(rows * width).map(f64::from);
        self.table(name, &[rows, width], values, self.units.per_one(unit))
    }

    /// Writes the gain and the bias of a LayerNorm.
    fn norm(&mut self, name: &str) -> Result<(), EncodeError> {
        for (tensor, codes) in norm_codes(&self.weights, name)? {
            self.writer.add_i32(&tensor, &[codes.len()], codes)?;
        }
        Ok(())
    }

    /// Writes the codec of a stored representation.
    fn residual(&mut self, name: &str, unit: Unit) -> Result<(), EncodeError> {
        let not_calibrated = || EncodeError::NotCalibrated(name.to_owned());
        let choice = self.calibration.residuals.get(name).ok_or_else(not_calibrated)?;
        let record = record(choice, self.units.per_one(unit));
        self.writer.add_i32(name, &[Codec::RECORD_LEN], record.to_vec())?;
        let exponents = choice.exponents.clone();
        self.writer.add_u8(&format!("{name}.exponent"), &[exponents.len()], exponents)?;
        Ok(())
    }
}

/// The tensors of a LayerNorm: gain and bias.
fn norm_codes(weights: &Weights<'_>, name: &str) -> Result<[(String, Vec<i32>); 2], EncodeError> {
    let LayerNorm { gain, bias, .. } = weights.norm(name)?;
    let codes = |part: &str, values: Vec<f32>, frac: u32| {
        let tensor = format!("{name}.{part}");
        let codes = all_fixed(&tensor, values.into_iter().map(f64::from), per_one(frac))?;
        Ok::<_, EncodeError>((tensor, codes))
    };
    Ok([codes("gain", gain, GAIN_FRAC)?, codes("bias", bias, ACT_FRAC)?])
}

/// Fractional bits of a stream's unit: as fine as lets magnitudes up to `range` stay below `limit` units, at
/// most [`ACT_FRAC`].
fn finest(stream: &str, range: f64, limit: i32) -> Result<u32, EncodeError> {
    // A level's steps are rounded up to whole units; 2% make room for that.
    let frac = (f64::from(limit) / (range.max(f64::MIN_POSITIVE) * 1.02)).log2().floor();
    if frac >= 0.0 {
        Ok(frac.min(f64::from(ACT_FRAC)) as u32)
    } else {
        Err(EncodeError::OutOfRange { tensor: stream.to_owned(), value: range, limit: limit.into() })
    }
}

/// The codec with its steps rounded up to whole stream units, of which `unit` are 1.
fn record(choice: &ResidualChoice, unit: f64) -> [i32; Codec::RECORD_LEN] {
    let [neg, mid, pos] =
        choice.steps.map(|step| (step * unit).ceil().clamp(1.0, f64::from(STREAM_MAX)) as i32);
    let [n_neg, a, b, n_pos] = choice.counts;
    [choice.bits as i32, n_neg, a, b, n_pos, neg, mid, pos]
}
