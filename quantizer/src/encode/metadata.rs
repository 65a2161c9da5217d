//! Where a model file comes from, for people and tools.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::calibrate::Calibration;
use crate::scheme::Scheme;

/// Where a model file comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// Name and version of the model, if it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// SHA-256 of each of its files, by file name.
    pub sha256: BTreeMap<String, String>,
    /// What was chosen for the language model.
    pub language_model: String,
    /// What was chosen for the folding trunk, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// What was chosen for structure module and heads, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<String>,
    /// Whether weights were rounded so that their errors make up for each other on the calibration inputs.
    pub compensated: bool,
    /// Part of the calibration values within the residual's range.
    pub percentile: f64,
    /// Factor from calibration range to stored range.
    pub headroom: f64,
    /// Name of the calibration file.
    pub calibration: String,
    /// Sequences that calibration ran.
    pub calibration_sequences: usize,
    /// Residues in them.
    pub calibration_residues: usize,
    /// Sequences that were folded in calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_folds: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    quantizer: &'static str,
    #[serde(flatten)]
    provenance: &'a Provenance,
    /// Signal-to-noise ratio of each site's codes on the calibration values.
    snr_db: BTreeMap<String, f64>,
}

impl Provenance {
    /// Says what `scheme` has for a folding model, and that so many sequences were folded.
    pub fn folded(&mut self, scheme: &Scheme, sequences: usize) {
        self.trunk = Some(scheme.trunk.to_string());
        self.structure = Some(format!("Linear inputs {}", scheme.structure.activations));
        self.calibration_folds = Some(sequences);
    }

    /// The text of `meta.json`.
    pub fn to_json(&self, calibration: &Calibration) -> String {
        let snr_db = calibration.snr.iter().map(|(site, snr)| (site.clone(), (snr * 100.0).round() / 100.0));
        let document =
            Document { quantizer: env!("CARGO_PKG_VERSION"), provenance: self, snr_db: snr_db.collect() };
        // Strings and numbers only: nothing here can fail to serialize.
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }
}
