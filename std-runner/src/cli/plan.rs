//! `foldpoint plan`

use std::num::NonZeroUsize;

use std_runner::arena::display_bytes;
use std_runner::engine::{Request, Requests};
use std_runner::memory_limit::MemoryLimit;
use std_runner::task::{Task, TaskError};

use super::Outcome;
use super::console::Console;
use super::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Lengths in residues; for a complex those of all chains, and 25 for each linker between two
    #[arg(value_name = "LENGTH", default_values_t = [64, 128, 256, 512, 1024, 2048].map(|n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)))]
    lengths: Vec<NonZeroUsize>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let limit = options.limit(&console);
    let model = options.open(None)?;
    if model.folds() {
        table(&mut console, options, args, &limit, "structures", &options.fold_engine(&model, None, false)?);
        console.line("");
        let errors = options.fold_engine(&model, None, true)?;
        table(&mut console, options, args, &limit, "structures and predicted aligned errors", &errors);
        console.line("");
    }
    let engine = options.engine(&model)?;
    let request = Request { contacts: engine.model().has_contact_head(), ..Request::default() };
    let what = if request.contacts { "contact maps" } else { "the language model" };
    table(&mut console, options, args, &limit, what, &Requests { engine: &engine, request: &request });
    let (size, threads) = (display_bytes(model.bytes().len() as u64), options.threads());
    if threads > 1 {
        console.line(format_args!(
            "\n1 thread: short records run side by side, one thread each. {threads} threads: all of them inside one record, as long ones run"
        ));
    }
    console.line(format_args!(
        "\nin all: core's arena, and the results until they are written. The model's {size} come besides: mapped, so that the system reads what is used and may drop it again. Records above --max-len (4096 residues, unless it is given) are refused whatever the memory"
    ));
    console.finish()
}

/// One row a length: bytes of core's arena and in all, with one thread and, if there are more, with all of
/// them, and what the whole with one thread is for each pair of residues.
fn table(
    console: &mut Console,
    options: &Options,
    args: &Args,
    limit: &MemoryLimit,
    what: &str,
    task: &impl Task,
) {
    let threads = options.threads();
    let numbers = if threads > 1 { vec![1, threads] } else { vec![1] };
    let all = if threads > 1 { format!(" | {threads} threads") } else { String::new() };
    console.line(format_args!("{what}:\n"));
    console.line(format_args!(
        "| residues | core's arena, 1 thread{all} | in all, 1 thread{all} | in all, per pair |"
    ));
    console.line(format_args!("|---:{}|---:|", "|---:".repeat(2 * numbers.len())));
    for length in args.lengths.iter().map(|length| length.get()) {
        match row(task, length, &numbers) {
            Ok(row) => console.line(row),
            Err(error) => console.failure(format_args!("{length} residues: {error}")),
        }
    }
    console.line(format_args!("\n{limit}: up to {} residues", task.longest(limit.bytes)));
}

/// `threads`: each of them has its columns, and the first is one.
fn row(task: &impl Task, length: usize, threads: &[usize]) -> Result<String, TaskError> {
    let (mut arena, mut whole) = (String::new(), String::new());
    for &threads in threads {
        arena += &format!(" {} |", display_bytes(task.arena_bytes(length, threads)?));
        whole += &format!(" {} |", display_bytes(task.bytes_needed(length, threads)?));
    }
    let per_pair = task.bytes_needed(length, 1)? as f64 / (length as f64 * length as f64);
    Ok(format!("| {length} |{arena}{whole} {per_pair:.1} B |"))
}
