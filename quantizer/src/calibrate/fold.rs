//! Calibration of the folding model.

use std::collections::BTreeMap;

use super::collector::{Collector, Rows};
use super::uses::uses;
use super::{Calibration, CalibrationError};
use crate::checkpoint::structure_shape;
use crate::reference::esmfold::{Fold, FoldReference, FoldWant};
use crate::scheme::Scheme;

/// Folds `folds` with the float model in `recycles + 1` passes and adds the choices to `calibration`, which
/// has the language model's. `progress` is called after every layer and after every block in every pass, for
/// every sequence.
///
/// # Errors
/// As [`FoldReference::run_batch`]; also if samples can't be kept on disk.
pub fn calibrate_fold(
    reference: &FoldReference,
    folds: &[Fold],
    recycles: usize,
    scheme: &Scheme,
    calibration: &mut Calibration,
    progress: &mut (dyn FnMut() + Sync),
) -> Result<(), CalibrationError> {
    if structure_shape(&reference.config().structure).pair_parts() == 0 {
        return Err(CalibrationError::Shape("a head's pairs must fit one Linear"));
    }
    let checkpoint = reference.language_model().checkpoint();
    let mut collector = Collector {
        checkpoint,
        scheme,
        uses: uses(checkpoint, &checkpoint.parts().folding_model()),
        rows: Rows::Spread,
        last_pass: recycles,
        last_sequence: folds.len().saturating_sub(1),
        samples: BTreeMap::new(),
        calibration,
        failed: Ok(()),
        progress,
    };
    reference.run_batch(folds, recycles, FoldWant::default(), &mut collector)?;
    collector.finish()
}
