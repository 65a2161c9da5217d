//! Experimental structures and the sequences that they belong to.

use std::path::{Path, PathBuf};

use crate::accuracy::bootstrap::mean;
use crate::accuracy::files::{Fit, StructureFiles, fit};
use crate::accuracy::structure::{self, Structure};
use crate::accuracy::target::{Alignment, Needs, NoTarget, Reading, first};
use anyhow::{Context, bail};
use fasta::{RecordError, Sequence};
use serde::Serialize;

use crate::cli::console::Console;
use crate::cli::input;

/// Structures to evaluate against.
#[derive(clap::Args)]
pub struct Structures {
    /// Folder of structures, NAME.pdb, NAME.ent or NAME.cif, also gzipped; NAME is a sequence's identifier,
    /// or what is before its first `_`
    #[arg(long, value_name = "DIR")]
    pdb_dir: PathBuf,
    /// Full sequences of the structures
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Evaluate only the first N structures that have a sequence, in order of their names
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// What a target must be.
pub struct Rule {
    /// Atoms that its residues must have.
    pub needs: Needs,
    /// Fewest residues that agree with the sequence.
    pub least: usize,
    /// Most residues of the sequence.
    pub longest: usize,
}

/// What is evaluated against, and what isn't.
pub struct Targets<T> {
    /// In order of the structures' names.
    pub list: Vec<Target<T>>,
    /// What was left out: as a whole.
    pub left_out: Vec<LeftOut>,
}

/// A sequence and its structure.
pub struct Target<T> {
    pub sequence: Sequence,
    pub structure: Source,
    pub value: T,
}

/// Where coordinates are from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// The file.
    pub file: String,
    /// How it was read.
    #[serde(flatten)]
    pub reading: Reading,
}

/// A structure or a sequence that was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The sequence, if one belongs to it.
    pub id: Option<String>,
    /// The structure file, if there is one.
    pub file: Option<String>,
    /// Why.
    pub reason: String,
}

impl<T> Targets<T> {
    /// The target of a sequence.
    pub fn of(&self, sequence: &Sequence) -> Option<&Target<T>> {
        self.list.iter().find(|target| target.sequence.stem == sequence.stem)
    }

    pub fn sequences(&self) -> Vec<Sequence> {
        self.list.iter().map(|target| target.sequence.clone()).collect()
    }

    /// Leaves out the target of a sequence whose error was printed.
    pub fn failed(&mut self, stem: &str, reason: &str) {
        let failed = self.list.iter().position(|target| target.sequence.stem == stem);
        if let Some(Target { sequence, structure, .. }) = failed.map(|at| self.list.remove(at)) {
            let file = Some(structure.file);
            self.left_out.push(LeftOut { file, ..LeftOut::failed(&sequence, reason) });
        }
    }
}

impl Structures {
    /// Structures in order of their names, each with its sequence and what `make` makes of both. What does
    /// not fit is named with the reason.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn targets<T>(
        &self,
        console: &mut Console,
        rule: &Rule,
        make: impl Fn(&Sequence, &Alignment<'_>) -> T,
    ) -> anyhow::Result<Targets<T>> {
        let batch = fasta::read_paths(&[&self.fasta], usize::MAX).single_chains().without_masks();
        let left_out = batch.rejected.iter().map(LeftOut::rejected).collect();
        let mut targets = Targets { list: Vec::new(), left_out };
        let sequences = input::report(batch, console);
        let cannot_read = || format!("{}: the folder of structures cannot be read", self.pdb_dir.display());
        let found = StructureFiles::find(&self.pdb_dir).with_context(cannot_read)?;
        let unreadable =
            found.unreadable.iter().map(|path| LeftOut::file(path, "files of this ending are not read"));
        leave_out(console, &mut targets.left_out, unreadable.collect());
        let files = &found.files;
        let owners = owners(files, &sequences);
        let homeless = files.iter().zip(&owners).filter(|(_, owned)| owned.is_empty());
        let fits_one = |stem: &str| sequences.iter().any(|s| fit(stem, &s.place.id).is_some());
        let (second, homeless): (Vec<_>, Vec<_>) = homeless.partition(|((stem, _), _)| fits_one(stem));
        let no_sequence = format!("no sequence of {} belongs to it", self.fasta.display());
        for (files, reason) in [(second, "its sequence has another structure"), (homeless, &*no_sequence)] {
            let files = files.iter().map(|((_, path), _)| LeftOut::file(path, reason));
            leave_out(console, &mut targets.left_out, files.collect());
        }
        let owned = files.iter().zip(&owners).filter(|(_, owned)| !owned.is_empty());
        let limit = self.limit.unwrap_or(usize::MAX);
        let beyond = owned.clone().skip(limit).flat_map(|((_, path), owned)| {
            owned.iter().map(move |s| LeftOut::target(s, path, format!("beyond --limit {limit}")))
        });
        leave_out(console, &mut targets.left_out, beyond.collect());
        for ((_, path), owned) in owned.take(limit) {
            let structure = match structure::read(path) {
                Ok(structure) => structure,
                Err(error) => {
                    let reason = error.to_string();
                    targets.left_out.extend(owned.iter().map(|s| LeftOut::target(s, path, reason.clone())));
                    console.failure(error);
                    continue;
                }
            };
            for &sequence in owned {
                match target(sequence, &structure, rule, &make) {
                    Ok((value, reading)) => {
                        let structure = Source { file: path.display().to_string(), reading };
                        structure.say(console, &sequence.id);
                        targets.list.push(Target { sequence: sequence.clone(), structure, value });
                    }
                    Err(reason) => {
                        console.warning(format_args!(
                            "{}: {}: left out: {reason}",
                            path.display(),
                            sequence.id
                        ));
                        targets.left_out.push(LeftOut::target(sequence, path, reason.to_string()));
                    }
                }
            }
        }
        let owned = |s: &Sequence| owners.iter().flatten().any(|owned| owned.stem == s.stem);
        let alone = sequences.iter().filter(|s| !owned(s));
        let reason = format!("no structure in {}", self.pdb_dir.display());
        let alone = alone.map(|s| LeftOut { id: Some(s.id.clone()), file: None, reason: reason.clone() });
        leave_out(console, &mut targets.left_out, alone.collect());
        Ok(targets)
    }
}

impl<T> Targets<T> {
    /// An error, if no structure can be evaluated against; it has the first reason, which a quiet console
    /// hasn't shown.
    pub fn ensure_some(&self, structures: &Structures) -> anyhow::Result<()> {
        if !self.list.is_empty() {
            return Ok(());
        }
        let (dir, fasta) = (structures.pdb_dir.display(), structures.fasta.display());
        let refused = self.left_out.iter().find(|l| l.id.is_some() && l.file.is_some());
        let Some(LeftOut { reason, .. }) = refused else {
            let first = self.left_out.first().map(|l| format!("; {}: {}", l.name(), l.reason));
            bail!("{dir}: no structure belongs to a sequence of {fasta}{}", first.unwrap_or_default());
        };
        let name = refused.map(LeftOut::name).unwrap_or_default();
        bail!("{dir}: no structure is left to evaluate against; {name}: {reason}")
    }
}

/// Says what is left out for one reason in one line.
fn leave_out(console: &Console, all: &mut Vec<LeftOut>, these: Vec<LeftOut>) {
    if let Some(one) = these.first() {
        let names: Vec<String> = these.iter().map(LeftOut::name).collect();
        console.warning(format_args!("left out, {}: {}: {}", names.len(), one.reason, first(&names)));
    }
    all.extend(these);
}

impl Source {
    /// Says how the file was read, and what of it is left out.
    pub fn say(&self, console: &Console, id: &str) {
        if let Some(choices) = self.reading.choices() {
            console.note(format_args!("{}: {id}: {choices}", self.file));
        }
        if let Some(losses) = self.reading.losses() {
            console.warning(format_args!("{}: {id}: {losses}", self.file));
        }
    }
}

/// The first line of a table: how many targets with lengths and structures like these, and what was left out.
pub fn head<'s>(rows: impl Iterator<Item = (usize, &'s Source)>, left_out: usize) -> String {
    let (lengths, residues): (Vec<f64>, Vec<usize>) =
        rows.map(|(length, structure)| (length as f64, structure.reading.left_out())).unzip();
    let mean_length = mean(lengths.iter().copied()).map_or_else(|| "-".into(), |mean| format!("{mean:.2}"));
    let (targets, residues) = (lengths.len(), residues.iter().sum::<usize>());
    format!("{targets} targets, mean length {mean_length}; left out: {left_out} targets, {residues} residues")
}

impl LeftOut {
    /// A record that was not accepted.
    pub fn rejected(error: &RecordError) -> Self {
        Self { id: Some(error.id.clone()), file: None, reason: error.to_string() }
    }

    /// A sequence whose error was printed.
    pub fn failed(sequence: &Sequence, reason: &str) -> Self {
        Self { id: Some(sequence.id.clone()), file: None, reason: reason.into() }
    }

    fn file(path: &Path, reason: &str) -> Self {
        Self { id: None, file: Some(path.display().to_string()), reason: reason.into() }
    }

    fn target(sequence: &Sequence, path: &Path, reason: String) -> Self {
        Self { id: Some(sequence.id.clone()), file: Some(path.display().to_string()), reason }
    }

    fn name(&self) -> String {
        self.id.clone().or_else(|| self.file.clone()).unwrap_or_default()
    }
}

/// The sequences of each file: those that its name fits best; and each sequence has one file, the first of
/// those that fit best.
fn owners<'s>(files: &[(String, PathBuf)], sequences: &'s [Sequence]) -> Vec<Vec<&'s Sequence>> {
    let mut owners = vec![Vec::new(); files.len()];
    for sequence in sequences {
        let fits =
            files.iter().enumerate().filter_map(|(i, (stem, _))| Some((fit(stem, &sequence.place.id)?, i)));
        // The last of the greatest is the first in reverse order.
        if let Some((_, file)) = fits.rev().max_by_key(|(fit, _): &(Fit, usize)| *fit) {
            owners[file].push(sequence);
        }
    }
    owners
}

fn target<T>(
    sequence: &Sequence,
    structure: &Structure,
    rule: &Rule,
    make: impl Fn(&Sequence, &Alignment<'_>) -> T,
) -> Result<(T, Reading), NoTarget> {
    let (length, limit) = (sequence.residues.len(), rule.longest);
    if length > limit {
        return Err(NoTarget::TooLong { length, limit });
    }
    let chain = sequence.place.id.split_once('_').map(|(_, chain)| chain);
    let aligned = Alignment::new(&sequence.residues, structure, chain, rule.needs, rule.least)?;
    Ok((make(sequence, &aligned), aligned.reading))
}
