//! `foldpoint predict`: structures, or contact maps with a model that does not fold.

mod contacts;
mod structures;

use std::path::PathBuf;

use crate::files::OutputDir;
use anyhow::ensure;
use clap::ValueEnum;
use clap::error::ErrorKind;

use super::console::Console;
use super::fold_args::FoldArgs;
use super::input::Input;
use super::options::Options;
use super::results::Report;
use super::{Outcome, usage_error};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed. Each record gets ID.pdb (or ID.cif), ID.confidence.json
    /// and ID.residues.tsv, and a line in results.jsonl and summary.tsv
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Format of structures: pdb (ID.pdb) or cif (ID.cif, mmCIF). The pLDDT, 0 to 100, is in the B-factors
    /// [default: pdb; with --pae cif: cif]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write predicted aligned errors in angstrom too: json (ID.pae.json, as the AlphaFold database), npy
    /// (ID.pae.npy, f32 [N, N]) or cif (in ID.cif; means --format cif); of the residues that have atoms, the
    /// aligned one first. Not with an OmegaFold, which predicts none
    #[arg(long, value_enum)]
    pae: Option<Pae>,
    #[command(flatten)]
    fold: FoldArgs,
    #[command(flatten)]
    report: Report,
}

/// Formats of structures.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pdb,
    Cif,
}

/// Formats of predicted aligned errors.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pae {
    Json,
    Npy,
    Cif,
}

impl Args {
    /// The format of structures.
    fn format(&self) -> Format {
        let inside = self.pae == Some(Pae::Cif);
        if inside && self.format == Some(Format::Pdb) {
            usage_error(
                ErrorKind::ArgumentConflict,
                "--pae cif writes the aligned errors into mmCIF files: give --format cif, or --pae json",
            );
        }
        self.format.unwrap_or(if inside { Format::Cif } else { Format::Pdb })
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let format = args.format();
    let out = OutputDir::create(&args.out)?;
    let console = Console::new(options.quiet);
    let model = options.open(None)?;
    options.verify(&model)?;
    if model.folds() {
        return structures::run(options, args, format, &model, &out, console);
    }
    let given = [("--format", args.format.is_some()), ("--pae", args.pae.is_some())];
    for (option, given) in given.into_iter().chain(args.fold.given()) {
        ensure!(!given, "{}: {option} is for models that fold, and this one does not", model.name());
    }
    contacts::run(options, args, &model, &out, console)
}
