//! `foldpoint bench`

use std::time::Instant;

use foldpoint_core::executor::{Executor, Serial};
use std_runner::alphabet::{RESIDUES, STANDARD};
use std_runner::arena::{Arena, display_bytes};
use std_runner::engine::{Engine, Request};
use std_runner::executor::RayonExecutor;

use super::Outcome;
use super::console::Console;
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
    #[arg(long)]
    contacts: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let request =
        Request { contacts: args.contacts, layers: vec![engine.model().config().layers], logits: false };
    require(&engine, &request, bytes.name())?;
    let threads = options.threads();
    let pool = RayonExecutor::new(threads)?;
    let (name, isa) = (bytes.name(), engine.isa().name());
    console.line(format_args!("{name}, instruction set {isa}, median of {} runs\n", args.runs));
    let many = if threads > 1 { format!(" {threads} threads, tokens/s |") } else { String::new() };
    console.line(format_args!("| residues | working memory | 1 thread, tokens/s |{many}"));
    console.line(format_args!("|---:|---:|---:|{}", if threads > 1 { "---:|" } else { "" }));
    for &length in &args.lengths {
        let memory = display_bytes(engine.bytes_needed(length, 1, &request)?);
        let one = tokens_per_second(&engine, length, &request, &Serial, args.runs)?;
        let many = if threads > 1 {
            format!(" {:.0} |", tokens_per_second(&engine, length, &request, &pool, args.runs)?)
        } else {
            String::new()
        };
        console.line(format_args!("| {length} | {memory} | {one:.0} |{many}"));
    }
    console.finish()
}

/// Median over `runs`, after one run that only warms caches and pages.
fn tokens_per_second(
    engine: &Engine,
    length: usize,
    request: &Request,
    executor: &dyn Executor,
    runs: u32,
) -> anyhow::Result<f64> {
    let residues = random_residues(length);
    let mut arena = Arena::default();
    let mut seconds = Vec::new();
    for run in 0..=runs {
        let start = Instant::now();
        engine.run(&residues, request, &mut arena, executor)?;
        if run > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok((length + 2) as f64 / seconds[seconds.len() / 2])
}

/// The same sequence every time.
fn random_residues(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..length).map(|_| RESIDUES[random.usize(..STANDARD)]).collect()
}
