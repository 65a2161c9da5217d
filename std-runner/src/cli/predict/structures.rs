//! Folding: a structure for each sequence.

use std::time::Duration;

use anyhow::Context;
use fasta::Sequence;
use std_runner::arena::display_bytes;
use std_runner::fold::{Folded, Folder, kind};
use std_runner::model::{ModelBytes, metadata};
use std_runner::output::OutputDir;
use std_runner::output::structure::{self, Model, Provenance, fits_pdb};
use std_runner::sanity::{Oddity, oddities};

use super::{Args, Format, Pae};
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::Options;

/// What to expect of the model that is built in.
const DEMONSTRATION: &str = "the built-in model is a small demonstration: it folds some small domains and gets others wrong, and its pLDDT says which; \
     for science, quantize the HuggingFace folder facebook/esmfold_v1 (quantizer) and give it as --model FILE";

/// What is said about a sequence once its files are there.
struct Summary {
    plddt: f64,
    folded: Folded,
    oddities: Vec<Oddity>,
    time: Duration,
}

pub fn run(
    options: &Options,
    args: &Args,
    bytes: &ModelBytes,
    out: &OutputDir,
    mut console: Console,
) -> anyhow::Result<Outcome> {
    let recycles = args.recycles.map(|n| n.saturating_add(1));
    let folder = options.folder(bytes, recycles, args.pae.is_some())?;
    if bytes.is_embedded() {
        console.note(DEMONSTRATION);
    }
    let format = args.format()?;
    let mut sequences = args.input.read_complexes(&mut console);
    sequences.retain(|sequence| match refusal(sequence, format) {
        Some(reason) => {
            console.failure(format_args!("{}: {reason}", sequence.place));
            false
        }
        None => true,
    });
    for sequence in &sequences {
        warn_of_chains_without_atoms(sequence, &console);
    }
    let provenance = provenance(bytes, &folder)?;
    let names = sequences.iter().map(|s| s.id.chars().count()).max().unwrap_or(0);
    input::run(
        options,
        &folder,
        &sequences,
        &mut console,
        |sequence, folded, time| {
            let mut model = folded.model(sequence);
            let plddt = model.mean_plddt();
            model.provenance = provenance.clone();
            write(out, sequence, &model, &folded, format, args.pae)?;
            Ok(Summary { plddt, oddities: oddities(&model), folded, time })
        },
        |console, sequence, Summary { plddt, folded, oddities, time }| {
            let (id, length, seconds) = (&sequence.id, sequence.residues.len(), time.as_secs_f64());
            let (scores, arena) = (scores(&folded), display_bytes(folded.arena as u64));
            console.line(format_args!(
                "{id:names$} {length:6} residues  pLDDT {plddt:5.1}  {scores}  {seconds:9.3} s  {arena}"
            ));
            for oddity in oddities {
                console.warning(format_args!("{}: {oddity}", sequence.place));
            }
        },
    )?;
    console.finish()
}

/// Why nothing could be written for a sequence, so that folding it would be in vain.
fn refusal(sequence: &Sequence, format: Format) -> Option<String> {
    let atoms = |letters: &[u8]| letters.iter().map(|&letter| kind(letter).atoms().len()).sum::<usize>();
    // Each chain that ends in an amino acid ends in OXT.
    let ends = sequence.chains().filter(|chain| atoms(&chain[chain.len() - 1..]) > 0).count();
    let atoms = atoms(&sequence.residues) + ends;
    if atoms == 0 {
        let count = sequence.residues.len();
        return Some(format!(
            "not folded, nothing is written: all {count} residues are X, which has no atoms"
        ));
    }
    match format {
        Format::Pdb => fits_pdb(&sequence.chain_lengths, atoms).err().map(|limit| limit.to_string()),
        Format::Cif => None,
    }
}

fn warn_of_chains_without_atoms(sequence: &Sequence, console: &Console) {
    for (number, chain) in (1..).zip(sequence.chains()) {
        if chain.iter().all(|&letter| kind(letter).atoms().is_empty()) {
            let place = &sequence.place;
            console.warning(format_args!(
                "{place}: chain {number} is only X, which has no atoms: it is folded with the others, and written as a sequence alone"
            ));
        }
    }
}

/// What made the structures.
fn provenance(bytes: &ModelBytes, folder: &Folder) -> anyhow::Result<Provenance> {
    let meta = metadata(&bytes.parse()?).unwrap_or_default();
    let text = |key: &str| meta.get(key).and_then(|value| value.as_str()).unwrap_or("UNKNOWN").to_owned();
    Ok(Provenance {
        passes: folder.passes,
        model: bytes.file_name().to_string(),
        checkpoint: text("checkpoint"),
        quantizer: text("quantizer"),
    })
}

fn scores(folded: &Folded) -> String {
    let iptm = folded.iptm().map_or_else(String::new, |iptm| format!("  ipTM {iptm:.3}"));
    format!("pTM {:.3}{iptm}", folded.ptm())
}

/// Writes the structure and, if they are wanted, the aligned errors: into the structure's file or beside it.
fn write(
    out: &OutputDir,
    sequence: &Sequence,
    model: &Model,
    folded: &Folded,
    format: Format,
    pae: Option<Pae>,
) -> anyhow::Result<()> {
    let stem = &sequence.stem;
    let errors = match pae {
        Some(_) => Some(folded.aligned_errors(model).context("the model gave no predicted aligned errors")?),
        None => None,
    };
    let inside = errors.as_ref().filter(|_| pae == Some(Pae::Cif));
    match format {
        Format::Pdb => out.write(&format!("{stem}.pdb"), |w| structure::pdb(w, model))?,
        Format::Cif => out.write(&format!("{stem}.cif"), |w| structure::mmcif(w, model, inside))?,
    };
    match (pae, &errors) {
        (Some(Pae::Json), Some(errors)) => {
            out.write(&format!("{stem}.pae.json"), |w| errors.json(w)).map(drop)?
        }
        (Some(Pae::Npy), Some(errors)) => {
            out.write(&format!("{stem}.pae.npy"), |w| errors.npy(w)).map(drop)?
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(residues: &str, format: Format) -> Option<String> {
        let text = format!(">a\n{residues}\n");
        let batch = fasta::read(text.as_bytes(), "t", usize::MAX);
        refusal(&batch.sequences[0], format)
    }

    #[test]
    fn what_cannot_be_written_is_not_folded() {
        assert_eq!(refusal_of("XA", Format::Pdb), None);
        let all_x = refusal_of("XX:X", Format::Cif).expect("no atoms");
        assert!(all_x.contains("nothing is written: all 3 residues are X"), "{all_x}");
        let many = ["A"; 63].join(":");
        assert!(refusal_of(&many, Format::Pdb).expect("63 chains").contains("--format cif"));
        assert_eq!(refusal_of(&many, Format::Cif), None);
        assert!(refusal_of(&"W".repeat(9_999), Format::Pdb).expect("140 000 atoms").contains("atoms"));
    }
}
