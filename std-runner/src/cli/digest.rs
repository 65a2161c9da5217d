//! `foldpoint digest`

use std_runner::digest::{of_all, of_prediction};
use std_runner::engine::{Request, Requests};

use super::Outcome;
use super::console::Console;
use super::input::{self, Input};
use super::options::Options;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Print a digest for each sequence too
    #[arg(long)]
    each: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let model = engine.model();
    let request = Request {
        contacts: model.has_contact_head(),
        logits: model.has_lm_head(),
        layers: vec![model.config().layers],
    };
    let sequences = args.input.read(&mut console)?;
    let mut digests = Vec::new();
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |_, prediction, _| Ok(of_prediction(&prediction)),
        |console, sequence, digest| {
            digests.push(digest);
            if args.each {
                console.line(format_args!("{digest}  {}", sequence.id));
            }
        },
    )?;
    let count = digests.len();
    console.line(format_args!("{}  {count} sequences", of_all(digests)));
    console.finish()
}
