//! Checkpoints of ESM-2 and ESMFold.

use std::collections::BTreeMap;

use foldpoint_core::esmfold::RESIDUES;

use super::encoder::{Encoder, norm_codes};
use super::units::Units;
use super::{EncodeError, Provenance, fold, language_model, structure};
use crate::calibrate::Calibration;
use crate::checkpoint::Checkpoint;
use crate::reference::{Linear, ReferenceError, Weights};
use crate::table::{Group, Kind};
use crate::work::Work;
use crate::writer::ModelWriter;

/// Checks what of `checkpoint` no calibration changes, so that it fails before hours of it rather than after.
///
/// # Errors
/// As [`encode`].
pub fn check(checkpoint: &Checkpoint) -> Result<(), EncodeError> {
    let weights = Weights::new(checkpoint);
    groups(checkpoint).into_iter().try_for_each(|Group { name, kind, .. }| match kind {
        Kind::Norm => norm_codes(&name, weights.norm(&name)?).map(drop),
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
    let encoder = Encoder::new(calibration, work, provenance.compensated, units)?;
    let mut model = Model { checkpoint, weights, records, metadata, encoder };
    for group in groups(checkpoint) {
        if !model.encoder.restore(&group)? {
            model.write(&group)?;
            model.encoder.keep(&group)?;
        }
        progress();
    }
    Ok(model.encoder.writer)
}

/// The groups of tensors that the model has.
pub fn groups(checkpoint: &Checkpoint) -> Vec<Group> {
    checkpoint.groups(&checkpoint.parts().rows())
}

struct Model<'a> {
    checkpoint: &'a Checkpoint,
    weights: Weights<'a>,
    /// Records of sizes and constants, by name.
    records: BTreeMap<&'static str, Vec<u32>>,
    metadata: String,
    encoder: Encoder<'a>,
}

impl Model<'_> {
    fn write(&mut self, group: &Group) -> Result<(), EncodeError> {
        let (name, weights, encoder) = (&group.name, &self.weights, &mut self.encoder);
        match group.kind {
            Kind::Metadata => encoder.text(name, std::mem::take(&mut self.metadata)),
            Kind::Config => {
                let unknown = || ReferenceError::NotInTable(name.clone());
                encoder.record(name, self.records.remove(name.as_str()).ok_or_else(unknown)?)
            }
            Kind::Rotary => encoder.rotary(name, self.checkpoint.rotary_frequencies()?),
            Kind::Table => encoder.rows(group, &weights.tensor(name)?, usize::MAX),
            Kind::Residues => encoder.rows(group, &weights.tensor(name)?, RESIDUES),
            Kind::Shares => {
                let [combine] = weights.values(name)?;
                encoder.shares(group, &combine)
            }
            Kind::Norm => encoder.norm(name, weights.norm(name)?),
            Kind::Linear => encoder.linear(group, &Linear::join(&weights.all_linears(name)?)?),
            Kind::Chain => encoder.linear(group, &structure::chain(&weights.linears(name)?)?),
            Kind::Columns => encoder.columns(group, &weights.linear(name)?),
            Kind::Residual => encoder.residual(group),
            Kind::ContactHead => {
                language_model::ContactCodes::of(self.checkpoint)?.write(&mut encoder.writer, name)
            }
            Kind::PointWeights => {
                let [values] = weights.values(name)?;
                let no_fold = || ReferenceError::NoFold(self.checkpoint.path().display().to_string());
                let fold = self.checkpoint.fold_config().ok_or_else(no_fold)?;
                encoder.point_weights(name, &values, fold.structure.query_points)
            }
            Kind::Middle | Kind::QueryKey => Err(ReferenceError::NotInTable(name.clone()).into()),
        }
    }
}
