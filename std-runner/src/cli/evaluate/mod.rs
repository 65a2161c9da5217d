//! `foldpoint evaluate`

mod contacts;
mod contacts_report;
mod hidden;

use super::Outcome;
use super::options::Options;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Precision of predicted contacts against experimental structures (C-beta nearer than 8 Å)
    Contacts(contacts::Args),
    /// Hidden states and logits against the float reference
    Hidden(hidden::Args),
}

pub fn run(options: &Options, command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Contacts(args) => contacts::run(options, args),
        Command::Hidden(args) => hidden::run(options, args),
    }
}
