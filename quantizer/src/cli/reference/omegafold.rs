//! `quantizer reference` of an OmegaFold.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use foldpoint_core::geometry::Residue;
use foldpoint_core::omegafold::residue;
use quantizer::checkpoint::OmegaFold;
use quantizer::reference::esmfold::atoms::atom37_positions;
use quantizer::reference::omegafold::{OmegaFoldOutputs, OmegaFoldReference, Options};
use quantizer::table::ATOM_TYPES;

use super::Arguments;
use super::file::{Tensors, require_finite, write};

/// Folds the sequences and writes what comes out.
pub fn run(arguments: &Arguments, checkpoint: &OmegaFold) -> anyhow::Result<()> {
    ensure!(
        arguments.base.is_none() && arguments.weights.is_none() && !arguments.hidden,
        "{}: --base, --weights and --hidden are not for OmegaFold",
        arguments.checkpoint.display()
    );
    let read = |letter| residue(letter).map_or(letter, |residue| residue.letter() as u8);
    let (sequences, mut failed) = arguments.sequences(|batch| batch.without_masks().read_rare(read))?;
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let defaults = Options::default();
    let options =
        Options { cycles: arguments.recycles.map_or(defaults.cycles, |n| n.saturating_add(1)), ..defaults };
    let origin = HashMap::from([
        ("quantizer".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("checkpoint".to_owned(), file_name(checkpoint)),
        ("sha256".to_owned(), serde_json::to_string(&checkpoint.hashes()?)?),
        ("weights".to_owned(), "float".to_owned()),
        ("recycles".to_owned(), (options.cycles - 1).to_string()),
    ]);
    let reference = OmegaFoldReference::new(checkpoint)?;
    for (number, input) in sequences.iter().enumerate() {
        let sequence = &input.sequence;
        let residues: Option<Vec<Residue>> = sequence.residues.iter().copied().map(residue).collect();
        let Some(residues) = residues else {
            eprintln!("error: {}: it has O or J, which OmegaFold doesn't read", sequence.place);
            failed = true;
            continue;
        };
        let outputs = reference.run(number, &residues, &options, &mut ())?;
        let tensors = tensors(&residues, &outputs);
        require_finite(&sequence.id, &tensors)?;
        let path = write(&arguments.out, sequence, &tensors, &origin)?;
        println!("{}: {} residues: {}", sequence.id, residues.len(), path.display());
    }
    println!("results are in {}", arguments.out.display());
    ensure!(!failed, "{}: not all sequences could be run", arguments.fasta.display());
    Ok(())
}

fn file_name(checkpoint: &OmegaFold) -> String {
    checkpoint.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The cycle that is the result.
fn tensors(residues: &[Residue], outputs: &OmegaFoldOutputs) -> Tensors {
    let cycle = &outputs.cycles[outputs.chosen];
    let (mut positions, mut mask) = (Vec::new(), Vec::new());
    for (atoms, &residue) in cycle.structure.atoms.iter().zip(residues) {
        let (places, there) = atom37_positions(atoms, residue);
        positions.extend(places.as_flattened().iter().map(|&v| v as f32));
        mask.extend(there.map(|there| f32::from(u8::from(there))));
    }
    let plddt = cycle.confidence.iter().flat_map(|&c| [c as f32; ATOM_TYPES]).collect();
    let count = residues.len();
    vec![
        ("atom37", positions, vec![count, ATOM_TYPES, 3]),
        ("atom37_mask", mask, vec![count, ATOM_TYPES]),
        ("plddt", plddt, vec![count, ATOM_TYPES]),
        ("overall", vec![cycle.overall as f32], vec![1]),
        ("cycle", vec![outputs.chosen as f32], vec![1]),
    ]
}
