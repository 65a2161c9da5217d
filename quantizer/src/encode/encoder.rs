//! Groups of tensors, given their weights.

use std::fs::File;

use candle_core::Tensor;
use foldpoint_core::fixed::ACT_FRAC;
use foldpoint_core::quant::{Codec, STREAM_MAX};

use super::units::Units;
use super::{EncodeError, all_fixed};
use crate::calibrate::{Calibration, ResidualChoice};
use crate::fixed::per_one;
use crate::reference::{LayerNorm, to_vec};
use crate::table::Group;
use crate::work::{Work, WorkError};
use crate::writer::{Kept, ModelWriter};

/// Fractional bits of a factor: of a LayerNorm's gain, and of what makes queries and keys.
pub(super) const GAIN_FRAC: u32 = 20;

/// The file in the folder of a run that tensors wait in.
const TENSORS: &str = "tensors";

/// Writes groups, in the units that calibration asks for.
pub(super) struct Encoder<'a> {
    pub calibration: &'a Calibration,
    pub work: &'a Work,
    /// Whether calibration has kept the inputs of every Linear.
    pub compensated: bool,
    pub units: Units,
    pub writer: ModelWriter,
}

impl<'a> Encoder<'a> {
    /// An encoder whose tensors wait in `work`.
    pub fn new(
        calibration: &'a Calibration,
        work: &'a Work,
        compensated: bool,
        units: Units,
    ) -> Result<Self, EncodeError> {
        let path = work.path(TENSORS);
        let file = File::options().create(true).append(true).read(true).open(&path);
        let file = file.map_err(|source| WorkError::Io { path, source })?;
        Ok(Self { calibration, work, compensated, units, writer: ModelWriter::keeping_in(file) })
    }

    /// Takes a group from an earlier run, if it has left it: those that take time are kept.
    pub fn restore(&mut self, group: &Group) -> Result<bool, EncodeError> {
        if !group.kind.is_linear() {
            return Ok(false);
        }
        let Some(tensors) = self.work.load::<Vec<Kept>>(&record_of(group))? else { return Ok(false) };
        tensors.into_iter().try_for_each(|kept| self.writer.restore(kept))?;
        Ok(true)
    }

    /// Keeps a group that was written, if it is one that takes time.
    pub fn keep(&self, group: &Group) -> Result<(), EncodeError> {
        if !group.kind.is_linear() {
            return Ok(());
        }
        let is_of_group = |tensor: &str| tensor.rsplit_once('.').is_some_and(|(of, _)| of == group.name);
        Ok(self.work.save(&record_of(group), &self.writer.kept(is_of_group))?)
    }

    /// Writes text.
    pub fn text(&mut self, name: &str, text: String) -> Result<(), EncodeError> {
        Ok(self.writer.add_u8(name, &[text.len()], text.into_bytes())?)
    }

    /// Writes a record of sizes and constants.
    pub fn record(&mut self, name: &str, record: Vec<u32>) -> Result<(), EncodeError> {
        Ok(self.writer.add_u32(name, &[record.len()], record)?)
    }

    /// Writes how far each rotary pair turns from one position to the next, given in radians.
    pub fn rotary(&mut self, name: &str, frequencies: Vec<f64>) -> Result<(), EncodeError> {
        // A turn is 2^32.
        let turns = |radians: f64| (radians / std::f64::consts::TAU * 32f64.exp2()).round() as u64 as u32;
        self.record(name, frequencies.into_iter().map(turns).collect())
    }

    /// Writes a table of values in units of which `per_one` are 1.
    pub fn table(
        &mut self,
        name: &str,
        shape: &[usize],
        values: impl IntoIterator<Item = f64>,
        per_one: f64,
    ) -> Result<(), EncodeError> {
        let fixed = all_fixed(name, values, per_one)?;
        Ok(self.writer.add_i32(name, shape, fixed)?)
    }

    /// Writes the first `rows` rows of a table, or all it has; a vector as it is.
    pub fn rows(&mut self, group: &Group, table: &Tensor, rows: usize) -> Result<(), EncodeError> {
        let mut shape = table.dims().to_vec();
        if let [found, _, ..] = &mut shape[..] {
            *found = rows.min(*found);
        }
        let values = to_vec(table)?.into_iter().take(shape.iter().product()).map(f64::from);
        self.table(&group.name, &shape, values, self.units.per_one(group.unit))
    }

    /// Writes the gain and the bias of a LayerNorm.
    pub fn norm(&mut self, name: &str, norm: LayerNorm) -> Result<(), EncodeError> {
        for (tensor, codes) in norm_codes(name, norm)? {
            self.writer.add_i32(&tensor, &[codes.len()], codes)?;
        }
        Ok(())
    }

    /// Writes the codec of a stored representation.
    pub fn residual(&mut self, group: &Group) -> Result<(), EncodeError> {
        let name = &group.name;
        let not_calibrated = || EncodeError::NotCalibrated(name.clone());
        let choice = self.calibration.residuals.get(name).ok_or_else(not_calibrated)?;
        let record = record(choice, self.units.per_one(group.unit));
        self.writer.add_i32(name, &[Codec::RECORD_LEN], record.to_vec())?;
        let exponents = choice.exponents.clone();
        self.writer.add_u8(&format!("{name}.exponent"), &[exponents.len()], exponents)?;
        Ok(())
    }
}

/// The tensors of LayerNorm `name`: gain and bias.
pub(super) fn norm_codes(name: &str, norm: LayerNorm) -> Result<[(String, Vec<i32>); 2], EncodeError> {
    let codes = |part: &str, values: Vec<f32>, frac: u32| {
        let tensor = format!("{name}.{part}");
        let codes = all_fixed(&tensor, values.into_iter().map(f64::from), per_one(frac))?;
        Ok::<_, EncodeError>((tensor, codes))
    };
    Ok([codes("gain", norm.gain, GAIN_FRAC)?, codes("bias", norm.bias, ACT_FRAC)?])
}

/// The record of a group that is done.
fn record_of(group: &Group) -> String {
    format!("rounded.{}", group.name)
}

/// The codec with its steps rounded up to whole stream units, of which `unit` are 1.
fn record(choice: &ResidualChoice, unit: f64) -> [i32; Codec::RECORD_LEN] {
    let [neg, mid, pos] =
        choice.steps.map(|step| (step * unit).ceil().clamp(1.0, f64::from(STREAM_MAX)) as i32);
    let [n_neg, a, b, n_pos] = choice.counts;
    [choice.bits as i32, n_neg, a, b, n_pos, neg, mid, pos]
}
