//! Calibration of an OmegaFold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::collector::{Collector, Rows, Samples};
use super::passes::{self, Passes};
use super::uses::uses;
use super::{Calibration, CalibrationError};
use crate::reference::esmfold::residues::Residue;
use crate::reference::omegafold::modules::Module;
use crate::reference::omegafold::{Embedded, FoldRun, FoldState, LanguageState, OmegaFoldReference, Options};
use crate::reference::{Observer, ReferenceError};
use crate::scheme::Scheme;
use crate::table::omegafold::groups;
use crate::work::Work;

/// The record of a run between two layers.
const STATE: &str = "language-model";

/// The record of what was chosen.
const DONE: &str = "language-model.done";

/// What cycles start from.
const EMBEDDED: &str = "language-model.embedded";

#[derive(Serialize, Deserialize)]
struct State {
    run: LanguageState,
    calibration: Calibration,
}

/// Runs `sequences`, each with its pseudo-MSA, through the language model, from where an earlier run has left
/// `work`. Returns also what [`calibrate_cycles`] starts from. `progress` is called with the number of layers
/// done, of each sequence.
///
/// # Errors
/// A sequence has no residues, a tensor can't be read, or what is done can't be kept.
pub fn calibrate_pseudo_msa(
    reference: &OmegaFoldReference,
    sequences: &[Vec<Residue>],
    options: &Options,
    scheme: &Scheme,
    work: &Work,
    progress: &mut (dyn FnMut(usize) + Sync),
) -> Result<(Calibration, Embedded), CalibrationError> {
    let layers = reference.checkpoint().config().layers;
    if let (Some(calibration), Some(embedded)) = (work.load(DONE)?, work.load(EMBEDDED)?) {
        progress(layers * sequences.len());
        return Ok((calibration, embedded));
    }
    let (mut run, calibration) = match work.load(STATE)? {
        Some(State { run, calibration }) => (reference.resume_layers(sequences, options, run)?, calibration),
        None => (reference.begin_layers(sequences, options)?, Calibration::default()),
    };
    progress(run.next_layer() * sequences.len());
    let gains = gains(reference)?;
    let mut uses = uses(&groups(reference.checkpoint().config()));
    uses.retain(|site, _| is_before_cycles(site));
    let mut collector = Collector {
        gains: &|norm| Ok(gains.get(norm).cloned()),
        scheme,
        uses,
        rows: Rows::Spread,
        last_pass: 0,
        samples: Samples::new(),
        calibration,
        work,
        progress,
    };
    while run.next_layer() < layers {
        reference.next_layer(&mut run, &mut collector)?;
        collector.reduce("")?;
        work.save(STATE, &State { run: run.state()?, calibration: collector.calibration.clone() })?;
    }
    let embedded = reference.finish_layers(run, &mut collector)?;
    collector.reduce("")?;
    work.save(EMBEDDED, &embedded)?;
    work.save(DONE, &collector.calibration)?;
    work.drop_record(STATE)?;
    Ok((collector.calibration, embedded))
}

/// Runs the same `sequences` in so many cycles as `options` says, from where an earlier run has left `work`,
/// from what [`calibrate_pseudo_msa`] gave, and adds the choices to those of the language model. Every cycle has the pseudo-MSA of
/// the first. `progress` is called with the number of blocks done, of each sequence.
///
/// # Errors
/// As [`calibrate_pseudo_msa`]; also if there is no cycle.
pub fn calibrate_cycles(
    reference: &OmegaFoldReference,
    sequences: &[Vec<Residue>],
    options: &Options,
    (embedded, calibration): (&Embedded, Calibration),
    scheme: &Scheme,
    work: &Work,
    progress: &mut (dyn FnMut(usize) + Sync),
) -> Result<Calibration, CalibrationError> {
    let Some(last_pass) = options.cycles.checked_sub(1) else {
        return Err(CalibrationError::Shape("at least one cycle is needed"));
    };
    let gains = gains(reference)?;
    let mut uses = uses(&groups(reference.checkpoint().config()));
    uses.retain(|site, _| !is_before_cycles(site));
    let collector = Collector {
        gains: &|norm| Ok(gains.get(norm).cloned()),
        scheme,
        uses,
        rows: Rows::Spread,
        last_pass,
        samples: Samples::new(),
        calibration,
        work,
        progress,
    };
    passes::run(&Cycles { reference, sequences, options, embedded }, collector)
}

/// Whether a site is seen before the first cycle's first block.
fn is_before_cycles(site: &str) -> bool {
    site.starts_with("lm.") || site.starts_with("fold.embedding.")
}

/// The gains of normalizations that have some.
fn gains(reference: &OmegaFoldReference) -> Result<BTreeMap<String, Vec<f32>>, ReferenceError> {
    let gain = |(name, module)| match module {
        Module::Norm(norm) => Some((name, norm.gain)),
        _ => None,
    };
    Ok(reference.other_modules()?.into_iter().filter_map(gain).collect())
}

struct Cycles<'r, 'c> {
    reference: &'r OmegaFoldReference<'c>,
    sequences: &'r [Vec<Residue>],
    options: &'r Options,
    embedded: &'r Embedded,
}

impl Passes for Cycles<'_, '_> {
    type Run = FoldRun;
    type State = FoldState;

    fn sequences(&self) -> usize {
        self.sequences.len()
    }

    fn steps_before(&self) -> usize {
        0
    }

    fn blocks(&self) -> usize {
        self.reference.checkpoint().config().blocks
    }

    fn last_pass(&self) -> usize {
        self.options.cycles.saturating_sub(1)
    }

    fn begin(&self, _observer: &mut dyn Observer) -> Result<FoldRun, ReferenceError> {
        self.reference.begin_blocks(self.sequences, self.options, self.embedded)
    }

    fn resume(&self, state: FoldState) -> Result<FoldRun, ReferenceError> {
        self.reference.resume_blocks(self.sequences, self.options, self.embedded, state)
    }

    fn place(&self, run: &FoldRun) -> (usize, usize) {
        run.place()
    }

    fn block(&self, run: &mut FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        self.reference.next_block(run, observer)
    }

    fn finish(&self, run: FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        self.reference.finish_blocks(run, observer)
    }

    fn state(&self, run: &FoldRun) -> Result<FoldState, ReferenceError> {
        run.state()
    }
}
