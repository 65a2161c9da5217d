//! `foldpoint evaluate`

mod contacts;
mod contacts_report;
mod hidden;
mod hidden_report;
mod references;
mod structures;
mod structures_report;
mod targets;

use super::Outcome;
use super::options::Options;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Precision of predicted contacts against experimental structures (C-beta nearer than 8 Å)
    Contacts(contacts::Args),
    /// Hidden states and logits against the float reference
    Hidden(hidden::Args),
    /// Accuracy of predicted structures: lDDT and TM-score against experimental ones, and against the float
    /// reference
    Structures(structures::Args),
}

pub fn run(options: &Options, command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Contacts(args) => contacts::run(options, args),
        Command::Hidden(args) => hidden::run(options, args),
        Command::Structures(args) => structures::run(options, args),
    }
}
