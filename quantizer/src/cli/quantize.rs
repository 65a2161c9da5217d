//! The main job: a checkpoint in, a model file out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use quantizer::calibrate::{Calibration, calibrate};
use quantizer::checkpoint::Checkpoint;
use quantizer::encode::{Provenance, encode};
use quantizer::fasta;
use quantizer::reference::Reference;
use quantizer::scheme::{Residual, Scheme};
use sha2::{Digest, Sha256};

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Many codes where values are dense, few in the tails.
    Piecewise,
    /// Equal steps over the whole range.
    Uniform,
}

#[derive(Args)]
pub struct Arguments {
    /// HuggingFace folder or fair-esm .pt file.
    checkpoint: PathBuf,
    /// Model file to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Sequences that ranges and breakpoints are measured on: some dozens of natural proteins.
    #[arg(long, value_name = "FASTA")]
    calibration: PathBuf,
    /// Bits of a stored residual value.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = residual_bits)]
    residual_bits: u32,
    /// Codes of a residual stream of up to 8 bits.
    #[arg(long, value_enum, default_value = "piecewise")]
    scheme: Kind,
    /// Percentage of each Linear's input channels that are stored in 15 bits.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * Scheme::default().outliers)]
    outliers: f64,
    /// Round every weight to nearest, instead of letting the errors of a row make up for each other on the calibration
    /// inputs.
    #[arg(long)]
    round_to_nearest: bool,
    /// Percentage of the calibration values that the residual's range must hold; the rest is clipped. Clipping costs
    /// accuracy on every checkpoint measured so far.
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
}

fn residual_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2..=8 | 16)) => Ok(bits),
        _ => Err("2 to 8, or 16".to_owned()),
    }
}

impl Arguments {
    pub fn run(self) -> anyhow::Result<()> {
        let scheme = self.scheme()?;
        let checkpoint = Checkpoint::open(&self.checkpoint)?;
        let sequences = self.sequences()?;
        let reference = Reference::new(&checkpoint)?;
        let residues: usize = sequences.iter().map(|tokens| tokens.len() - 2).sum();
        eprintln!("calibrating on {} sequences, {residues} residues", sequences.len());
        let progress = ProgressBar::new((checkpoint.config().layers * sequences.len()) as u64)
            .with_style(ProgressStyle::with_template("{bar:30} {percent}% {elapsed}, {eta} left")?);
        let calibration = calibrate(&reference, &sequences, &scheme, &mut || progress.inc(1))?;
        progress.finish_and_clear();
        let provenance = Provenance {
            checkpoint: file_name(&self.checkpoint),
            sha256: hashes(&checkpoint)?,
            residual: scheme.residual.to_string(),
            outliers: scheme.outliers,
            compensated: scheme.compensate,
            percentile: scheme.percentile,
            headroom: scheme.headroom,
            calibration: file_name(&self.calibration),
            calibration_sequences: sequences.len(),
            calibration_residues: residues,
        };
        let writer = encode(&reference, &calibration, &provenance)?;
        writer.write_to(&self.out)?;
        report(&calibration);
        let bytes = std::fs::metadata(&self.out).with_context(|| self.out.display().to_string())?.len();
        eprintln!(
            "{}: {:.1} MiB, {} residual stream",
            self.out.display(),
            bytes as f64 / 1048576.0,
            scheme.residual
        );
        Ok(())
    }

    fn scheme(&self) -> anyhow::Result<Scheme> {
        ensure!(
            (0.0..=100.0).contains(&self.outliers),
            "--outliers: a percentage from 0 to 100 was expected"
        );
        ensure!(
            (50.0..=100.0).contains(&self.percentile),
            "--percentile: a percentage from 50 to 100 was expected"
        );
        ensure!((1.0..=64.0).contains(&self.headroom), "--headroom: a factor from 1 to 64 was expected");
        Ok(Scheme {
            residual: match (self.residual_bits, self.scheme) {
                (16, _) => Residual::Wide,
                (bits, Kind::Piecewise) => Residual::Piecewise(bits),
                (bits, Kind::Uniform) => Residual::Uniform(bits),
            },
            outliers: self.outliers / 100.0,
            compensate: !self.round_to_nearest,
            percentile: self.percentile / 100.0,
            headroom: self.headroom,
        })
    }

    fn sequences(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let sequences: Vec<Vec<u8>> = fasta::read(&self.calibration)?
            .into_iter()
            .filter(|sequence| sequence.residues() > 0 && sequence.residues() <= self.max_len)
            .map(|sequence| sequence.tokens)
            .take(self.limit.unwrap_or(usize::MAX))
            .collect();
        ensure!(
            !sequences.is_empty(),
            "{}: no sequence of at most {} residues",
            self.calibration.display(),
            self.max_len
        );
        Ok(sequences)
    }
}

/// The sites by signal-to-noise ratio, the worst first.
fn report(calibration: &Calibration) {
    let mut sites: Vec<_> = calibration.snr.iter().collect();
    sites.sort_by(|a, b| a.1.total_cmp(b.1));
    println!("{:<36} {:>8}", "site", "SNR, dB");
    for (site, snr) in sites {
        println!("{:<36} {snr:>8.1}", site.to_string());
    }
}

fn file_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// SHA-256 of every file of the checkpoint.
fn hashes(checkpoint: &Checkpoint) -> anyhow::Result<BTreeMap<String, String>> {
    let hash = |path: &Path| -> io::Result<(String, String)> {
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok((file_name(path), format!("{:x}", hasher.finalize())))
    };
    checkpoint.files().map(|path| hash(path).with_context(|| path.display().to_string())).collect()
}
