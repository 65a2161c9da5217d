//! Calibration of the language model.

use std::collections::BTreeMap;

use super::collector::{Collector, Rows};
use super::uses::uses;
use super::{Calibration, CalibrationError, ROWS_KEPT};
use crate::reference::{Reference, Want};
use crate::scheme::Scheme;

/// Runs `sequences` (tokens with `<cls>` and `<eos>`) through the float model. `progress` is called after
/// every layer of every sequence.
///
/// # Errors
/// As [`Reference::run_batch`]; also if samples can't be kept on disk.
pub fn calibrate(
    reference: &Reference,
    sequences: &[Vec<u8>],
    scheme: &Scheme,
    progress: &mut (dyn FnMut() + Sync),
) -> Result<Calibration, CalibrationError> {
    let checkpoint = reference.checkpoint();
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    let mut calibration = Calibration::default();
    let mut collector = Collector {
        checkpoint,
        scheme,
        uses: uses(checkpoint, &checkpoint.parts().language_model()),
        rows: Rows::Every(tokens.div_ceil(ROWS_KEPT).max(1)),
        last_pass: 0,
        last_sequence: sequences.len().saturating_sub(1),
        samples: BTreeMap::new(),
        calibration: &mut calibration,
        failed: Ok(()),
        progress,
    };
    let want = Want { logits: checkpoint.has_lm_head(), ..Want::default() };
    reference.run_batch(sequences, want, &mut collector)?;
    collector.finish()?;
    Ok(calibration)
}
