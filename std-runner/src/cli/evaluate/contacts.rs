//! `foldpoint evaluate contacts`

use std::path::PathBuf;

use anyhow::{Context, bail};
use std_runner::accuracy::precision::{Precisions, precisions};
use std_runner::accuracy::reference::Reference;
use std_runner::accuracy::structure;
use std_runner::accuracy::target::{Target, names_match, structure_files};
use std_runner::contact_map;
use std_runner::engine::{Request, Requests};
use std_runner::fasta::{self, Sequence};

use super::contacts_report::{self, Row};
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::{Options, require};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of structures, NAME.pdb or NAME.pdb.gz; NAME is a sequence's identifier, or what is before its first `_`
    #[arg(long, value_name = "DIR")]
    pdb_dir: PathBuf,
    /// Full sequences of the structures
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Folder of float reference outputs, ID.safetensors with ID.contacts; their precision is printed beside
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Evaluate only the first N structures in order of their names
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
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
    let targets = args.targets(&mut console)?;
    if targets.is_empty() {
        bail!("{}: no structure belongs to a sequence of {}", args.pdb_dir.display(), args.fasta.display());
    }
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
    /// Structures in order of their names, each with its sequence; those that do not fit are named with the reason.
    fn targets(&self, console: &mut Console) -> anyhow::Result<Vec<(Sequence, Target)>> {
        let batch = fasta::read_path(&self.fasta, usize::MAX)?;
        batch.warnings.iter().for_each(|w| console.warning(w));
        batch.rejected.iter().for_each(|e| console.failure(e));
        let cannot_read = || format!("{}: the folder of structures cannot be read", self.pdb_dir.display());
        let files = structure_files(&self.pdb_dir).with_context(cannot_read)?;
        let mut targets: Vec<(Sequence, Target)> = Vec::new();
        for (stem, path) in files.into_iter().take(self.limit.unwrap_or(usize::MAX)) {
            let of_structure = |s: &&Sequence| names_match(&stem, &s.id);
            let exact = batch.sequences.iter().find(|s| s.id == stem);
            let Some(sequence) = exact.or_else(|| batch.sequences.iter().find(of_structure)) else {
                continue;
            };
            if targets.iter().any(|(s, _)| s.id == sequence.id) {
                console.warning(format_args!(
                    "{}: left out: `{}` has a structure already",
                    path.display(),
                    sequence.id
                ));
                continue;
            }
            let chain = sequence.id.split_once('_').map(|(_, chain)| chain);
            match structure::read(&path, chain) {
                Err(error) => console.failure(error),
                Ok(residues) => match Target::align(&sequence.residues, &residues) {
                    Ok(target) => targets.push((sequence.clone(), target)),
                    Err(reason) => console.warning(format_args!("{}: left out: {reason}", path.display())),
                },
            }
        }
        Ok(targets)
    }

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
