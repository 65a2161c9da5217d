//! ESM-2 and ESMFold.

use std::collections::BTreeMap;

use quantizer::calibrate::{calibrate, calibrate_fold};
use quantizer::checkpoint::Checkpoint;
use quantizer::encode::{Provenance, check, encode, groups};
use quantizer::estimate::{Estimate, estimate};
use quantizer::reference::Reference;
use quantizer::reference::esmfold::{Fold, FoldReference};
use quantizer::scheme::Scheme;
use quantizer::work::Work;

use super::Arguments;
use super::job::{self, Made};
use crate::cli::phases::Phases;

/// A language model, or a folding model with the sequences that it folds.
pub(super) struct Job<'c> {
    checkpoint: &'c Checkpoint,
    reference: Reference<'c>,
    scheme: Scheme,
    /// With `<cls>` and `<eos>`.
    sequences: Vec<Vec<u8>>,
    folds: Vec<Vec<u8>>,
}

impl<'c> Job<'c> {
    pub fn new(
        arguments: &Arguments,
        checkpoint: &'c Checkpoint,
        sequences: Vec<Vec<u8>>,
    ) -> anyhow::Result<Self> {
        let folding = checkpoint.fold_config().is_some();
        Ok(Self {
            checkpoint,
            reference: Reference::new(checkpoint)?,
            scheme: arguments.scheme(if folding { Scheme::folding() } else { Scheme::default() }),
            folds: if folding { arguments.to_fold(&sequences)? } else { Vec::new() },
            sequences,
        })
    }

    /// Passes of a fold.
    fn passes(&self) -> usize {
        self.checkpoint.fold_config().map_or(0, |config| config.max_recycles)
    }
}

impl job::Job for Job<'_> {
    fn name(&self) -> &str {
        self.checkpoint.name()
    }

    fn hashes(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(self.checkpoint.hashes()?)
    }

    fn check(&self) -> anyhow::Result<()> {
        Ok(check(self.checkpoint)?)
    }

    fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    fn sequences(&self) -> usize {
        self.sequences.len()
    }

    fn residues(&self) -> usize {
        job::residues(&self.sequences)
    }

    fn fingerprint(&self) -> String {
        job::fingerprint(&self.sequences)
    }

    fn estimate(&self) -> Estimate {
        let tokens: Vec<usize> = self.sequences.iter().map(Vec::len).collect();
        let residues: Vec<usize> = self.folds.iter().map(|tokens| tokens.len() - 2).collect();
        estimate(self.checkpoint, &tokens, &residues, self.passes(), self.scheme.compensate)
    }

    fn phases(&self) -> usize {
        if self.checkpoint.fold_config().is_some() { 3 } else { 2 }
    }

    fn make(&self, mut provenance: Provenance, work: &Work, phases: &mut Phases) -> anyhow::Result<Made> {
        let (checkpoint, scheme) = (self.checkpoint, &self.scheme);
        let layers = checkpoint.config().layers;
        let mut calibration = phases.run("language model", layers * self.sequences.len(), |bar| {
            let progress = &mut |done| bar.inc(done as u64);
            Ok(calibrate(&self.reference, &self.sequences, scheme, work, progress)?)
        })?;
        if let Some(config) = checkpoint.fold_config() {
            let folds: Vec<Fold> = self.folds.iter().map(|tokens| Fold::chain(tokens)).collect();
            eprintln!("folding {} of them, {} passes", folds.len(), self.passes());
            let steps = layers + config.blocks * self.passes();
            let reference = FoldReference::new(checkpoint)?;
            calibration = phases.run("folding", steps * folds.len(), |bar| {
                let progress = &mut |done| bar.inc(done as u64);
                let recycles = self.passes() - 1;
                Ok(calibrate_fold(&reference, &folds, recycles, scheme, calibration, work, progress)?)
            })?;
            provenance.folded(scheme, folds.len());
        }
        let writer = phases.run("rounding weights", groups(checkpoint).len(), |bar| {
            Ok(encode(checkpoint, &calibration, &provenance, work, &mut || bar.inc(1))?)
        })?;
        Ok(Made { writer, calibration, provenance })
    }
}
