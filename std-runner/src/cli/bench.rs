//! `foldpoint bench`

use std::time::Instant;

use anyhow::ensure;
use fasta::Sequence;
use foldpoint_core::alphabet::{RESIDUES, STANDARD};
use foldpoint_core::executor::{Executor, Serial};
use std_runner::arena::{Arena, display_bytes};
use std_runner::engine::{Request, Requests};
use std_runner::executor::RayonExecutor;
use std_runner::model::Kind;
use std_runner::task::Task;

use super::Outcome;
use super::console::Console;
use super::fold_args::FoldArgs;
use super::options::{Options, require};

#[derive(clap::Args)]
pub struct Args {
    /// Lengths to measure, in residues
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [128, 256, 512, 1024])]
    lengths: Vec<usize>,
    /// Runs of each; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Compute contacts too, not only hidden states
    #[arg(long, conflicts_with = "fold")]
    contacts: bool,
    /// Fold, instead of running the language model alone
    #[arg(long)]
    fold: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let model = options.open(None)?;
    if args.fold {
        options.verify(&model)?;
        return table(options, args, model.name(), &FoldArgs::default().engine(options, &model, false)?);
    }
    let name = model.name();
    ensure!(
        model.kind() != Kind::OmegaFold,
        "{name}: this model is an OmegaFold, which only folds; expected --fold"
    );
    let engine = options.engine(&model)?;
    let request =
        Request { contacts: args.contacts, layers: vec![engine.model().config().layers], logits: false };
    require(&engine, &request, model.name())?;
    table(options, args, model.name(), &Requests { engine: &engine, request: &request })
}

fn table(options: &Options, args: &Args, name: &str, task: &impl Task) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let threads = options.threads();
    let pool = RayonExecutor::new(threads)?;
    let isa = options.isa.name();
    console.line(format_args!("{name}, instruction set {isa}, median of {} runs\n", args.runs));
    let (many, line) = if threads > 1 {
        (format!(" {threads} threads, s | tokens/s |"), "---:|---:|")
    } else {
        (String::new(), "")
    };
    console.line(format_args!("| residues | working memory | 1 thread, s | tokens/s |{many}"));
    console.line(format_args!("|---:|---:|---:|---:|{line}"));
    for &length in &args.lengths {
        let memory = display_bytes(task.bytes_needed(length, 1)?);
        let sequence = random_sequence(length);
        let cells = |seconds: f64| format!(" {seconds:.4} | {:.0} |", (length + 2) as f64 / seconds);
        let one = cells(median_seconds(task, &sequence, &Serial, args.runs)?);
        let many = if threads > 1 {
            cells(pool.inside(|| median_seconds(task, &sequence, &pool, args.runs))?)
        } else {
            String::new()
        };
        console.line(format_args!("| {length} | {memory} |{one}{many}"));
    }
    console.finish()
}

/// Median over `runs`, after one run that only warms caches and pages.
fn median_seconds(
    task: &impl Task,
    sequence: &Sequence,
    executor: &dyn Executor,
    runs: u32,
) -> anyhow::Result<f64> {
    let mut arena = Arena::default();
    let mut seconds = Vec::new();
    for run in 0..=runs {
        let start = Instant::now();
        task.run(sequence, &mut arena, executor, &|_| {})?;
        if run > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// The same sequence every time.
pub fn random_sequence(length: usize) -> Sequence {
    let mut random = fastrand::Rng::with_seed(1);
    let residues = (0..length).map(|_| RESIDUES[random.usize(..STANDARD)]).collect();
    Sequence::from_residues("random", residues)
}
