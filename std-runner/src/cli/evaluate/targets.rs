//! Experimental structures and the sequences that they belong to.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fasta::Sequence;
use std_runner::accuracy::structure::StructureError;
use std_runner::accuracy::target::{NoTarget, names_match, structure_files};

use crate::cli::console::Console;
use crate::cli::input;

/// Structures to evaluate against.
#[derive(clap::Args)]
pub struct Structures {
    /// Folder of structures, NAME.pdb or NAME.pdb.gz; NAME is a sequence's identifier, or what is before its first `_`
    #[arg(long, value_name = "DIR")]
    pdb_dir: PathBuf,
    /// Full sequences of the structures
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Evaluate only the first N structures in order of their names
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Why a structure can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file is bad: a failure.
    #[error(transparent)]
    File(#[from] StructureError),
    /// It is no target: left out with a warning.
    #[error(transparent)]
    LeftOut(#[from] NoTarget),
}

impl Structures {
    /// Structures in order of their names, each with its sequence and what `read` makes of sequence, path and chain; those that do not
    /// fit are named with the reason. Sequences of more than `longest` residues are left out.
    ///
    /// # Errors
    /// Folder or sequences can't be read, or nothing is left.
    pub fn targets<T>(
        &self,
        console: &mut Console,
        longest: usize,
        read: impl Fn(&Sequence, &Path, Option<&str>) -> Result<T, Unusable>,
    ) -> anyhow::Result<Vec<(Sequence, T)>> {
        let batch = fasta::read_paths(&[&self.fasta], usize::MAX).single_chains().without_masks();
        let sequences = input::report(batch, console);
        let cannot_read = || format!("{}: the folder of structures cannot be read", self.pdb_dir.display());
        let files = structure_files(&self.pdb_dir).with_context(cannot_read)?;
        let mut targets: Vec<(Sequence, T)> = Vec::new();
        for (stem, path) in files.into_iter().take(self.limit.unwrap_or(usize::MAX)) {
            let of_structure = |s: &&Sequence| names_match(&stem, &s.id);
            let exact = sequences.iter().find(|s| s.id == stem);
            let Some(sequence) = exact.or_else(|| sequences.iter().find(of_structure)) else {
                continue;
            };
            let place = path.display();
            if targets.iter().any(|(s, _)| s.id == sequence.id) {
                console.warning(format_args!("{place}: left out: `{}` has a structure already", sequence.id));
                continue;
            }
            let (length, limit) = (sequence.residues.len(), longest);
            let chain = sequence.id.split_once('_').map(|(_, chain)| chain);
            let target = if length > limit {
                Err(NoTarget::TooLong { length, limit }.into())
            } else {
                read(sequence, &path, chain)
            };
            match target {
                Ok(target) => targets.push((sequence.clone(), target)),
                Err(Unusable::File(error)) => console.failure(error),
                Err(Unusable::LeftOut(reason)) => {
                    console.warning(format_args!("{place}: left out: {reason}"));
                }
            }
        }
        if targets.is_empty() {
            bail!(
                "{}: no structure belongs to a sequence of {}",
                self.pdb_dir.display(),
                self.fasta.display()
            );
        }
        Ok(targets)
    }
}
