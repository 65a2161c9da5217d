//! `foldpoint info`

use std::path::PathBuf;

use foldpoint_core::esm::{self, LanguageModel};
use foldpoint_core::esmfold::{self, StructureConfig};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{Detection, Isa};
use serde_json::Value;
use std_runner::arena::display_bytes;
use std_runner::batch::Place;
use std_runner::engine::{Engine, Request, Requests};
use std_runner::fold::{FoldEngine, OmegaFold};
use std_runner::model::{Kind, Model};
use std_runner::published;
use std_runner::task::Task;

use super::Outcome;
use super::console::Console;
use super::fold_args::FoldArgs;
use super::options::Options;
use super::plan::display_seconds;
use crate::rates::Rates;

/// Lengths (in residues) whose memory and time are listed.
const LENGTHS: [usize; 4] = [128, 256, 512, 1024];

#[derive(clap::Args)]
pub struct Args {
    /// Model file [default: --model, or the embedded model]. With -v, tensors and every detail of provenance
    /// are listed
    #[arg(value_name = "MODEL")]
    file: Option<PathBuf>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let model = options.open(args.file.as_ref())?;
    let language_model = match model.kind() {
        Kind::OmegaFold => None,
        Kind::LanguageModel | Kind::EsmFold => Some(Engine::new(model.language_model()?, options.isa)),
    };
    let fold_engine =
        if model.folds() { Some(FoldArgs::default().engine(options, &model, false)?) } else { None };
    let file = model.file()?;
    let (size, count) = (display_bytes(model.bytes().len() as u64), file.tensor_count());
    console.line(format_args!("model           {} ({size}, {count} tensors)", model.name()));
    console.line(format_args!("kind            {}", model.kind()));
    if let Some(engine) = &language_model {
        describe_language_model(&mut console, engine.model().config());
    }
    match &fold_engine {
        Some(FoldEngine::EsmFold(engine)) => describe_esmfold(&mut console, engine.model.config()),
        Some(FoldEngine::OmegaFold(engine)) => describe_omegafold(&mut console, engine),
        None => {}
    }
    can(&mut console, language_model.as_ref().map(Engine::model), fold_engine.is_some());
    instructions(&mut console, options.isa);
    let rates = Rates::of(&model, options.isa, |note| console.warning(note));
    let threads = options.threads();
    if let Some(engine) = &language_model {
        let model = engine.model();
        let request = Request {
            contacts: model.has_contact_head(),
            logits: model.has_lm_head(),
            layers: vec![model.config().layers],
        };
        let what = if fold_engine.is_some() { "for the language model alone" } else { "" };
        needs(&mut console, &Requests { engine, request: &request }, threads, &rates, what)?;
    }
    if let Some(fold_engine) = &fold_engine {
        needs(&mut console, fold_engine, threads, &rates, "to fold")?;
    }
    provenance(&mut console, &model, options.verbose > 0)?;
    if options.verbose > 0 {
        tensors(&mut console, &file);
    }
    console.finish()
}

fn describe_language_model(console: &mut Console, config: &esm::Config) {
    let (layers, width, heads) = (config.layers, config.width, config.heads);
    let head_width = width.checked_div(heads).unwrap_or(0);
    console.line(format_args!(
        "language model  {layers} layers, width {width}, {heads} heads of {head_width}, FFN {}",
        config.ffn
    ));
    console.line(format_args!("alphabet        {} tokens", config.vocab));
    console.line(format_args!("configured for  up to {} tokens (longer inputs run)", config.max_positions));
}

fn describe_esmfold(console: &mut Console, config: &esmfold::Config) {
    let (blocks, sequence, pair) = (config.blocks, config.sequence_width, config.pair_width);
    console
        .line(format_args!("folding trunk   {blocks} blocks, sequence width {sequence}, pair width {pair}"));
    describe_structure(console, &config.structure);
    console.line(format_args!("passes          {} ({} recycles)", config.passes, config.passes - 1));
}

fn describe_omegafold(console: &mut Console, engine: &OmegaFold) {
    let config = engine.model.config();
    let (layers, width, value, query) = (config.layers, config.width, config.value_width, config.query_width);
    console.line(format_args!(
        "language model  {layers} layers, width {width}, values {value}, queries {query}"
    ));
    let (blocks, node, pair) = (config.blocks, config.node_width, config.pair_width);
    console.line(format_args!("folding trunk   {blocks} blocks, node width {node}, pair width {pair}"));
    describe_structure(console, &config.structure);
    let (cycles, rows) = (engine.request.cycles, engine.request.rows);
    console.line(format_args!(
        "cycles          {cycles}, with {rows} rows of the pseudo-MSA, unless --cycles or --rows say otherwise"
    ));
}

fn describe_structure(console: &mut Console, config: &StructureConfig) {
    let StructureConfig { iterations, width, heads, .. } = config;
    console.line(format_args!("structure       {iterations} iterations, width {width}, {heads} heads"));
}

/// What the model can, and by which commands.
fn can(console: &mut Console, language_model: Option<&LanguageModel>, folds: bool) {
    let contacts = if folds { "contacts (contacts)" } else { "contacts (predict, contacts)" };
    let can = [
        (folds, "structures (predict)"),
        (language_model.is_some(), "embeddings (embed)"),
        (language_model.is_some_and(LanguageModel::has_contact_head), contacts),
        (language_model.is_some_and(LanguageModel::has_lm_head), "logits (logits)"),
    ];
    let can: Vec<&str> = can.into_iter().filter(|c| c.0).map(|c| c.1).collect();
    console.line(format_args!("can predict     {}", can.join(", ")));
}

/// The instruction set of a run, those it was chosen from, and who says so.
fn instructions(console: &mut Console, chosen: Isa) {
    let names: Vec<&str> = Isa::all().map(|isa| isa.name()).collect();
    let from = match Isa::detection() {
        Detection::Machine => "this machine runs",
        Detection::Build => "this program was built for",
    };
    console.line(format_args!("instructions    {} ({from} {})", chosen.name(), names.join(", ")));
}

/// Memory and, where it is known, time.
fn needs(
    console: &mut Console,
    task: &impl Task,
    threads: usize,
    rates: &Rates,
    what: &str,
) -> anyhow::Result<()> {
    memory(console, task, threads, what)?;
    time(console, task, threads, rates, what);
    Ok(())
}

fn memory(console: &mut Console, task: &impl Task, threads: usize, what: &str) -> anyhow::Result<()> {
    for length in LENGTHS {
        let one = display_bytes(task.bytes_needed(length, 1)?);
        let all = display_bytes(task.bytes_needed(length, threads)?);
        let also = if threads > 1 { format!(", {all} on {threads} threads") } else { String::new() };
        let line = format!("memory          {length:5} residues: {one}{also} {what}");
        console.line(line.trim_end());
    }
    Ok(())
}

/// How long it takes, as far as runs were measured.
fn time(console: &mut Console, task: &impl Task, threads: usize, rates: &Rates, what: &str) {
    let place = Place { workers: threads, at_once: 1 };
    for length in LENGTHS {
        let work = task.work(length);
        // What was measured may say nothing about this task.
        let seconds = rates.seconds(work, place).filter(|_| rates.cover(work, length, place));
        let Some(seconds) = seconds else { continue };
        let on = if threads > 1 { format!(" on {threads} threads") } else { String::new() };
        let line = format!("time            {length:5} residues: {}{on} {what}", display_seconds(seconds));
        console.line(line.trim_end());
    }
}

/// Prints what `meta.json` says: its simple fields, or, if `all`, everything.
fn provenance(console: &mut Console, model: &Model, all: bool) -> anyhow::Result<()> {
    let Some(meta) = model.metadata()? else {
        console.line("provenance      none");
        return Ok(());
    };
    if let Some(model) = published::source(&meta) {
        console.line(format_args!("weights         unmodified: those of {model}, as published"));
    }
    for (key, value) in meta {
        print(console, &key, &value, all);
    }
    Ok(())
}

/// One line for every simple value below `value`; those in lists and tables only if `all`.
fn print(console: &mut Console, path: &str, value: &Value, all: bool) {
    match value {
        // One entry is as short as its count.
        Value::Object(fields) if all || fields.len() == 1 => {
            // A table of simple values is a line of its own: easier to compare with its neighbours.
            if fields.values().all(|v| !v.is_object() && !v.is_array()) {
                let text: Vec<String> = fields.iter().map(|(k, v)| format!("{k} {}", simple(v))).collect();
                console.line(format_args!("{path}: {}", text.join(", ")));
            } else {
                fields.iter().for_each(|(key, v)| print(console, &format!("{path}.{key}"), v, all));
            }
        }
        Value::Array(values) if all || values.len() == 1 => {
            values.iter().enumerate().for_each(|(i, v)| print(console, &format!("{path}[{i}]"), v, all));
        }
        Value::Object(fields) => {
            console.line(format_args!("{path}: {} entries (-v lists them)", fields.len()))
        }
        Value::Array(values) => {
            console.line(format_args!("{path}: {} entries (-v lists them)", values.len()))
        }
        _ => console.line(format_args!("{path}: {}", simple(value))),
    }
}

fn simple(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn tensors(console: &mut Console, file: &ModelFile) {
    for tensor in file.tensors() {
        let (name, dtype, shape) = (tensor.name, tensor.dtype, tensor.shape());
        console.line(format_args!("tensor {name} {dtype} {shape:?}, {} bytes", tensor.bytes.len()));
    }
}
