//! The main job: a checkpoint in, a model file out.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use fasta::{FastaError, RecordProblem};
use foldpoint_core::alphabet;
use quantizer::calibrate::{Calibration, built_in, calibrate, calibrate_fold};
use quantizer::checkpoint::Checkpoint;
use quantizer::encode::{Provenance, RECORDS, check, encode, groups};
use quantizer::estimate::{Estimate, estimate};
use quantizer::reference::Reference;
use quantizer::reference::esmfold::{Fold, FoldReference};
use quantizer::scheme::{Activations, Part, Residual, Scheme};
use quantizer::space;
use quantizer::work::{Identity, Work};
use quantizer::writer::ModelWriter;
use sha2::{Digest, Sha256};

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
    /// or the folder of a LoRA adapter. If there is no such path, ORG/NAME[@REVISION] is a model of the
    /// HuggingFace hub: it is taken from the hub's cache (HF_HUB_CACHE, HF_HOME), or downloaded into it.
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
    /// in the folding trunk [default: 5; in the language model of a folding checkpoint, all channels have].
    #[arg(long, value_name = "PERCENT")]
    outliers: Option<f64>,
    /// What one part of the model does otherwise. PART is lm, trunk or structure (the structure module and
    /// the heads). Choices are residual=16, residual=N (piecewise codes of N bits), residual=N-uniform, and
    /// activations=16 (15 bits in all input channels of Linears) or activations=P% (as --outliers). By
    /// default structure:activations=16.
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
    /// Fold the first N calibration sequences that are not too long for it.
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

/// A choice for one part of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    Residual(Residual),
    Activations(Activations),
}

fn part(text: &str) -> Result<(Part, Choice), String> {
    let (part, choice) = text.split_once(':').ok_or("PART:CHOICE was expected, as in trunk:residual=8")?;
    let part = match part {
        "lm" => Part::LanguageModel,
        "trunk" => Part::Trunk,
        "structure" => Part::Structure,
        _ => return Err("the part must be lm, trunk or structure".to_owned()),
    };
    let choice = match choice.split_once('=') {
        Some(("residual", "16")) => Choice::Residual(Residual::Wide),
        Some(("residual", text)) => {
            let (bits, uniform) = text.strip_suffix("-uniform").map_or((text, false), |bits| (bits, true));
            let bits = residual_bits(bits).ok().filter(|&bits| bits <= 8);
            let bits = bits.ok_or("a residual has 16, 2 to 8, or 2-uniform to 8-uniform bits")?;
            Choice::Residual(if uniform { Residual::Uniform(bits) } else { Residual::Piecewise(bits) })
        }
        Some(("activations", "16")) => Choice::Activations(Activations::TwoLimbs),
        Some(("activations", text)) => {
            let percent = text.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            let percent = percent.ok_or("activations are 16, or a percentage from 0% to 100%")?;
            Choice::Activations(Activations::Outliers(percent / 100.0))
        }
        _ => return Err("the choice must be residual=... or activations=...".to_owned()),
    };
    Ok((part, choice))
}

fn residual_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2..=8 | 16)) => Ok(bits),
        _ => Err("2 to 8, or 16".to_owned()),
    }
}

impl Arguments {
    pub fn run(self) -> anyhow::Result<()> {
        self.check()?;
        threads::start(self.threads)?;
        // Before the checkpoint, which may have to be downloaded.
        let sequences = self.sequences()?;
        let checkpoint = source::open(&self.checkpoint, self.base.as_deref())?;
        let out = destination::choose(self.out.as_deref(), &self.checkpoint, checkpoint.name())?;
        let scheme = self.scheme(checkpoint.fold_config().is_some());
        // Calibration takes hours; what would fail after it fails now.
        let folding = checkpoint.fold_config().is_some();
        ensure!(
            !folding || self.fold_limit > 0 && self.short(&sequences).next().is_some(),
            "{}: no sequence of at most {} residues to fold (--fold-max-len, --fold-limit)",
            self.calibration_name(),
            self.fold_max_len
        );
        let reference = Reference::new(&checkpoint)?;
        check(&checkpoint)?;
        eprintln!("calibrating on {} sequences, {} residues", sequences.len(), residues(&sequences));
        let estimate = self.estimate(&checkpoint, &sequences, &scheme);
        if self.dry_run {
            return dry_run::print(&estimate, &out);
        }
        let mut phases = Phases::new(if folding { 5 } else { 4 }, self.verbose);
        let sha256 = phases.run("checksums", 0, |_| Ok(checkpoint.hashes()?))?;
        let folder = unfinished::folder(&out);
        let needed = (estimate.model + estimate.work) as u64;
        space::require(&folder, needed.saturating_sub(space::taken(&folder)))
            .context("free some, or give -o a file on another disk")?;
        let work = Work::open(&folder, &self.identity(&sha256, &sequences, &scheme))?;
        if work.is_resumed() {
            eprintln!("going on with what an unfinished run has left in {}", folder.display());
        }
        let done = self.make(&reference, &sequences, &scheme, sha256, &work, &mut phases);
        let (writer, calibration, provenance) = match done {
            Ok(done) => done,
            Err(error) => return Err(unfinished::end(error, work, &folder)),
        };
        phases.run("writing", 0, |_| Ok(writer.write_through(&folder, &out)?))?;
        drop(writer);
        work.remove(&RECORDS)?;
        report(&calibration);
        let bytes = std::fs::metadata(&out).with_context(|| out.display().to_string())?.len();
        eprintln!("{}: {:.1} MiB", out.display(), bytes as f64 / 1048576.0);
        if let Some(name) = destination::name_in_store(&out) {
            eprintln!("  to run it: foldpoint predict FASTA -o DIR --model {name}");
        }
        let parts = [("language model", Some(&provenance.language_model))];
        let parts = parts.into_iter().chain([
            ("trunk", provenance.trunk.as_ref()),
            ("structure module and heads", provenance.structure.as_ref()),
        ]);
        for (part, choice) in parts {
            if let Some(choice) = choice {
                eprintln!("  {part}: {choice}");
            }
        }
        Ok(())
    }

    /// Calibrates and rounds.
    fn make(
        &self,
        reference: &Reference,
        sequences: &[Vec<u8>],
        scheme: &Scheme,
        sha256: BTreeMap<String, String>,
        work: &Work,
        phases: &mut Phases,
    ) -> anyhow::Result<(ModelWriter, Calibration, Provenance)> {
        let checkpoint = reference.checkpoint();
        let steps = checkpoint.config().layers * sequences.len();
        let mut calibration = phases.run("language model", steps, |bar| {
            Ok(calibrate(reference, sequences, scheme, work, &mut |done| bar.inc(done as u64))?)
        })?;
        let mut folded = None;
        if let Some(config) = checkpoint.fold_config() {
            let folds: Vec<Fold> =
                self.short(sequences).take(self.fold_limit).map(|tokens| Fold::chain(tokens)).collect();
            eprintln!("folding {} of them, {} passes", folds.len(), config.max_recycles);
            let steps = checkpoint.config().layers + config.blocks * config.max_recycles;
            let reference = FoldReference::new(checkpoint)?;
            let recycles = config.max_recycles - 1;
            calibration = phases.run("folding", steps * folds.len(), |bar| {
                let progress = &mut |done| bar.inc(done as u64);
                Ok(calibrate_fold(&reference, &folds, recycles, scheme, calibration, work, progress)?)
            })?;
            folded = Some(folds.len());
        }
        let provenance = Provenance {
            name: self.name.clone(),
            checkpoint: checkpoint.name().to_owned(),
            sha256,
            language_model: scheme.language_model.to_string(),
            trunk: folded.map(|_| scheme.trunk.to_string()),
            structure: folded.map(|_| format!("Linear inputs {}", scheme.structure.activations)),
            compensated: scheme.compensate,
            percentile: scheme.percentile,
            headroom: scheme.headroom,
            calibration: self.calibration.as_deref().map_or_else(|| built_in::NAME.into(), file_name),
            calibration_sequences: sequences.len(),
            calibration_residues: residues(sequences),
            calibration_folds: folded,
        };
        let writer = phases.run("rounding weights", groups(checkpoint), |bar| {
            Ok(encode(checkpoint, &calibration, &provenance, work, &mut || bar.inc(1))?)
        })?;
        Ok((writer, calibration, provenance))
    }

    /// What it takes to quantize `checkpoint`.
    fn estimate(&self, checkpoint: &Checkpoint, sequences: &[Vec<u8>], scheme: &Scheme) -> Estimate {
        let tokens: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let folds = self.short(sequences).take(self.fold_limit).map(|tokens| tokens.len() - 2);
        let (residues, passes) = match checkpoint.fold_config() {
            Some(config) => (folds.collect(), config.max_recycles),
            None => (Vec::new(), 0),
        };
        estimate(checkpoint, &tokens, &residues, passes, scheme.compensate)
    }

    /// What an unfinished run must have been made of for this one to go on with it.
    fn identity(
        &self,
        sha256: &BTreeMap<String, String>,
        sequences: &[Vec<u8>],
        scheme: &Scheme,
    ) -> Identity {
        let mut tokens = Sha256::new();
        for sequence in sequences {
            tokens.update(sequence.len().to_le_bytes());
            tokens.update(sequence);
        }
        let hashes: Vec<&str> = sha256.values().map(String::as_str).collect();
        Identity::from([
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("checkpoint".to_owned(), hashes.join(" ")),
            ("set of calibration sequences".to_owned(), format!("{:x}", tokens.finalize())),
            ("choice of options".to_owned(), format!("{scheme:?} {} {}", self.fold_limit, self.fold_max_len)),
        ])
    }

    /// Sequences that are short enough to fold.
    fn short<'s>(&self, sequences: &'s [Vec<u8>]) -> impl Iterator<Item = &'s Vec<u8>> {
        let longest = self.fold_max_len;
        sequences.iter().filter(move |tokens| tokens.len() - 2 <= longest)
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

    fn scheme(&self, folding: bool) -> Scheme {
        let mut scheme = Scheme {
            compensate: !self.round_to_nearest,
            percentile: self.percentile / 100.0,
            headroom: self.headroom,
            ..if folding { Scheme::folding() } else { Scheme::default() }
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

/// Without `<cls>` and `<eos>`.
fn residues(sequences: &[Vec<u8>]) -> usize {
    sequences.iter().map(|tokens| tokens.len() - 2).sum()
}

/// Fails if a file can't be read, or not to its end: a model shall not depend on where.
fn ensure_readable(failures: Vec<FastaError>) -> anyhow::Result<()> {
    failures.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

/// The sites by signal-to-noise ratio, the worst first.
fn report(calibration: &Calibration) {
    let mut sites: Vec<_> = calibration.snr.iter().collect();
    sites.sort_by(|a, b| a.1.total_cmp(b.1));
    println!("{:<56} {:>8}", "site", "SNR, dB");
    for (site, snr) in sites {
        println!("{site:<56} {snr:>8.1}");
    }
}

fn file_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
