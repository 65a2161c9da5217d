//! `foldpoint digest`

use anyhow::ensure;
use fasta::Sequence;
use serde_json::{Map, json};
use std_runner::digest::{Digest, of_all};
use std_runner::engine::{Engine, Request, Requests};
use std_runner::everything::Everything;
use std_runner::model::Kind;

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
