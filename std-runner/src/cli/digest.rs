//! `foldpoint digest`

use anyhow::ensure;
use fasta::Sequence;
use foldpoint_core::chains::joined_length;
use foldpoint_core::executor::Executor;
use serde_json::{Map, json};
use std_runner::arena::Arena;
use std_runner::complex::Complex;
use std_runner::digest::{Digest, of_all, of_fold, of_prediction};
use std_runner::engine::{Engine, Request, Requests};
use std_runner::fold::FoldEngine;
use std_runner::model::Kind;
use std_runner::task::{Hook, Progress, Task, TaskError};
use std_runner::work::Work;

use super::Outcome;
use super::console::Console;
use super::fold_args::FoldArgs;
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
    /// What the language model gives by itself, if it does.
    outputs: Option<Requests<'e, 'a>>,
    fold_engine: Option<FoldEngine<'a>>,
}

impl Task for Everything<'_, '_> {
    type Output = Digest;
    const SHORT: usize = FoldEngine::SHORT;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn check(&self, sequence: &Sequence) -> Result<(), TaskError> {
        self.fold_engine.as_ref().map_or(Ok(()), |fold| fold.check(sequence))
    }

    fn configured_for(&self) -> usize {
        let folding = self.fold_engine.as_ref().map(Task::configured_for);
        self.outputs.as_ref().map(Task::configured_for).or(folding).unwrap_or(usize::MAX)
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.outputs.as_ref().map_or(Ok(0), |outputs| outputs.arena_bytes(length, workers))?;
        // Both use the same arena.
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.arena_bytes(length, workers))?;
        Ok(outputs.max(folding))
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.outputs.as_ref().map_or(Ok(0), |outputs| outputs.bytes_needed(length, workers))?;
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.bytes_needed(length, workers))?;
        // An upper bound: both use the same arena.
        Ok(outputs.saturating_add(folding))
    }

    fn work(&self, length: usize) -> Work {
        let folding = self.fold_engine.as_ref().map(|fold| fold.work(length)).unwrap_or_default();
        self.outputs.as_ref().map(|outputs| outputs.work(length)).unwrap_or_default() + folding
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Digest, TaskError> {
        let mut digests = Vec::new();
        let mut before = Work::default();
        if let Some(Requests { engine, request }) = self.outputs {
            let residues = Complex::new(sequence.chains()).residues;
            digests.push(of_prediction(&engine.run_with(&residues, request, arena, executor, hook)?));
            before = engine.work(residues.len(), request).all();
        }
        if let Some(fold_engine) = &self.fold_engine {
            let folded = fold_engine.run_with(sequence, arena, executor, &|Progress { text, done }| {
                hook(&Progress { text, done: before + *done })
            })?;
            digests.push(of_fold(&folded));
        }
        Ok(match digests.as_slice() {
            &[one] => one,
            _ => of_all(digests),
        })
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    options.verify(&model)?;
    let folds = !args.no_fold && model.folds();
    let name = model.name();
    ensure!(
        folds || model.kind() != Kind::OmegaFold,
        "{name}: this model is an OmegaFold, which only folds; expected no --no-fold"
    );
    let mut engine = None;
    let mut request = Request::default();
    if model.kind() != Kind::OmegaFold {
        let language_model = model.language_model()?;
        request = Request {
            contacts: language_model.has_contact_head(),
            logits: language_model.has_lm_head(),
            layers: vec![language_model.config().layers],
        };
        engine = Some(Engine::new(language_model, options.isa));
    }
    let outputs = engine.as_ref().map(|engine| Requests { engine, request: &request });
    let aligned_error = model.kind() == Kind::EsmFold;
    let fold_engine =
        if folds { Some(FoldArgs::default().engine(options, &model, aligned_error)?) } else { None };
    let batch = if folds {
        args.input.read_to_fold(model.kind(), &mut console)
    } else {
        args.input.read(&mut console)
    };
    let run = Run {
        options,
        model: &model,
        task: &Everything { outputs, fold_engine },
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
