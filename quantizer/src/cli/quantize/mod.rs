//! The main job: a checkpoint in, a model file out. What differs between families of checkpoints is a
//! [`Job`].

mod choice;
mod esm;
mod job;
mod omegafold;
mod report;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use fasta::{FastaError, RecordProblem};
use foldpoint_core::alphabet;
use quantizer::calibrate::built_in;
use quantizer::checkpoint::OmegaFold;
use quantizer::encode::{Provenance, RECORDS};
use quantizer::scheme::{Activations, Part, Residual, Scheme};
use quantizer::space;
use quantizer::work::{Identity, Work};

use self::choice::{Choice, part, residual_bits};
use self::job::{Job, Made};
use super::destination;
use super::estimate as dry_run;
use super::phases::Phases;
use super::source;
use super::threads;
use super::unfinished;

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Many codes where values are dense, few in the tails.
    Piecewise,
    /// Equal steps over the whole range.
    Uniform,
}

#[derive(Args)]
pub struct Arguments {
    /// HuggingFace folder, a folder of the hub's cache, fair-esm .pt file, another file of PyTorch weights,
    /// the folder of a LoRA adapter, or OmegaFold's release1.pt. If there is no such path,
    /// ORG/NAME[@REVISION] is a model of the HuggingFace hub: it is taken from the hub's cache (HF_HUB_CACHE,
    /// HF_HOME), or downloaded into it.
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// The weights that an adapter is merged into, a path or a name, if they aren't beside it [default: the
    /// model of the hub that it was trained on].
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Model file to write [default: NAME.fpm in the user's folder of models, which FOLDPOINT_MODELS names,
    /// and where `foldpoint --model NAME` finds it; NAME is the checkpoint's].
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sequences that ranges and breakpoints are measured on, some dozens of natural proteins: a file, plain
    /// or gzipped, a folder of files, or `-` for the standard input [default: 66 that are built in].
    #[arg(long, value_name = "FASTA")]
    calibration: Option<PathBuf>,
    /// Name and version of the model, for `foldpoint info` to show.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Bits of a stored residual value, in the language model and in the folding trunk.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = residual_bits)]
    residual_bits: u32,
    /// Codes of a residual stream of up to 8 bits.
    #[arg(long, value_enum, default_value = "piecewise")]
    scheme: Kind,
    /// Percentage of each Linear's input channels that have 15 bits instead of 8, in the language model and
    /// in the folding trunk [default: 5; in ESMFold's language model, all channels have; in OmegaFold, 5
    /// where that gives 35 dB, otherwise all].
    #[arg(long, value_name = "PERCENT")]
    outliers: Option<f64>,
    /// What one part of the model does otherwise. PART is lm, trunk or structure (the structure module and
    /// the heads). Choices are residual=16, residual=N (piecewise codes of N bits), residual=N-uniform, and
    /// activations=16 (15 bits in all input channels of Linears), activations=P% (as --outliers) or
    /// activations=NdB (5%, and all where the signal-to-noise ratio in calibration is below N dB). By default
    /// structure:activations=16.
    #[arg(long = "part", value_name = "PART:CHOICE", value_parser = part)]
    parts: Vec<(Part, Choice)>,
    /// Round every weight to nearest, instead of letting the errors of a row make up for each other on the
    /// calibration inputs.
    #[arg(long)]
    round_to_nearest: bool,
    /// Percentage of the calibration values that the residual's range must hold; the rest is clipped.
    /// Clipping costs accuracy on every checkpoint measured so far.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    percentile: f64,
    /// Factor from the largest residual value in calibration to the largest that can be stored.
    #[arg(long, value_name = "FACTOR", default_value_t = Scheme::default().headroom)]
    headroom: f64,
    /// Calibrate on the first N sequences that are not too long.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Leave out calibration sequences of more than N residues.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
    /// Fold the first N calibration sequences that are not too long for it; an OmegaFold is calibrated on
    /// these alone.
    #[arg(long, value_name = "N", default_value_t = 24)]
    fold_limit: usize,
    /// Don't fold calibration sequences of more than N residues.
    #[arg(long, value_name = "N", default_value_t = 128)]
    fold_max_len: usize,
    /// Threads [default: RAYON_NUM_THREADS, or all processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Only say how much memory, disk and time it would take.
    #[arg(long)]
    dry_run: bool,
    /// Print the seconds of each phase.
    #[arg(short, long)]
    verbose: bool,
}

impl Arguments {
    pub fn run(self) -> anyhow::Result<()> {
        self.check()?;
        threads::start(self.threads)?;
        // Before the checkpoint, which may have to be downloaded.
        let sequences = self.sequences()?;
        if OmegaFold::is_at(&self.checkpoint) {
            let checkpoint = self.omegafold()?;
            return self.quantize(&omegafold::Job::new(&self, &checkpoint, &sequences)?);
        }
        let checkpoint = source::open(&self.checkpoint, self.base.as_deref())?;
        self.quantize(&esm::Job::new(&self, &checkpoint, sequences)?)
    }

    fn quantize(&self, job: &dyn Job) -> anyhow::Result<()> {
        let out = destination::choose(self.out.as_deref(), &self.checkpoint, job.name())?;
        job.check().with_context(|| self.checkpoint.display().to_string())?;
        eprintln!("calibrating on {} sequences, {} residues", job.sequences(), job.residues());
        let estimate = job.estimate();
        if self.dry_run {
            return dry_run::print(&estimate, &out);
        }
        let mut phases = Phases::new(job.phases() + 2, self.verbose);
        let sha256 = phases.run("checksums", 0, |_| job.hashes())?;
        let folder = unfinished::folder(&out);
        let needed = (estimate.model + estimate.work) as u64;
        space::require(&folder, needed.saturating_sub(space::taken(&folder)))
            .context("free some, or give -o a file on another disk")?;
        let work = Work::open(&folder, &self.identity(&sha256, job))?;
        if work.is_resumed() {
            eprintln!("going on with what an unfinished run has left in {}", folder.display());
        }
        let done = job.make(self.provenance(job, sha256), &work, &mut phases);
        let Made { writer, calibration, provenance } = match done {
            Ok(done) => done,
            Err(error) => return Err(unfinished::end(error, work, &folder)),
        };
        phases.run("writing", 0, |_| Ok(writer.write_through(&folder, &out)?))?;
        drop(writer);
        work.remove(&RECORDS)?;
        report::print(&calibration, &provenance, &out)
    }

    /// What a model file says of its making; a job adds what it has folded.
    fn provenance(&self, job: &dyn Job, sha256: BTreeMap<String, String>) -> Provenance {
        let scheme = job.scheme();
        Provenance {
            name: self.name.clone(),
            checkpoint: job.name().to_owned(),
            sha256,
            language_model: scheme.language_model.to_string(),
            trunk: None,
            structure: None,
            compensated: scheme.compensate,
            percentile: scheme.percentile,
            headroom: scheme.headroom,
            calibration: self.calibration.as_deref().map_or_else(|| built_in::NAME.into(), report::file_name),
            calibration_sequences: job.sequences(),
            calibration_residues: job.residues(),
            calibration_folds: None,
        }
    }

    /// The OmegaFold to quantize.
    fn omegafold(&self) -> anyhow::Result<OmegaFold> {
        let path = self.checkpoint.display();
        ensure!(self.base.is_none(), "{path}: --base is for adapters; this is an OmegaFold");
        Ok(OmegaFold::open(&self.checkpoint)?)
    }

    /// What an unfinished run must have been made of for this one to go on with it.
    fn identity(&self, sha256: &BTreeMap<String, String>, job: &dyn Job) -> Identity {
        let hashes: Vec<&str> = sha256.values().map(String::as_str).collect();
        let (scheme, limits) = (job.scheme(), format!("{} {}", self.fold_limit, self.fold_max_len));
        Identity::from([
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("checkpoint".to_owned(), hashes.join(" ")),
            ("set of calibration sequences".to_owned(), job.fingerprint()),
            ("choice of options".to_owned(), format!("{scheme:?} {limits}")),
        ])
    }

    /// The sequences to fold, which are short enough.
    ///
    /// # Errors
    /// There is none: calibration takes hours, and what would fail after it fails now.
    fn to_fold(&self, sequences: &[Vec<u8>]) -> anyhow::Result<Vec<Vec<u8>>> {
        let short = sequences.iter().filter(|tokens| tokens.len() - 2 <= self.fold_max_len);
        let short: Vec<Vec<u8>> = short.take(self.fold_limit).cloned().collect();
        ensure!(
            !short.is_empty(),
            "{}: no sequence of at most {} residues to fold (--fold-max-len, --fold-limit)",
            self.calibration_name(),
            self.fold_max_len
        );
        Ok(short)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.out.as_deref().map_or(Ok(()), destination::check)?;
        ensure!(
            self.outliers.is_none_or(|percent| (0.0..=100.0).contains(&percent)),
            "--outliers: a percentage from 0 to 100 was expected"
        );
        ensure!(
            (50.0..=100.0).contains(&self.percentile),
            "--percentile: a percentage from 50 to 100 was expected"
        );
        ensure!((1.0..=64.0).contains(&self.headroom), "--headroom: a factor from 1 to 64 was expected");
        Ok(())
    }

    /// The choices, where the user made none those of `default`.
    fn scheme(&self, default: Scheme) -> Scheme {
        let mut scheme = Scheme {
            compensate: !self.round_to_nearest,
            percentile: self.percentile / 100.0,
            headroom: self.headroom,
            ..default
        };
        for part in [Part::LanguageModel, Part::Trunk] {
            let part = scheme.part_mut(part);
            if let Some(percent) = self.outliers {
                part.activations = Activations::Outliers(percent / 100.0);
            }
            part.residual = match (self.residual_bits, self.scheme) {
                (16, _) => Residual::Wide,
                (bits, Kind::Piecewise) => Residual::Piecewise(bits),
                (bits, Kind::Uniform) => Residual::Uniform(bits),
            };
        }
        for &(part, choice) in &self.parts {
            match choice {
                Choice::Residual(residual) => scheme.part_mut(part).residual = residual,
                Choice::Activations(activations) => scheme.part_mut(part).activations = activations,
            }
        }
        scheme
    }

    fn sequences(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let batch = match &self.calibration {
            Some(path) => fasta::read_paths(&[path], self.max_len),
            None => built_in::sequences(self.max_len),
        };
        let batch = batch.single_chains().without_masks();
        batch.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        ensure_readable(batch.failures)?;
        for error in &batch.rejected {
            match error.problem {
                RecordProblem::Masked => eprintln!(
                    "warning: left out: {}: found a mask (`<mask>` or `_`); ranges are measured on whole sequences",
                    error.place
                ),
                _ => eprintln!("warning: left out: {error}"),
            }
        }
        let tokens = batch.sequences.iter().map(|sequence| alphabet::tokens(&sequence.residues).collect());
        let sequences: Vec<Vec<u8>> = tokens.take(self.limit.unwrap_or(usize::MAX)).collect();
        ensure!(
            !sequences.is_empty(),
            "{}: no sequence of one chain and at most {} residues to calibrate with",
            self.calibration_name(),
            self.max_len
        );
        Ok(sequences)
    }

    /// The calibration sequences in messages.
    fn calibration_name(&self) -> String {
        self.calibration.as_ref().map_or_else(|| built_in::NAME.into(), |path| path.display().to_string())
    }
}

/// Fails if a file can't be read, or not to its end: a model shall not depend on where.
fn ensure_readable(failures: Vec<FastaError>) -> anyhow::Result<()> {
    failures.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}
