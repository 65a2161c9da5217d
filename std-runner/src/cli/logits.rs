//! `foldpoint logits`

use std::path::PathBuf;
use std::time::Duration;

use crate::files::OutputDir;
use anyhow::ensure;
use fasta::Sequence;
use foldpoint_core::alphabet::{FIRST_RESIDUE, STANDARD, TOKENS};
use std_runner::embedding::{residues, to_floats};
use std_runner::engine::{Prediction, Request, Requests};
use std_runner::output::npy;

use super::Outcome;
use super::console::Console;
use super::input::Input;
use super::options::{Options, require};
use super::results::{Done, Report, Run};
use super::table::Column;

const COLUMNS: &[Column] = &[("residues", 8), ("tokens", 6), ("time", 11)];

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed. Each sequence gets ID.logits.npy (f32 [L, 20]); the
    /// columns' names, one a line, are in logits.alphabet.txt
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write all tokens of the alphabet (f32 [L, 33]), not only the 20 amino acids
    #[arg(long)]
    all_tokens: bool,
    #[command(flatten)]
    report: Report,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let request = Request { logits: true, ..Request::default() };
    require(&engine, &request, model.name())?;
    let vocab = engine.model().config().vocab;
    let name = model.name();
    ensure!(vocab == TOKENS.len(), "{name}: its alphabet has {vocab} tokens; expected {}", TOKENS.len());
    let batch = args.input.read(&mut console);
    let first = usize::from(FIRST_RESIDUE);
    let columns = if args.all_tokens { 0..vocab } else { first..first + STANDARD };
    out.write("logits.alphabet.txt", |w| {
        TOKENS[columns.clone()].iter().try_for_each(|t| writeln!(w, "{t}"))
    })?;
    let run = Run {
        options,
        model: &model,
        task: &Requests { engine: &engine, request: &request },
        out: Some(&out),
        report: &args.report,
        columns: COLUMNS,
        refuse: &|_| None,
    };
    let make = |sequence: &Sequence, prediction: Prediction, time: Duration| {
        let logits = prediction.logits.unwrap_or_default();
        let rows = residues(&logits, prediction.length, vocab).chunks_exact(vocab);
        let values: Vec<f32> = rows.flat_map(|row| to_floats(&row[columns.clone()])).collect();
        let shape = [prediction.length, columns.len()];
        let file = out.write(&format!("{}.logits.npy", sequence.stem), |w| npy(w, &shape, &values, false))?;
        let [length, tokens] = shape.map(|n| n.to_string());
        let cells = vec![length, tokens, format!("{:.3} s", time.as_secs_f64())];
        Ok(Done::<()> { files: vec![file], cells, ..Done::default() })
    };
    run.run(batch, &mut console, make, |_, _, ()| {})?;
    console.finish()
}
