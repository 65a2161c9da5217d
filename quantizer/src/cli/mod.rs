//! The command line.

mod destination;
mod download;
mod estimate;
mod phases;
mod quantize;
mod reference;
mod source;
mod threads;
mod unfinished;

use clap::{Parser, Subcommand};

/// Turns a float checkpoint of ESM-2, ESMFold or OmegaFold into a Foldpoint model file.
#[derive(Parser)]
#[command(
    name = "quantizer",
    version,
    about,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    quantize: Option<quantize::Arguments>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the float reference and write its outputs, for the runner's `evaluate` to compare with.
    Reference(reference::Arguments),
}

impl Cli {
    /// Does what the arguments say.
    ///
    /// # Errors
    /// Anything that keeps the job from being done, with the file it is about.
    pub fn run(self) -> anyhow::Result<()> {
        match (self.command, self.quantize) {
            (Some(Command::Reference(arguments)), _) => arguments.run(),
            (None, Some(arguments)) => arguments.run(),
            (None, None) => anyhow::bail!("no checkpoint given: see --help"),
        }
    }
}
