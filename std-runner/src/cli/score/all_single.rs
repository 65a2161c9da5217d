//! All substitutions of single residues.

use std::io::{self, Write};
use std::path::Path;

use fasta::Sequence;
use std_runner::output::{AMINO_ACIDS, variants_png};
use std_runner::variants::{Mutation, decode};

use super::Variant;
use super::run::Scorer;
use crate::cli::console::Console;
use crate::files::OutputDir;

/// Scores them for every wild type, and writes what comes out.
pub fn run(
    scorer: &Scorer,
    out: &Path,
    wild_types: &[Sequence],
    offset: i64,
    console: &mut Console,
) -> anyhow::Result<()> {
    let out = OutputDir::create(out)?;
    for wild_type in wild_types {
        let residues = &wild_type.residues;
        let scores = match scorer.score(wild_type, &variants(residues), console) {
            Ok(scores) => scores,
            Err(error) => {
                console.failure(format_args!("{error:#}"));
                continue;
            }
        };
        let scores: Vec<Option<f64>> = scores.into_iter().map(|score| score.map(decode)).collect();
        let name = |ending: &str| format!("{}.variants.{ending}", wild_type.stem);
        let long = out.write(&name("csv"), |w| long_table(w, residues, &scores, offset))?;
        out.write(&name("matrix.csv"), |w| matrix(w, residues, &scores, offset))?;
        out.write(&name("png"), |w| variants_png(w, residues, &scores, offset))?;
        console.success();
        console.row(format_args!("{}: {}", wild_type.id, long.display()));
    }
    Ok(())
}

/// Every residue's substitutions, in the order of [`AMINO_ACIDS`]: none of what isn't an amino acid, or isn't
/// another one.
fn variants(residues: &[u8]) -> Vec<Variant> {
    let of_residue = |(at, &from): (usize, &u8)| {
        let known = AMINO_ACIDS.contains(&from);
        AMINO_ACIDS.iter().map(move |&to| (known && to != from).then(|| vec![Mutation { from, at, to }]))
    };
    residues.iter().enumerate().flat_map(of_residue).collect()
}

/// A row for each substitution.
fn long_table(w: &mut dyn Write, residues: &[u8], scores: &[Option<f64>], offset: i64) -> io::Result<()> {
    writeln!(w, "mutant,position,wild_type,residue,score")?;
    for ((number, &from), scores) in (offset..).zip(residues).zip(scores.chunks_exact(AMINO_ACIDS.len())) {
        for (&to, score) in AMINO_ACIDS.iter().zip(scores) {
            let (from, to) = (char::from(from), char::from(to));
            if let Some(score) = score {
                writeln!(w, "{from}{number}{to},{number},{from},{to},{score:.6}")?;
            }
        }
    }
    Ok(())
}

/// A row for each residue; 0 for the wild type's.
fn matrix(w: &mut dyn Write, residues: &[u8], scores: &[Option<f64>], offset: i64) -> io::Result<()> {
    let letters: Vec<String> = AMINO_ACIDS.iter().map(|&letter| char::from(letter).into()).collect();
    writeln!(w, "position,wild_type,{}", letters.join(","))?;
    for ((number, &from), scores) in (offset..).zip(residues).zip(scores.chunks_exact(AMINO_ACIDS.len())) {
        let cell = |(&to, score): (&u8, &Option<f64>)| match score {
            Some(score) => format!("{score:.6}"),
            None if to == from => "0.000000".into(),
            None => String::new(),
        };
        let cells: Vec<String> = AMINO_ACIDS.iter().zip(scores).map(cell).collect();
        writeln!(w, "{number},{},{}", char::from(from), cells.join(","))?;
    }
    Ok(())
}
