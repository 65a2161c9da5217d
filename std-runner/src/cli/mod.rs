//! The command line: options, subcommands, exit status.

mod bench;
mod console;
mod contacts;
mod digest;
mod embed;
mod evaluate;
mod fold_args;
mod info;
mod input;
mod logits;
mod models;
mod options;
mod plan;
mod predict;
mod results;
mod score;
mod table;
mod verify;

use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use options::Options;

/// Protein structures, contacts, embeddings and logits from sequences, in integer arithmetic.
///
/// Exit status: 0 all went well; 1 something failed (other sequences of a batch are done nevertheless); 2
/// wrong usage.
#[derive(Parser)]
#[command(name = "foldpoint", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Predict structures: ID.pdb for each sequence; `:` separates the chains of a complex. With a model that
    /// does not fold: contact maps, ID.contacts.npy (f32 [L, L]) and a picture, ID.contacts.png
    Predict(predict::Args),
    /// Write contact maps as arrays, pictures or tables
    Contacts(contacts::Args),
    /// Write embeddings: hidden states of residues, their mean or `<cls>`, of any layers; or one array for
    /// all sequences
    Embed(embed::Args),
    /// Write the language model's logits for each residue
    Logits(logits::Args),
    /// Score variants of a protein: those of a table of a mutational scan, or all substitutions of single residues
    Score(score::Args),
    /// Say what a model is, can do, how much memory it needs, and the time where it was measured
    Info(info::Args),
    /// List the models that `--model NAME` takes, and the one that is built in
    Models(models::Args),
    /// Say how much memory and time sequences of given lengths need on this machine, or the records of FASTA
    /// files, and which length still fits
    Plan(plan::Args),
    /// Check every checksum and every tensor of a model file, so that no run over it can meet a bad one
    Verify(verify::Args),
    /// Measure the speed on this machine
    Bench(bench::Args),
    /// Print one SHA-256 of all integer outputs: the same on every machine, instruction set and number of
    /// threads
    Digest(digest::Args),
    /// Measure the accuracy against structures or the float reference
    #[command(subcommand)]
    Evaluate(evaluate::Command),
}

/// What a command that ran to its end says about its sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    failures: usize,
}

/// Runs the command line and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.options.start_logging();
    match run(&cli) {
        Ok(Outcome { failures: 0 }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Whoever reads our output has seen enough: `foldpoint ... | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    let options = &cli.options;
    match &cli.command {
        Command::Predict(args) => predict::run(options, args),
        Command::Contacts(args) => contacts::run(options, args),
        Command::Embed(args) => embed::run(options, args),
        Command::Logits(args) => logits::run(options, args),
        Command::Score(args) => score::run(options, args),
        Command::Info(args) => info::run(options, args),
        Command::Models(args) => models::run(options, args),
        Command::Plan(args) => plan::run(options, args),
        Command::Verify(args) => verify::run(options, args),
        Command::Bench(args) => bench::run(options, args),
        Command::Digest(args) => digest::run(options, args),
        Command::Evaluate(command) => evaluate::run(options, command),
    }
}

/// Ends the program as clap does for a wrong option: for values that can only be judged once the model is
/// known.
fn usage_error(kind: ErrorKind, message: &str) -> ! {
    Cli::command().error(kind, message).exit()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
