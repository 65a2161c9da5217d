//! `foldpoint evaluate contacts`

use std::path::PathBuf;

use crate::accuracy::precision::{Precisions, precisions};
use crate::accuracy::reference::{Origin, Reference};
use crate::accuracy::target::{Alignment, Needs, Target};
use anyhow::Context;
use fasta::Sequence;
use std_runner::contact_map;
use std_runner::engine::{Request, Requests};

use super::contacts_report::{self, Row};
use super::references;
use super::targets::{Rule, Structures};
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
    /// Leave out longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 600)]
    max_len: usize,
    /// Leave out structures of which fewer residues agree with the sequence
    #[arg(long, value_name = "N", default_value_t = 40)]
    min_resolved: usize,
    /// Print JSON, with every target's precisions, and what was left out
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, model.name())?;
    let rule = Rule { needs: Needs::Backbone, least: args.min_resolved, longest: args.max_len };
    let made = |_: &Sequence, aligned: &Alignment<'_>| Target::new(&aligned.residues);
    let mut targets = args.structures.targets(&mut console, &rule, made)?;
    let none = targets.ensure_some(&args.structures);
    if let Some(dir) = &args.reference {
        // Contacts are the language model's, whose outputs do not depend on recycles.
        let origin = Origin::of(model.metadata()?.as_ref(), None);
        let sequences = targets.list.iter().map(|target| &target.sequence);
        for (stem, reason) in references::check(&mut console, dir, &origin, sequences) {
            targets.failed(&stem, &reason);
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut failed: Vec<(String, String)> = Vec::new();
    input::run(
        options,
        &model,
        &Requests { engine: &engine, request: &request },
        &targets.sequences(),
        &mut console,
        |sequence, prediction, _| {
            let target = targets.of(sequence).context("the target is gone")?;
            let length = prediction.length;
            let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
            let model = precisions(&target.value, &map, length);
            let reference = args.reference_precisions(sequence, &target.value)?;
            let (id, name) = (sequence.id.clone(), sequence.stem.clone());
            let (resolved, structure) = (target.value.positions.len(), target.structure.clone());
            Ok(Row { id, name, length, resolved, structure, model, reference })
        },
        |_, sequence, result| match result {
            Ok(row) => rows.push(row),
            Err(reason) => failed.push((sequence.stem.clone(), reason)),
        },
    )?;
    failed.iter().for_each(|(stem, reason)| targets.failed(stem, reason));
    if args.json {
        console.line(contacts_report::json(&rows, &targets.left_out));
    } else if none.is_ok() {
        contacts_report::markdown(&rows, targets.left_out.len()).lines().for_each(|line| console.line(line));
    }
    let outcome = console.finish()?;
    none.map(|()| outcome)
}

impl Args {
    fn reference_precisions(
        &self,
        sequence: &Sequence,
        target: &Target,
    ) -> anyhow::Result<Option<Precisions>> {
        let Some(dir) = &self.reference else { return Ok(None) };
        let length = sequence.residues.len();
        let map = Reference::open(dir, sequence)?.required("contacts", &[length, length])?;
        Ok(Some(precisions(target, &map, length)))
    }
}
