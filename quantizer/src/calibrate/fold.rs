//! Calibration of the folding model.

use serde::{Deserialize, Serialize};

use super::collector::{Collector, Rows, Samples};
use super::uses::uses;
use super::{Calibration, CalibrationError};
use crate::checkpoint::structure_shape;
use crate::reference::esmfold::{Fold, FoldReference, FoldState, FoldWant};
use crate::scheme::Scheme;
use crate::work::Work;

/// The record of a run between two trunk blocks.
const STATE: &str = "folding";

/// The record of what was chosen.
const DONE: &str = "folding.done";

#[derive(Serialize, Deserialize)]
struct State {
    run: FoldState,
    /// Of all sites outside the trunk's blocks.
    samples: Samples,
    calibration: Calibration,
}

/// The record of a block's samples after a pass.
fn samples(pass: usize, block: usize) -> String {
    format!("folding.samples.{pass}.{block}")
}

/// What the names of a block's sites begin with.
fn sites(block: usize) -> String {
    format!("fold.trunk.{block}.")
}

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
    let (layers, blocks) = (checkpoint.config().layers, reference.config().blocks);
    if let Some(calibration) = work.load(DONE)? {
        progress((layers + blocks * (recycles + 1)) * folds.len());
        return Ok(calibration);
    }
    let mut collector = Collector {
        checkpoint,
        scheme,
        uses: uses(checkpoint, &checkpoint.parts().folding_model()),
        rows: Rows::Spread,
        last_pass: recycles,
        samples: Samples::new(),
        calibration,
        work,
        progress,
    };
    let want = FoldWant::default();
    let mut run = match work.load::<State>(STATE)? {
        Some(State { run, samples: outside, calibration }) => {
            (collector.samples, collector.calibration) = (outside, calibration);
            let (pass, block) = run.place();
            for index in 0..blocks {
                // Those of the last pass are choices already.
                let seen = if index < block {
                    Some(pass).filter(|&pass| pass < recycles)
                } else {
                    pass.checked_sub(1)
                };
                let Some(seen) = seen else { continue };
                collector.samples.extend(work.load::<Samples>(&samples(seen, index))?.unwrap_or_default());
            }
            (collector.progress)((layers + pass * blocks + block) * folds.len());
            reference.resume(folds, recycles, want, run)?
        }
        None => reference.begin(folds, recycles, want, &mut collector)?,
    };
    while !run.is_done() {
        let (pass, block) = run.place();
        reference.block(&mut run, &mut collector)?;
        if pass == recycles {
            collector.reduce(&sites(block))?;
        } else {
            work.save(
                &samples(pass, block),
                &only(&collector.samples, |site| site.starts_with(&sites(block))),
            )?;
        }
        work.save(
            STATE,
            &State {
                run: run.state()?,
                samples: only(&collector.samples, |site| !site.starts_with("fold.trunk.")),
                calibration: collector.calibration.clone(),
            },
        )?;
        if let Some(before) = pass.checked_sub(1) {
            work.drop_record(&samples(before, block))?;
        }
    }
    reference.finish(run, &mut collector)?;
    collector.reduce("")?;
    work.save(DONE, &collector.calibration)?;
    work.drop_record(STATE)?;
    Ok(collector.calibration)
}

/// The samples of some sites.
fn only(samples: &Samples, sites: impl Fn(&str) -> bool) -> Samples {
    samples
        .iter()
        .filter(|(site, _)| sites(site))
        .map(|(site, places)| (site.clone(), places.clone()))
        .collect()
}
