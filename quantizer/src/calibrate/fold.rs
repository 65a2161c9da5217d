//! Calibration of ESMFold.

use super::collector::{Collector, Rows, Samples};
use super::passes::{self, Passes};
use super::uses::uses;
use super::{Calibration, CalibrationError};
use crate::checkpoint::structure_shape;
use crate::reference::esmfold::{Fold, FoldReference, FoldRun, FoldState, FoldWant};
use crate::reference::{Observer, ReferenceError, Weights};
use crate::scheme::Scheme;
use crate::work::Work;

/// Folds `folds` with the float model in `recycles + 1` passes, from where an earlier run has left `work`,
/// and adds the choices to `calibration`, which has the language model's. `progress` is called with the
/// number of layers or blocks done, of each sequence.
///
/// # Errors
/// As [`FoldReference::run_batch`]; also if what is done can't be kept.
pub fn calibrate_fold(
    reference: &FoldReference,
    folds: &[Fold],
    recycles: usize,
    scheme: &Scheme,
    calibration: Calibration,
    work: &Work,
    progress: &mut (dyn FnMut(usize) + Sync),
) -> Result<Calibration, CalibrationError> {
    if structure_shape(&reference.config().structure).pair_parts() == 0 {
        return Err(CalibrationError::Shape("a head's pairs must fit one Linear"));
    }
    let checkpoint = reference.language_model().checkpoint();
    let weights = Weights::new(checkpoint);
    let collector = Collector {
        gains: &|norm| Ok(Some(weights.norm(norm)?.gain)),
        scheme,
        uses: uses(&checkpoint.groups(&checkpoint.parts().folding_model())),
        rows: Rows::Spread,
        last_pass: recycles,
        samples: Samples::new(),
        calibration,
        work,
        progress,
    };
    passes::run(&EsmFold { reference, folds, recycles }, collector)
}

struct EsmFold<'r, 'c> {
    reference: &'r FoldReference<'c>,
    folds: &'r [Fold],
    recycles: usize,
}

/// Nothing large is wanted besides what the observer sees.
const WANT: FoldWant = FoldWant {
    language_model: crate::reference::Want { contacts: false, logits: false, hidden: false },
    logits: false,
};

impl Passes for EsmFold<'_, '_> {
    type Run = FoldRun;
    type State = FoldState;

    fn sequences(&self) -> usize {
        self.folds.len()
    }

    /// The language model runs again.
    fn steps_before(&self) -> usize {
        self.reference.language_model().checkpoint().config().layers
    }

    fn blocks(&self) -> usize {
        self.reference.config().blocks
    }

    fn last_pass(&self) -> usize {
        self.recycles
    }

    fn begin(&self, observer: &mut dyn Observer) -> Result<FoldRun, ReferenceError> {
        self.reference.begin(self.folds, self.recycles, WANT, observer)
    }

    fn resume(&self, state: FoldState) -> Result<FoldRun, ReferenceError> {
        self.reference.resume(self.folds, self.recycles, WANT, state)
    }

    fn place(&self, run: &FoldRun) -> (usize, usize) {
        run.place()
    }

    fn block(&self, run: &mut FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        self.reference.block(run, observer)
    }

    fn finish(&self, run: FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        self.reference.finish(run, observer).map(drop)
    }

    fn state(&self, run: &FoldRun) -> Result<FoldState, ReferenceError> {
        run.state()
    }
}
