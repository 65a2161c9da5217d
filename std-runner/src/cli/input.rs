//! The way of a FASTA file through the model, shared by all commands that read one.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use fasta::{Batch, Sequence};
use std_runner::batch::{BatchError, Ran};
use std_runner::fold::to_fold;
use std_runner::model::{Kind, Model};
use std_runner::task::Task;

use super::console::{Console, printable};
use super::options::Options;
use super::table::shorten;
use crate::rates::{Rates, Run as Measured};

/// Columns of a name beside the progress bar.
const BAR_NAME: usize = 30;

/// Sequences to run.
#[derive(clap::Args)]
pub struct Input {
    /// FASTA files, plain or gzipped, or folders of them (*.fa, *.fas, *.fasta, *.faa); `-` is the standard
    /// input. In a sequence `:` or `/` separates chains, and `<mask>` or `_` is a masked residue (not for
    /// folding)
    #[arg(value_name = "FASTA", required = true)]
    pub fasta: Vec<PathBuf>,
    /// Refuse longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub max_len: usize,
}

impl Input {
    /// Reads records for a language model, of any number of chains, masks allowed; what is wrong with files
    /// or records goes to the console.
    pub fn read(&self, console: &mut Console) -> Batch {
        complain(fasta::read_paths(&self.fasta, self.max_len), console)
    }

    /// Reads records of any number of chains, to be folded by such a model.
    pub fn read_to_fold(&self, kind: Kind, console: &mut Console) -> Batch {
        complain(to_fold(fasta::read_paths(&self.fasta, self.max_len), kind), console)
    }
}

/// Says what is wrong with files and records, and returns the sequences that can be run.
pub fn report(batch: Batch, console: &mut Console) -> Vec<Sequence> {
    complain(batch, console).sequences
}

fn complain(batch: Batch, console: &mut Console) -> Batch {
    batch.warnings.iter().for_each(|warning| console.warning(warning));
    batch.failures.iter().for_each(|error| console.unreadable(error));
    batch.rejected.iter().for_each(|error| console.failure(error));
    batch
}

/// Runs `task`, which is the work of `model`, on all sequences. `finish` makes something of its output on the thread that computed it;
/// `report` gets that in the file's order, or the text of an error, after it was printed with the sequence's
/// place: the others go on. What was measured meanwhile is kept for `plan`.
pub fn run<K: Task, T: Send>(
    options: &Options,
    model: &Model,
    task: &K,
    sequences: &[Sequence],
    console: &mut Console,
    finish: impl Fn(&Sequence, K::Output, Duration) -> anyhow::Result<T> + Sync,
    mut report: impl FnMut(&mut Console, &Sequence, Result<T, String>) + Send,
) -> anyhow::Result<()> {
    for sequence in sequences {
        if let Some(warning) = beyond_configuration(task, sequence) {
            console.warning(format_args!("{}: {warning}", sequence.place));
        }
    }
    let runner = options.runner(console);
    console.start(sequences.iter().map(|s| s.residues.len() as u64).sum());
    let bar = console.bar();
    let name = |sequence: &Sequence| printable(&shorten(&sequence.id, BAR_NAME));
    let status = |sequence: &Sequence, step: &str| bar.set_message(format!("{}: {step}", name(sequence)));
    let measured = Mutex::new(Vec::new());
    let finish = |sequence: &Sequence, output, Ran { taken, place }: Ran| {
        let residues = task.length(sequence);
        let run = Measured {
            workers: place.workers,
            at_once: place.at_once,
            residues,
            work: task.work(residues),
            seconds: taken.undisturbed.as_secs_f64(),
            probe: false,
        };
        measured.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        let result = finish(sequence, output, taken.wall);
        bar.inc(sequence.residues.len() as u64);
        bar.set_message(name(sequence));
        result
    };
    let report = |sequence: &Sequence, result: Result<T, BatchError<anyhow::Error>>| {
        let result = result.map_err(|error| match error {
            BatchError::Output(error) => format!("{error:#}"),
            error => error.to_string(),
        });
        match &result {
            Ok(_) => console.success(),
            Err(error) => console.failure(format_args!("{}: {error}", sequence.place)),
        }
        report(console, sequence, result);
    };
    runner.run(task, sequences, status, finish, report).context("the threads could not be started")?;
    keep(options, model, &measured.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// Keeps what was measured. The run went well, whether or not there is a place for it.
fn keep(options: &Options, model: &Model, runs: &[Measured]) {
    let note = |note: String| tracing::info!(note);
    if let Err(error) = Rates::of(model, options.isa, note).add(runs) {
        tracing::info!(%error, "what was measured is not kept");
    }
}

/// A warning, if the model sees more residues than its configuration is for.
pub fn beyond_configuration(task: &impl Task, sequence: &Sequence) -> Option<String> {
    let (length, limit) = (task.length(sequence), task.configured_for());
    (length > limit).then(|| format!("{length} residues, and the model's configuration is for up to {limit}"))
}
