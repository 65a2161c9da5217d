//! OmegaFold.

use std::collections::BTreeMap;

use foldpoint_core::geometry::Residue;
use quantizer::calibrate::{calibrate_cycles, calibrate_pseudo_msa};
use quantizer::checkpoint::OmegaFold;
use quantizer::encode::{Provenance, check_omegafold, encode_omegafold};
use quantizer::estimate::{Estimate, estimate_omegafold};
use quantizer::reference::omegafold::{OmegaFoldReference, Options};
use quantizer::scheme::Scheme;
use quantizer::table::omegafold::groups;
use quantizer::work::Work;

use super::Arguments;
use super::job::{self, Made};
use super::report::file_name;
use crate::cli::phases::Phases;

/// Cycles of a fold in calibration. What a cycle takes up from the one before is there from the second on.
const CYCLES: usize = 3;

/// An OmegaFold with the sequences that it folds.
pub(super) struct Job<'c> {
    name: String,
    checkpoint: &'c OmegaFold,
    reference: OmegaFoldReference<'c>,
    scheme: Scheme,
    options: Options,
    /// With `<cls>` and `<eos>`.
    tokens: Vec<Vec<u8>>,
    sequences: Vec<Vec<Residue>>,
}

impl<'c> Job<'c> {
    pub fn new(
        arguments: &Arguments,
        checkpoint: &'c OmegaFold,
        sequences: &[Vec<u8>],
    ) -> anyhow::Result<Self> {
        let tokens = arguments.to_fold(sequences)?;
        Ok(Self {
            name: file_name(&arguments.checkpoint),
            checkpoint,
            reference: OmegaFoldReference::new(checkpoint)?,
            scheme: arguments.scheme(Scheme::omegafold()),
            options: Options { cycles: CYCLES, ..Options::default() },
            sequences: tokens.iter().map(|tokens| job::inside(tokens)).collect(),
            tokens,
        })
    }
}

impl job::Job for Job<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn hashes(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(self.checkpoint.hashes()?)
    }

    fn check(&self) -> anyhow::Result<()> {
        Ok(check_omegafold(&self.reference)?)
    }

    fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    fn sequences(&self) -> usize {
        self.tokens.len()
    }

    fn residues(&self) -> usize {
        job::residues(&self.tokens)
    }

    fn fingerprint(&self) -> String {
        job::fingerprint(&self.tokens)
    }

    fn estimate(&self) -> Estimate {
        let residues: Vec<usize> = self.sequences.iter().map(Vec::len).collect();
        estimate_omegafold(self.checkpoint.config(), &residues, &self.options, self.scheme.compensate)
    }

    fn phases(&self) -> usize {
        3
    }

    fn make(&self, mut provenance: Provenance, work: &Work, phases: &mut Phases) -> anyhow::Result<Made> {
        let (config, count) = (self.checkpoint.config(), self.sequences.len());
        let Self { reference, sequences, options, scheme, .. } = self;
        let (calibration, embedded) = phases.run("language model", config.layers * count, |bar| {
            let progress = &mut |done| bar.inc(done as u64);
            Ok(calibrate_pseudo_msa(reference, sequences, options, scheme, work, progress)?)
        })?;
        eprintln!("folding them in {CYCLES} cycles");
        let calibration = phases.run("folding", config.blocks * CYCLES * count, |bar| {
            let progress = &mut |done| bar.inc(done as u64);
            let start = (&embedded, calibration);
            Ok(calibrate_cycles(reference, sequences, options, start, scheme, work, progress)?)
        })?;
        provenance.folded(scheme, count);
        let writer = phases.run("rounding weights", groups(config).len(), |bar| {
            Ok(encode_omegafold(reference, &calibration, &provenance, work, &mut || bar.inc(1))?)
        })?;
        Ok(Made { writer, calibration, provenance })
    }
}
