//! Calibration: the float model runs over sequences, and every site's codes are chosen from the values seen.
//!
//! One layer at a time: when its last sequence is through, its samples are reduced to choices and dropped, so that memory
//! holds one layer's samples.

mod outliers;
mod residual;
mod sample;

use std::collections::BTreeMap;

pub use residual::ResidualChoice;
use sample::Sample;

use crate::reference::{Layer, LayerNorm, Observer, Reference, ReferenceError, Site, Want};
use crate::scheme::Scheme;

/// Rows that are kept of every site; statistics that need one number per channel see every row.
const ROWS_KEPT: usize = 2048;

/// What calibration chose.
#[derive(Debug, Default)]
pub struct Calibration {
    /// Outlier channels of each Linear's input, ascending.
    pub outliers: BTreeMap<Site, Vec<u16>>,
    /// The codec of each residual site.
    pub residuals: BTreeMap<Site, ResidualChoice>,
    /// Sampled inputs of each Linear, `[rows, channels]`, if weights are to be rounded with them.
    pub inputs: BTreeMap<Site, Vec<f32>>,
    /// Signal-to-noise ratio of each site's codes on the calibration values, in dB.
    pub snr: BTreeMap<Site, f64>,
}

impl Calibration {
    /// The largest magnitude that any residual site must hold.
    pub fn residual_range(&self) -> f64 {
        self.residuals.values().map(ResidualChoice::range).fold(0.0, f64::max)
    }
}

/// Runs `sequences` (tokens with `<cls>` and `<eos>`) through the float model. `progress` is called after every layer of
/// every sequence.
///
/// # Errors
/// As [`Reference::run_batch`].
pub fn calibrate(
    reference: &Reference,
    sequences: &[Vec<u8>],
    scheme: &Scheme,
    progress: &mut dyn FnMut(),
) -> Result<Calibration, ReferenceError> {
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    let mut collector = Collector {
        scheme,
        importance: importance(reference)?,
        keep_every: tokens.div_ceil(ROWS_KEPT).max(1),
        last: sequences.len().saturating_sub(1),
        samples: BTreeMap::new(),
        calibration: Calibration::default(),
        progress,
    };
    let logits = reference.checkpoint().has_lm_head();
    reference.run_batch(sequences, Want { logits, ..Want::default() }, &mut collector)?;
    collector.reduce();
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
    progress: &'a mut dyn FnMut(),
}

impl Collector<'_> {
    /// Turns the samples at hand into choices.
    fn reduce(&mut self) {
        for (site, sample) in std::mem::take(&mut self.samples) {
            let snr = if let Some(importance) = self.importance.get(&site) {
                let choice = residual::choose(&sample, importance, self.scheme);
                let snr = choice.snr(&sample);
                self.calibration.residuals.insert(site, choice);
                snr
            } else {
                let count = (sample.channels() as f64 * self.scheme.outliers).round() as usize;
                let chosen = outliers::choose(&sample, count);
                let snr = outliers::snr(&sample, &chosen);
                self.calibration.outliers.insert(site, chosen);
                if self.scheme.compensate {
                    self.calibration.inputs.insert(site, sample.into_kept());
                }
                snr
            };
            self.calibration.snr.insert(site, snr);
        }
    }
}

impl Observer for Collector<'_> {
    fn wants(&self, site: Site) -> bool {
        site != Site::HeadNorm
    }

    fn values(&mut self, _sequence: usize, site: Site, values: &[f32], channels: usize) {
        let keep_every = self.keep_every;
        self.samples.entry(site).or_insert_with(|| Sample::new(channels, keep_every)).add(values);
    }

    fn layer_done(&mut self, _layer: usize, sequence: usize) {
        (self.progress)();
        if sequence == self.last {
            self.reduce();
        }
    }
}
