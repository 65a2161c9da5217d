//! Calibration of the language model.

use std::collections::BTreeMap;
use std::io;

use super::{Calibration, CalibrationError, ROWS_KEPT, Sample};
use crate::reference::{Layer, LayerNorm, Observer, Reference, ReferenceError, Site, Want};
use crate::scheme::Scheme;

/// Runs `sequences` (tokens with `<cls>` and `<eos>`) through the float model. `progress` is called after every layer of
/// every sequence.
///
/// # Errors
/// As [`Reference::run_batch`]; also if samples can't be kept on disk.
pub fn calibrate(
    reference: &Reference,
    sequences: &[Vec<u8>],
    scheme: &Scheme,
    progress: &mut dyn FnMut(),
) -> Result<Calibration, CalibrationError> {
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    let mut collector = Collector {
        scheme,
        importance: importance(reference)?,
        keep_every: tokens.div_ceil(ROWS_KEPT).max(1),
        last: sequences.len().saturating_sub(1),
        samples: BTreeMap::new(),
        calibration: Calibration::default(),
        failed: Ok(()),
        progress,
    };
    let logits = reference.checkpoint().has_lm_head();
    reference.run_batch(sequences, Want { logits, ..Want::default() }, &mut collector)?;
    collector.reduce();
    collector.failed?;
    Ok(collector.calibration)
}

/// For every residual site the squared gains of the LayerNorm that reads it next.
fn importance(reference: &Reference) -> Result<BTreeMap<Site, Vec<f64>>, ReferenceError> {
    let squares = |norm: &LayerNorm| norm.gain.iter().map(|&gain| f64::from(gain).powi(2)).collect();
    let layers = reference.checkpoint().config().layers;
    let mut importance = BTreeMap::from([(Site::Residual(layers), squares(reference.norm()))]);
    for index in 0..layers {
        let norm = Layer::load_attention_norm(reference.checkpoint(), index)?;
        importance.insert(Site::Residual(index), squares(&norm));
    }
    Ok(importance)
}

struct Collector<'a> {
    scheme: &'a Scheme,
    importance: BTreeMap<Site, Vec<f64>>,
    keep_every: usize,
    last: usize,
    samples: BTreeMap<Site, Sample>,
    calibration: Calibration,
    /// The first error: an observer can't return one.
    failed: io::Result<()>,
    progress: &'a mut dyn FnMut(),
}

impl Collector<'_> {
    /// Turns the samples at hand into choices.
    fn reduce(&mut self) {
        for (site, sample) in std::mem::take(&mut self.samples) {
            let name = site.to_string();
            if let Some(importance) = self.importance.get(&site) {
                self.calibration.choose_residual(name, &sample, importance, self.scheme);
            } else if self.failed.is_ok() {
                self.failed = self.calibration.choose_outliers(name, &sample, self.scheme);
            }
        }
    }
}

impl Observer for Collector<'_> {
    fn wants(&self, site: Site) -> bool {
        site != Site::HeadNorm
    }

    fn values(&mut self, _sequence: usize, site: Site, values: &[f32], channels: usize) {
        let keep_every = self.keep_every;
        self.samples.entry(site).or_insert_with(|| Sample::every(keep_every, channels)).add(values);
    }

    fn layer_done(&mut self, _layer: usize, sequence: usize) {
        (self.progress)();
        if sequence == self.last {
            self.reduce();
        }
    }
}
