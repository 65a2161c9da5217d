//! `foldpoint plan`

use foldpoint_core::esmfold::FoldingModel;
use std_runner::arena::display_bytes;
use std_runner::engine::{Request, Requests};
use std_runner::memory_limit::MemoryLimit;
use std_runner::task::Task;

use super::Outcome;
use super::console::Console;
use super::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Lengths in residues; for a complex those of all chains, and 25 for each linker between two
    #[arg(value_name = "LENGTH", default_values_t = [64, 128, 256, 512, 1024, 2048])]
    lengths: Vec<usize>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let limit = options.limit(&console);
    let bytes = options.open(None)?;
    let file = bytes.parse()?;
    if FoldingModel::is_in(&file) {
        table(&mut console, options, args, &limit, "structures", &options.folder(&bytes, None, false)?);
        console.line("");
        let errors = options.folder(&bytes, None, true)?;
        table(&mut console, options, args, &limit, "structures and predicted aligned errors", &errors);
        console.line("");
    }
    let engine = options.engine(&bytes)?;
    let request = Request { contacts: engine.model().has_contact_head(), ..Request::default() };
    let what = if request.contacts { "contact maps" } else { "the language model" };
    table(&mut console, options, args, &limit, what, &Requests { engine: &engine, request: &request });
    console.finish()
}

/// One row a length: bytes with one thread and with all of them, and what the former are for each pair of residues.
fn table(
    console: &mut Console,
    options: &Options,
    args: &Args,
    limit: &MemoryLimit,
    what: &str,
    task: &impl Task,
) {
    let threads = options.threads();
    console.line(format_args!("{what}:\n"));
    console.line(format_args!("| residues | 1 thread | {threads} threads inside | bytes per pair |"));
    console.line("|---:|---:|---:|---:|");
    for &length in &args.lengths {
        match (task.bytes_needed(length, 1), task.bytes_needed(length, threads)) {
            (Ok(one), Ok(all)) => {
                let pairs = length as f64 * length as f64;
                let (per_pair, one, all) = (one as f64 / pairs, display_bytes(one), display_bytes(all));
                console.line(format_args!("| {length} | {one} | {all} | {per_pair:.1} |"));
            }
            (Err(error), _) | (_, Err(error)) => {
                console.failure(format_args!("{length} residues: {error}"));
            }
        }
    }
    console.line(format_args!("\n{limit}: up to {} residues", task.longest(limit.bytes)));
}
