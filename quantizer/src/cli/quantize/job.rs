//! What differs between families of checkpoints.

use std::collections::BTreeMap;

use foldpoint_core::geometry::Residue;
use quantizer::calibrate::Calibration;
use quantizer::encode::Provenance;
use quantizer::estimate::Estimate;
use quantizer::scheme::Scheme;
use quantizer::work::Work;
use quantizer::writer::ModelWriter;
use sha2::{Digest, Sha256};

use crate::cli::phases::Phases;

/// A checkpoint to quantize, and what it is calibrated on.
pub(super) trait Job {
    /// What to call the checkpoint.
    fn name(&self) -> &str;
    /// SHA-256 of each of its files.
    fn hashes(&self) -> anyhow::Result<BTreeMap<String, String>>;
    /// Checks what no calibration changes: what would fail after hours of it fails now.
    fn check(&self) -> anyhow::Result<()>;
    /// What is chosen before calibration.
    fn scheme(&self) -> &Scheme;
    /// How many sequences it is calibrated on.
    fn sequences(&self) -> usize;
    /// How many residues are in them.
    fn residues(&self) -> usize;
    /// What differs if the sequences do.
    fn fingerprint(&self) -> String;
    /// What it takes.
    fn estimate(&self) -> Estimate;
    /// Parts of [`make`](Self::make).
    fn phases(&self) -> usize;
    /// Calibrates and rounds.
    fn make(&self, provenance: Provenance, work: &Work, phases: &mut Phases) -> anyhow::Result<Made>;
}

/// What a job gives.
pub(super) struct Made {
    pub writer: ModelWriter,
    pub calibration: Calibration,
    pub provenance: Provenance,
}

/// Residues of sequences with `<cls>` and `<eos>`.
pub(super) fn residues(sequences: &[Vec<u8>]) -> usize {
    sequences.iter().map(|tokens| tokens.len() - 2).sum()
}

/// What is between `<cls>` and `<eos>`.
pub(super) fn inside(tokens: &[u8]) -> Vec<Residue> {
    let inside = tokens.get(1..tokens.len() - 1).unwrap_or_default();
    inside.iter().filter_map(|&token| Residue::from_token(token)).collect()
}

/// A checksum of all tokens.
pub(super) fn fingerprint(sequences: &[Vec<u8>]) -> String {
    let mut tokens = Sha256::new();
    for sequence in sequences {
        tokens.update(sequence.len().to_le_bytes());
        tokens.update(sequence);
    }
    format!("{:x}", tokens.finalize())
}
