//! Calibration of a folding model, pass by pass and block by block, from where an earlier run has left it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::collector::{Collector, Samples};
use super::{Calibration, CalibrationError};
use crate::reference::{Observer, ReferenceError};

/// The record of a run between two trunk blocks.
const STATE: &str = "folding";

/// The record of what was chosen.
const DONE: &str = "folding.done";

/// A folding model with the sequences that it folds.
pub trait Passes {
    /// Sequences on their way.
    type Run;
    /// What is kept of them.
    type State: Serialize + DeserializeOwned;

    /// How many sequences there are.
    fn sequences(&self) -> usize;
    /// Steps of each sequence's progress before the first block.
    fn steps_before(&self) -> usize;
    /// Blocks of a pass.
    fn blocks(&self) -> usize;
    /// The last pass, counted from 0.
    fn last_pass(&self) -> usize;
    /// Everything before the first block.
    fn begin(&self, observer: &mut dyn Observer) -> Result<Self::Run, ReferenceError>;
    /// Goes on from `state`.
    fn resume(&self, state: Self::State) -> Result<Self::Run, ReferenceError>;
    /// The pass that runs and the block that comes next in it; the pass after the last once all have run.
    fn place(&self, run: &Self::Run) -> (usize, usize);
    /// Runs the next block.
    fn block(&self, run: &mut Self::Run, observer: &mut dyn Observer) -> Result<(), ReferenceError>;
    /// Everything after the last block.
    fn finish(&self, run: Self::Run, observer: &mut dyn Observer) -> Result<(), ReferenceError>;
    /// What [`resume`](Self::resume) takes.
    fn state(&self, run: &Self::Run) -> Result<Self::State, ReferenceError>;
}

#[derive(Serialize, Deserialize)]
struct State<S> {
    /// As [`Passes::place`].
    place: (usize, usize),
    run: S,
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

/// Runs `model` through all passes and adds the choices to those that `collector` has.
///
/// # Errors
/// Those of the model; also if what is done can't be kept.
pub fn run<M: Passes>(model: &M, mut collector: Collector<'_>) -> Result<Calibration, CalibrationError> {
    let (work, folds, before) = (collector.work, model.sequences(), model.steps_before());
    let (blocks, last_pass) = (model.blocks(), model.last_pass());
    if let Some(calibration) = work.load(DONE)? {
        (collector.progress)((before + blocks * (last_pass + 1)) * folds);
        return Ok(calibration);
    }
    let mut run = match work.load::<State<M::State>>(STATE)? {
        Some(State { place: (pass, block), run, samples: outside, calibration }) => {
            (collector.samples, collector.calibration) = (outside, calibration);
            for index in 0..blocks {
                // Those of the last pass are choices already.
                let seen = if index < block {
                    Some(pass).filter(|&pass| pass < last_pass)
                } else {
                    pass.checked_sub(1)
                };
                let Some(seen) = seen else { continue };
                collector.samples.extend(work.load::<Samples>(&samples(seen, index))?.unwrap_or_default());
            }
            (collector.progress)((before + pass * blocks + block) * folds);
            model.resume(run)?
        }
        None => model.begin(&mut collector)?,
    };
    while model.place(&run).0 <= last_pass {
        let (pass, block) = model.place(&run);
        model.block(&mut run, &mut collector)?;
        if pass == last_pass {
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
                place: model.place(&run),
                run: model.state(&run)?,
                samples: only(&collector.samples, |site| !site.starts_with("fold.trunk.")),
                calibration: collector.calibration.clone(),
            },
        )?;
        if let Some(before) = pass.checked_sub(1) {
            work.drop_record(&samples(before, block))?;
        }
    }
    model.finish(run, &mut collector)?;
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
