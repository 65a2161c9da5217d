//! Calibration of the language model.

use serde::{Deserialize, Serialize};

use super::collector::{Collector, Rows, Samples};
use super::uses::uses;
use super::{Calibration, CalibrationError, ROWS_KEPT};
use crate::reference::{Reference, Want, Weights};
use crate::scheme::Scheme;
use crate::work::{Floats, Work};

/// The record of a run between two layers.
const STATE: &str = "language-model";

/// The record of what was chosen.
const DONE: &str = "language-model.done";

#[derive(Serialize, Deserialize)]
struct State {
    layer: usize,
    streams: Vec<Floats>,
    calibration: Calibration,
}

/// Runs `sequences` (tokens with `<cls>` and `<eos>`) through the float model, from where an earlier run has
/// left `work`. `progress` is called with the number of layers done, of each sequence.
///
/// # Errors
/// As [`Reference::run_batch`]; also if what is done can't be kept.
pub fn calibrate(
    reference: &Reference,
    sequences: &[Vec<u8>],
    scheme: &Scheme,
    work: &Work,
    progress: &mut (dyn FnMut(usize) + Sync),
) -> Result<Calibration, CalibrationError> {
    let checkpoint = reference.checkpoint();
    let layers = checkpoint.config().layers;
    if let Some(calibration) = work.load(DONE)? {
        progress(layers * sequences.len());
        return Ok(calibration);
    }
    let want = Want { logits: checkpoint.has_lm_head(), ..Want::default() };
    let (mut run, calibration) = match work.load(STATE)? {
        Some(State { layer, streams, calibration }) => {
            progress(layer * sequences.len());
            (reference.resume(sequences, want, layer, streams)?, calibration)
        }
        None => (reference.begin(sequences, want)?, Calibration::default()),
    };
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    let weights = Weights::new(checkpoint);
    let mut collector = Collector {
        gains: &|norm| Ok(Some(weights.norm(norm)?.gain)),
        scheme,
        uses: uses(&checkpoint.groups(&checkpoint.parts().language_model())),
        rows: Rows::Every(tokens.div_ceil(ROWS_KEPT).max(1)),
        last_pass: 0,
        samples: Samples::new(),
        calibration,
        work,
        progress,
    };
    while run.next_layer() < layers {
        reference.layer(&mut run, &mut collector)?;
        collector.reduce("lm.")?;
        let (layer, streams) = (run.next_layer(), run.streams()?);
        work.save(STATE, &State { layer, streams, calibration: collector.calibration.clone() })?;
    }
    reference.finish(run, &mut collector)?;
    collector.reduce("")?;
    work.save(DONE, &collector.calibration)?;
    work.drop_record(STATE)?;
    Ok(collector.calibration)
}
