//! How rounding errors grow with depth: signal-to-noise ratio and cosine of integer models' states against the float
//! reference's, after every layer of the language model and after every block of the trunk in every pass.
//!
//! `cargo run --release -p foldpoint-tests --bin depth -- CHECKPOINT FASTA MODEL...`; docs/DEPTH.md has what came of it.
//!
//! Several models of one checkpoint (other codecs, other shares of outliers) are compared with one run of the
//! reference, which holds one layer's or block's weights at a time; the models' states lie on disk meanwhile.

mod agreement;
mod comparison;
mod integer;
mod places;
mod report;
mod states;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use foldpoint_core::{Isa, Runtime, alphabet};
use indicatif::ProgressBar;
use quantizer::checkpoint::Checkpoint;
use std_runner::executor::RayonExecutor;
use std_runner::model::Model;

use places::Shape;

/// Compares all states of integer models with those of the float reference.
#[derive(Parser)]
struct Arguments {
    /// Checkpoint that the models were made of.
    checkpoint: PathBuf,
    /// Sequences of one chain each, without masks.
    fasta: PathBuf,
    /// Model files.
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Passes through the trunk [default: as many as the checkpoint was trained for]
    #[arg(long)]
    passes: Option<NonZeroUsize>,
    /// Only the first N sequences.
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Leave out sequences of more than N residues.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
    /// File for all numbers, tab-separated.
    #[arg(long, value_name = "FILE")]
    tsv: Option<PathBuf>,
    /// In the tables that are printed, only every N-th layer and block.
    #[arg(long, value_name = "N", default_value = "1")]
    every: NonZeroUsize,
    /// Folder for the integer models' states [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    let checkpoint = Checkpoint::open(&arguments.checkpoint)?;
    let passes = arguments.passes(&checkpoint)?;
    let sequences = arguments.sequences()?;
    // Opened before anything runs, for what follows may take hours.
    let tsv = arguments.tsv.as_deref().map(create).transpose()?;
    let hashes = checkpoint.hashes()?.into_values().collect();
    let models: Vec<(Model, Shape)> = arguments
        .models
        .iter()
        .map(|path| open(path, &checkpoint, &hashes, passes))
        .collect::<Result<_, _>>()?;
    let shape = models[0].1;
    let work = arguments.work.clone().unwrap_or_else(std::env::temp_dir);
    let bytes: u64 = sequences.iter().map(|tokens| states::bytes(&shape, tokens.len() - 2)).sum();
    eprintln!(
        "{} sequences; the states of {} models take {:.1} GB in {}",
        sequences.len(),
        models.len(),
        (bytes * models.len() as u64) as f64 / 1e9,
        work.display()
    );

    let bar = ProgressBar::new((models.len() * sequences.len()) as u64).with_message("integer models");
    let executor = RayonExecutor::new(rayon::current_num_threads())?;
    let runtime = Runtime::new(Isa::best(), &executor);
    let run = |(model, shape): &(Model, Shape)| {
        executor.inside(|| integer::run(model, *shape, &sequences, &runtime, &work, &|| bar.inc(1)))
    };
    let states = models.iter().map(run).collect::<Result<Vec<_>, _>>()?;
    bar.finish_and_clear();

    let steps = shape.layers + shape.trunk.map_or(0, |trunk| trunk.blocks * trunk.passes);
    let bar = ProgressBar::new((steps * sequences.len()) as u64).with_message("float reference");
    let agreements = comparison::compare(&checkpoint, shape, &sequences, &states, &|| bar.inc(1))?;
    bar.finish_and_clear();
    ensure!(agreements.len() == shape.places().len(), "the float reference did not come by at all places");

    let names: Vec<String> = arguments.models.iter().map(|path| stem(path)).collect();
    if let (Some(mut file), Some(path)) = (tsv, &arguments.tsv) {
        report::tsv(&mut file, &names, &agreements)
            .and_then(|()| file.into_inner().map_err(io::IntoInnerError::into_error))
            .with_context(|| path.display().to_string())?;
    }
    report::markdown(&mut io::stdout().lock(), &names, &agreements, arguments.every.get())?;
    Ok(())
}

impl Arguments {
    /// Passes through the trunk; 0 if there is none.
    fn passes(&self, checkpoint: &Checkpoint) -> anyhow::Result<usize> {
        match (checkpoint.fold_config(), self.passes) {
            (Some(fold), passes) => Ok(passes.map_or(fold.max_recycles, NonZeroUsize::get)),
            (None, None) => Ok(0),
            (None, Some(_)) => bail!("{}: --passes is for folding models", self.checkpoint.display()),
        }
    }

    /// The tokens of each sequence.
    fn sequences(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let batch = fasta::read_paths(&[&self.fasta], self.max_len).single_chains().without_masks();
        batch.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        batch.failures.into_iter().next().map_or(Ok(()), Err)?;
        batch.rejected.iter().for_each(|error| eprintln!("warning: left out: {error}"));
        let tokens = batch.sequences.iter().map(|sequence| alphabet::tokens(&sequence.residues).collect());
        let tokens: Vec<Vec<u8>> = tokens.take(self.limit).collect();
        ensure!(!tokens.is_empty(), "{}: no sequence left to run", self.fasta.display());
        Ok(tokens)
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?))
}

/// Opens a model, and makes sure that it is of this checkpoint.
fn open(
    path: &Path,
    checkpoint: &Checkpoint,
    hashes: &BTreeSet<String>,
    passes: usize,
) -> anyhow::Result<(Model<'static>, Shape)> {
    let model = Model::open(path)?;
    model.verify()?;
    let metadata = model.metadata()?.unwrap_or_default();
    let files = metadata.get("sha256").and_then(|files| files.as_object());
    let made_of: BTreeSet<String> = files
        .into_iter()
        .flat_map(|files| files.values())
        .filter_map(|hash| hash.as_str())
        .map(str::to_owned)
        .collect();
    ensure!(
        made_of == *hashes,
        "{}: it was not made of the checkpoint {}, by the SHA-256 of the files that it names",
        path.display(),
        checkpoint.path().display()
    );
    let shape = {
        let fold = if model.folds() { Some(model.folding_model()?) } else { None };
        Shape::of_model(model.language_model()?.config(), fold.as_ref().map(|fold| fold.config()), passes)
    };
    ensure!(
        shape.trunk.is_some() == checkpoint.fold_config().is_some(),
        "{}: the model and {} don't both fold",
        path.display(),
        checkpoint.path().display()
    );
    Ok((model, shape))
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
