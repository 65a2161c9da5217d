//! The `foldpoint` command.

mod accuracy;
mod cli;
mod files;
mod rates;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
