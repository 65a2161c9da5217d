//! The `foldpoint` command.

mod accuracy;
mod cli;
mod files;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
