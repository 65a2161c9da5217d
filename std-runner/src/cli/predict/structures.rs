//! Folding: a structure for each sequence.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::OutputDir;
use anyhow::Context;
use fasta::Sequence;
use serde_json::{Map, Value, json};
use std_runner::arena::display_bytes;
use std_runner::confidence::Confidence;
use std_runner::fold::{FoldEngine, FoldPrediction};
use std_runner::model::Model;
use std_runner::output::residue_table;
use std_runner::output::structure::{self, fits_pdb};
use std_runner::sanity::{Oddity, oddities};
use std_runner::task::Task;

use super::{Args, Format, Pae};
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::options::Options;
use crate::cli::results::{Done, Run};
use crate::cli::table::Column;

/// What to expect of the model that is built in.
const DEMONSTRATION: &str = "the built-in model is a small demonstration: it folds designed proteins and some small domains and gets others wrong, and its scores say roughly which; \
     for science, quantize the HuggingFace folder facebook/esmfold_v1 (quantizer) and give it as --model FILE";

const PDB: &str = ".pdb";
const CIF: &str = ".cif";
const PAE_JSON: &str = ".pae.json";
const PAE_NPY: &str = ".pae.npy";
const CONFIDENCE: &str = ".confidence.json";
const RESIDUES: &str = ".residues.tsv";
/// What the names of a record's files end in. None is the end of another, so that none can be the file of
/// another record.
const ENDINGS: [&str; 6] = [PDB, CIF, PAE_JSON, PAE_NPY, CONFIDENCE, RESIDUES];

/// Columns of ESMFold, and of OmegaFold, which has no pTM.
const COLUMNS: &[Column] =
    &[("residues", 8), ("CA pLDDT", 8), ("pTM", 5), ("ipTM", 5), ("time", 11), ("arena", 10)];
const OMEGAFOLD_COLUMNS: &[Column] =
    &[("residues", 8), ("CA pLDDT", 8), ("overall", 7), ("cycle", 5), ("time", 11), ("arena", 10)];

pub fn run(
    options: &Options,
    args: &Args,
    format: Format,
    model: &Model,
    out: &OutputDir,
    mut console: Console,
) -> anyhow::Result<Outcome> {
    let fold_engine = args.fold.engine(options, model, args.pae.is_some())?;
    if model.is_embedded() {
        console.note(DEMONSTRATION);
    }
    let batch = args.input.read_to_fold(model.kind(), &mut console);
    let provenance = fold_engine.provenance(model)?;
    let run = Run {
        options,
        model,
        task: &fold_engine,
        out: Some(out),
        report: &args.report,
        columns: match fold_engine {
            FoldEngine::EsmFold(_) => COLUMNS,
            FoldEngine::OmegaFold(_) => OMEGAFOLD_COLUMNS,
        },
        refuse: &|sequence| refusal(&fold_engine, sequence, format),
    };
    let make = |sequence: &Sequence, folded: FoldPrediction, time: Duration| {
        let mut model = folded.model(sequence);
        model.provenance = provenance.clone();
        let plddt = model.mean_plddt();
        let confidence = Confidence::of(&folded, &model);
        let files = Files { out, stem: &sequence.stem, format, pae: args.pae };
        let files = files.write(&model, &folded, &confidence)?;
        let mut warnings = chains_without_atoms(&model);
        warnings.extend(confidence.warning(sequence.residues.len(), args.pae.is_some()));
        warnings.extend(oddities(&model).iter().map(Oddity::to_string));
        let score = |score: Option<f32>| score.map_or_else(|| "-".into(), |score| format!("{score:.3}"));
        let [score, detail] = match folded.best_cycle {
            Some(best) => [format!("{:.3}", best.confidence()), best.number.to_string()],
            None => [score(folded.ptm()), score(folded.iptm())],
        };
        let cells = vec![
            sequence.residues.len().to_string(),
            format!("{plddt:.1}"),
            score,
            detail,
            format!("{:.3} s", time.as_secs_f64()),
            display_bytes(folded.arena as u64),
        ];
        let scores = scores(plddt, &folded, &confidence)?;
        Ok(Done::<()> { files, scores, warnings, cells, ..Done::default() })
    };
    run.run(batch, &mut console, make, |_, _, ()| {})?;
    console.finish()
}

/// Why nothing could be written for a sequence, so that folding it would be in vain.
fn refusal(fold_engine: &FoldEngine, sequence: &Sequence, format: Format) -> Option<String> {
    if let Err(error) = fold_engine.check(sequence) {
        return Some(error.to_string());
    }
    let atoms = |letters: &[u8]| {
        letters.iter().map(|&letter| fold_engine.residue(letter).atoms().len()).sum::<usize>()
    };
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

/// A warning for each chain that a structure has nothing of.
fn chains_without_atoms(model: &structure::Model) -> Vec<String> {
    let all_x = |chain: &structure::Chain| chain.residues.iter().all(|residue| residue.atoms.is_empty());
    let numbered = (1..).zip(&model.chains).filter(|(_, chain)| all_x(chain));
    let warning = |(number, _)| {
        format!(
            "chain {number} is only X, which has no atoms: it is folded with the others, and written as a sequence alone"
        )
    };
    numbered.map(warning).collect()
}

/// Scores for `results.jsonl`: those that a model hasn't are null.
fn scores(
    plddt: f64,
    folded: &FoldPrediction,
    confidence: &Confidence,
) -> anyhow::Result<Map<String, Value>> {
    let scores = json!({
        "mean_plddt_ca": (plddt * 100.0).round() / 100.0,
        "ptm": confidence.ptm,
        "iptm": folded.iptm.and(confidence.iptm),
        "confidence_score": confidence.confidence_score,
        "complex_iplddt": confidence.complex_iplddt,
        "chains_ptm": confidence.chains_ptm,
        "pair_chains_iptm": confidence.pair_chains_iptm,
        "overall_confidence": confidence.overall_confidence,
        "cycle": confidence.cycle,
    });
    Ok(serde_json::from_value(scores)?)
}

/// What is written for a record, and where.
struct Files<'f> {
    out: &'f OutputDir,
    stem: &'f str,
    format: Format,
    pae: Option<Pae>,
}

impl Files<'_> {
    fn name(&self, ending: &str) -> String {
        format!("{}{ending}", self.stem)
    }

    /// Writes the structure and what is said about it; aligned errors, if they are wanted, into the
    /// structure's file or beside it.
    fn write(
        &self,
        model: &structure::Model,
        folded: &FoldPrediction,
        confidence: &Confidence,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let errors = match self.pae {
            Some(_) => {
                Some(folded.aligned_errors(model).context("the model gave no predicted aligned errors")?)
            }
            None => None,
        };
        let inside = errors.as_ref().filter(|_| self.pae == Some(Pae::Cif));
        let ending = match self.format {
            Format::Pdb => PDB,
            Format::Cif => CIF,
        };
        // Whatever an earlier run left under this name belongs to another structure.
        let stale = ENDINGS.into_iter().filter(|&other| other != ending).map(|ending| self.name(ending));
        let mut files = vec![self.out.replace(&self.name(ending), stale, |w| match self.format {
            Format::Pdb => structure::pdb(w, model),
            Format::Cif => structure::mmcif(w, model, inside),
        })?];
        match (self.pae, &errors) {
            (Some(Pae::Json), Some(errors)) => {
                files.push(self.out.write(&self.name(PAE_JSON), |w| errors.json(w))?);
            }
            (Some(Pae::Npy), Some(errors)) => {
                files.push(self.out.write(&self.name(PAE_NPY), |w| errors.npy(w))?);
            }
            _ => {}
        }
        let write = |w: &mut dyn std::io::Write| {
            serde_json::to_writer_pretty(&mut *w, confidence)?;
            writeln!(w)
        };
        files.push(self.out.write(&self.name(CONFIDENCE), write)?);
        files.push(self.out.write(&self.name(RESIDUES), |w| residue_table(w, model))?);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::Isa;
    use std_runner::fold::EsmFold;

    fn refusal_of(residues: &str, format: Format) -> Option<String> {
        let text = format!(">a\n{residues}\n");
        let batch = fasta::read(text.as_bytes(), "t", usize::MAX);
        let model = Model::from_bytes("tiny", include_bytes!("../../../../examples/bare-metal/tiny.fpm"));
        let model = model.expect("a model");
        let folding = model.folding_model().expect("it folds");
        let engine = EsmFold { model: folding, isa: Isa::scalar(), passes: 1, aligned_error: false };
        refusal(&FoldEngine::EsmFold(engine), &batch.sequences[0], format)
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
