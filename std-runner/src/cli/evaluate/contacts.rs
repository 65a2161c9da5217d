//! `foldpoint evaluate contacts`

use std::path::PathBuf;

use anyhow::Context;
use fasta::Sequence;
use std_runner::accuracy::precision::{Precisions, precisions};
use std_runner::accuracy::reference::Reference;
use std_runner::accuracy::structure;
use std_runner::accuracy::target::Target;
use std_runner::contact_map;
use std_runner::engine::{Request, Requests};

use super::contacts_report::{self, Row};
use super::targets::Structures;
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::{Options, require};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    structures: Structures,
    /// Folder of float reference outputs, ID.safetensors with ID.contacts; their precision is printed beside
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Print JSON, with every target's precisions
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, bytes.name())?;
    let targets = args.structures.targets(&mut console, usize::MAX, |sequence, path, chain| {
        let residues = structure::read(path, chain)?;
        Ok(Target::align(&sequence.residues, &residues)?)
    })?;
    let (sequences, targets): (Vec<Sequence>, Vec<Target>) = targets.into_iter().unzip();
    let target_of =
        |sequence: &Sequence| sequences.iter().position(|s| s.id == sequence.id).map(|i| &targets[i]);
    let mut rows: Vec<Row> = Vec::new();
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, _| {
            let target = target_of(sequence).context("the target is gone")?;
            let length = prediction.length;
            let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
            let model = precisions(target, &map, length);
            let reference = args.reference_precisions(sequence, target)?;
            let resolved = target.positions.len();
            Ok(Row { id: sequence.id.clone(), length, resolved, model, reference })
        },
        |_, _, row| rows.push(row),
    )?;
    if args.json {
        console.line(contacts_report::json(&rows));
    } else {
        contacts_report::markdown(&rows).lines().for_each(|line| console.line(line));
    }
    console.finish()
}

impl Args {
    fn reference_precisions(
        &self,
        sequence: &Sequence,
        target: &Target,
    ) -> anyhow::Result<Option<Precisions>> {
        let Some(dir) = &self.reference else { return Ok(None) };
        let length = sequence.residues.len();
        let map =
            Reference::open(dir, &sequence.stem, &sequence.id)?.required("contacts", &[length, length])?;
        Ok(Some(precisions(target, &map, length)))
    }
}
