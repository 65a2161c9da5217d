//! `foldpoint digest`

use fasta::Sequence;
use foldpoint_core::chains::joined_length;
use foldpoint_core::executor::Executor;
use serde_json::{Map, json};
use std_runner::arena::Arena;
use std_runner::complex::Complex;
use std_runner::digest::{Digest, of_all, of_fold, of_prediction};
use std_runner::engine::{Engine, Request, Requests};
use std_runner::fold::FoldEngine;
use std_runner::task::{Hook, Progress, Task, TaskError};
use std_runner::work::Work;

use super::Outcome;
use super::console::Console;
use super::input::Input;
use super::options::Options;
use super::results::{Done, Report, Run};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Print a digest for each sequence too
    #[arg(long)]
    each: bool,
    /// Leave folding out, which takes most of the time
    #[arg(long)]
    no_fold: bool,
    /// Print one line of JSON for each sequence, as in results.jsonl, its digest among the scores, then one for
    /// all of them
    #[arg(long)]
    json: bool,
}

/// Everything that a model computes.
struct Everything<'e, 'a> {
    engine: &'e Engine<'a>,
    request: &'e Request,
    fold_engine: Option<FoldEngine<'a>>,
}

impl<'e, 'a> Everything<'e, 'a> {
    fn requests(&self) -> Requests<'e, 'a> {
        Requests { engine: self.engine, request: self.request }
    }
}

impl Task for Everything<'_, '_> {
    type Output = Digest;
    const SHORT: usize = FoldEngine::SHORT;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn configured_for(&self) -> usize {
        self.requests().configured_for()
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.requests().arena_bytes(length, workers)?;
        // Both use the same arena.
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.arena_bytes(length, workers))?;
        Ok(outputs.max(folding))
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.requests().bytes_needed(length, workers)?;
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.bytes_needed(length, workers))?;
        // An upper bound: both use the same arena.
        Ok(outputs.saturating_add(folding))
    }

    fn work(&self, length: usize) -> Work {
        let folding = self.fold_engine.as_ref().map(|fold| fold.work(length)).unwrap_or_default();
        self.requests().work(length) + folding
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Digest, TaskError> {
        let residues = Complex::new(sequence.chains()).residues;
        let outputs = of_prediction(&self.engine.run_with(&residues, self.request, arena, executor, hook)?);
        let Some(fold_engine) = &self.fold_engine else { return Ok(outputs) };
        let before = self.requests().work(self.length(sequence));
        let folded = fold_engine.run_with(sequence, arena, executor, &|Progress { text, done }| {
            hook(&Progress { text, done: before + *done })
        })?;
        Ok(of_all([outputs, of_fold(&folded)]))
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let language_model = engine.model();
    let request = Request {
        contacts: language_model.has_contact_head(),
        logits: language_model.has_lm_head(),
        layers: vec![language_model.config().layers],
    };
    let folds = !args.no_fold && model.folds();
    let fold_engine = if folds { Some(options.fold_engine(&model, None, true)?) } else { None };
    let batch = if folds { args.input.read_complexes(&mut console) } else { args.input.read(&mut console) };
    let run = Run {
        options,
        model: &model,
        task: &Everything { engine: &engine, request: &request, fold_engine },
        out: None,
        report: &Report { json: args.json },
        columns: &[],
        refuse: &|_| None,
    };
    let mut digests = Vec::new();
    let make = |_: &Sequence, digest: Digest, _| {
        let scores = Map::from_iter([("digest".to_owned(), digest.to_string().into())]);
        Ok(Done { scores, value: Some(digest), ..Done::default() })
    };
    run.run(batch, &mut console, make, |console, sequence, digest| {
        if let (Some(digest), true) = (digest, args.each && !args.json) {
            console.line(format_args!("{digest}  {}", sequence.id));
        }
        digests.extend(digest);
    })?;
    let (count, all) = (digests.len(), of_all(digests));
    if args.json {
        console.line(json!({ "digest": all.to_string(), "sequences": count }));
    } else {
        let sequences = if count == 1 { "sequence" } else { "sequences" };
        console.line(format_args!("{all}  {count} {sequences}"));
    }
    console.finish()
}
