//! The command line.

mod reference;

use clap::{Parser, Subcommand};

/// Runs float checkpoints of ESM-2.
#[derive(Parser)]
#[command(name = "quantizer", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
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
        match self.command {
            Command::Reference(arguments) => arguments.run(),
        }
    }
}
