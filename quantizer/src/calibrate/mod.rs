//! Calibration: the float model runs over sequences, and every site's codes are chosen from the values seen.
//!
//! One layer or trunk block at a time: when its last sequence is through, its samples are reduced to choices,
//! so that memory holds one layer's samples.

pub mod built_in;
mod collector;
mod fold;
mod language_model;
mod omegafold;
mod outliers;
mod passes;
mod residual;
mod sample;
mod uses;

use std::collections::BTreeMap;

pub use fold::calibrate_fold;
pub use language_model::calibrate;
pub use omegafold::{calibrate_cycles, calibrate_pseudo_msa};
pub use residual::ResidualChoice;
use sample::Sample;
use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointError;
use crate::reference::ReferenceError;
use crate::scheme::{Activations, Part, Residual, Scheme};
use crate::work::{Floats, Work, WorkError};

/// Rows that are kept of every site; statistics that need one number per channel see every row.
pub(crate) const ROWS_KEPT: usize = 2048;

/// Why calibration can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The float model can't run.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The folding model has a shape that inference refuses.
    #[error("this model can't run in integers: {0}")]
    Shape(&'static str),
    /// What is done can't be kept.
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl From<CheckpointError> for CalibrationError {
    fn from(error: CheckpointError) -> Self {
        Self::Reference(error.into())
    }
}

/// What calibration chose. Sites go by the names that their tensors have in a model file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// Outlier channels of each Linear's input, ascending.
    pub outliers: BTreeMap<String, Vec<u16>>,
    /// The codec of each residual site.
    pub residuals: BTreeMap<String, ResidualChoice>,
    /// The largest magnitude where values are only held, not stored.
    pub largest: BTreeMap<String, f64>,
    /// Signal-to-noise ratio of each site's codes on the calibration values, in dB.
    pub snr: BTreeMap<String, f64>,
}

impl Calibration {
    /// The largest magnitude that any residual site whose name begins with `prefix` must hold.
    pub fn residual_range(&self, prefix: &str) -> f64 {
        let sites = self.residuals.iter().filter(|(name, _)| name.starts_with(prefix));
        sites.map(|(_, choice)| choice.range()).fold(0.0, f64::max)
    }

    /// Chooses the codec of residual site `name`. `importance` is what a unit of squared error costs in each
    /// channel.
    fn choose_residual(&mut self, name: String, sample: &Sample, importance: &[f64], scheme: &Scheme) {
        let kind = scheme.part(Part::of(&name)).residual;
        let choice = residual::choose(sample, importance, kind, scheme);
        self.snr.insert(name.clone(), choice.snr(sample));
        self.residuals.insert(name, choice);
    }

    /// Chooses the codec of what is summed up between two residual sites.
    fn choose_middle(&mut self, name: String, sample: &Sample, scheme: &Scheme) {
        let choice = residual::choose(sample, &[], Residual::Wide, scheme);
        self.snr.insert(name.clone(), choice.snr(sample));
        self.residuals.insert(name, choice);
    }

    /// Chooses the outlier channels of the Linears that read `name`, and keeps their sampled inputs if
    /// weights are to be rounded with them.
    fn choose_outliers(
        &mut self,
        name: String,
        sample: &Sample,
        scheme: &Scheme,
        work: &Work,
    ) -> Result<(), WorkError> {
        let activations = scheme.activations(&name);
        let count = activations.outliers(sample.channels());
        let mut chosen = outliers::choose(sample, count);
        let mut snr = outliers::snr(sample, &chosen);
        if activations.asks_for_two_limbs(snr) {
            chosen = outliers::choose(sample, Activations::TwoLimbs.outliers(sample.channels()));
            snr = outliers::snr(sample, &chosen);
        }
        self.snr.insert(name.clone(), snr);
        if scheme.compensate {
            work.save(&inputs(&name), &Floats(sample.kept().to_vec()))?;
        }
        self.outliers.insert(name, chosen);
        Ok(())
    }
}

/// The record of the sampled inputs of the Linears that read `name`: `[rows, channels]`.
pub(crate) fn inputs(name: &str) -> String {
    format!("inputs.{name}")
}
