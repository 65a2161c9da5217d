//! The way of a FASTA file through the model, shared by all commands that read one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use fasta::{Batch, Sequence};
use std_runner::batch::BatchError;
use std_runner::task::Task;

use super::console::Console;
use super::options::Options;

/// Sequences to run.
#[derive(clap::Args)]
pub struct Input {
    /// FASTA files, plain or gzipped, or folders of them (*.fa, *.fas, *.fasta, *.faa); `-` is the standard input
    #[arg(value_name = "FASTA", required = true)]
    pub fasta: Vec<PathBuf>,
    /// Refuse longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub max_len: usize,
}

impl Input {
    /// Reads sequences for a language model, of any number of chains, masks allowed; what is wrong with files or records goes
    /// to the console.
    pub fn read(&self, console: &mut Console) -> Vec<Sequence> {
        report(fasta::read_paths(&self.fasta, self.max_len), console)
    }

    /// Reads sequences of any number of chains, to fold: none with a mask.
    pub fn read_complexes(&self, console: &mut Console) -> Vec<Sequence> {
        report(fasta::read_paths(&self.fasta, self.max_len).without_masks(), console)
    }
}

/// Says what is wrong with files and records, and returns the sequences that can be run.
pub fn report(batch: Batch, console: &mut Console) -> Vec<Sequence> {
    batch.warnings.iter().for_each(|warning| console.warning(warning));
    batch.failures.iter().for_each(|error| console.unreadable(error));
    batch.rejected.iter().for_each(|error| console.failure(error));
    batch.sequences
}

/// Runs `task` on all sequences. `finish` makes something of its output (and may write files) on the thread that computed
/// it; `report` gets that in the file's order. A sequence's error is printed with its place, and the others go on.
pub fn run<K: Task, T: Send>(
    options: &Options,
    task: &K,
    sequences: &[Sequence],
    console: &mut Console,
    finish: impl Fn(&Sequence, K::Output, Duration) -> anyhow::Result<T> + Sync,
    mut report: impl FnMut(&mut Console, &Sequence, T) + Send,
) -> anyhow::Result<()> {
    let limit = task.trained_on();
    for sequence in sequences.iter().filter(|s| task.length(s) > limit) {
        let (place, length) = (&sequence.place, task.length(sequence));
        console
            .warning(format_args!("{place}: {length} residues, and the model was trained on up to {limit}"));
    }
    let runner = options.runner(console);
    console.start(sequences.iter().map(|s| s.residues.len() as u64).sum());
    let bar = console.bar();
    let status = |sequence: &Sequence, step: &str| bar.set_message(format!("{}: {step}", sequence.id));
    let finish = |sequence: &Sequence, output, time| {
        let result = finish(sequence, output, time);
        bar.inc(sequence.residues.len() as u64);
        bar.set_message(sequence.id.clone());
        result
    };
    let report = |sequence: &Sequence, result: Result<T, BatchError<anyhow::Error>>| match result {
        Ok(value) => {
            console.success();
            report(console, sequence, value);
        }
        Err(BatchError::Output(error)) => console.failure(format!("{}: {error:#}", sequence.place)),
        Err(error) => console.failure(format!("{}: {error}", sequence.place)),
    };
    runner.run(task, sequences, status, finish, report).context("the threads could not be started")
}
