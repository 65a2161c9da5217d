//! `foldpoint evaluate structures`

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fasta::Sequence;
use foldpoint_core::esmfold::FoldingModel;
use std_runner::accuracy::fold::{Compare, Fold};
use std_runner::accuracy::reference::Reference;
use std_runner::accuracy::structure;
use std_runner::accuracy::tm_align::TmAlign;

use super::structures_report::{self, Agreement, Row, Scores};
use super::targets::Structures;
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::Options;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    structures: Structures,
    /// Folder of ready predictions, ID.pdb or ID.pdb.gz with the pLDDT (0 to 100) as B-factor, instead of folding the sequences
    #[arg(long, value_name = "DIR")]
    predictions: Option<PathBuf>,
    /// How often the model's output goes through it again [default: as often as it was trained for]
    #[arg(long, value_name = "N", conflicts_with = "predictions")]
    recycles: Option<usize>,
    /// Folder of float reference outputs, ID.safetensors with ID.atom37, ID.atom37_mask and ID.plddt; their accuracy is printed beside
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Also print TM-scores by this program (TM-align, usually called `TMalign`), normalised by the structure's length
    #[arg(long, value_name = "PROGRAM")]
    tm_align: Option<PathBuf>,
    /// Leave out longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
    /// Print JSON, with every target's scores
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let targets = args.structures.targets(&mut console, args.max_len, |sequence, path, chain| {
        let residues = structure::read_atoms(path, chain)?;
        Ok(Fold::align(&sequence.residues, &residues)?)
    })?;
    let rows = match &args.predictions {
        Some(dir) => args.read(dir, &targets, &mut console),
        None => args.fold(options, targets, &mut console)?,
    };
    if args.json {
        console.line(structures_report::json(&rows));
    } else {
        structures_report::markdown(&rows).lines().for_each(|line| console.line(line));
    }
    console.finish()
}

/// The prediction of a sequence in a folder.
fn read_prediction(dir: &Path, sequence: &Sequence) -> anyhow::Result<Fold> {
    let paths = ["pdb", "pdb.gz"].map(|extension| dir.join(format!("{}.{extension}", sequence.stem)));
    let [plain, _] = &paths;
    let path = paths.iter().find(|path| path.exists());
    let path = path.with_context(|| format!("{}: there is no such prediction", plain.display()))?;
    let residues = structure::read_atoms(path, None)?;
    Fold::align(&sequence.residues, &residues).with_context(|| path.display().to_string())
}

impl Args {
    /// Rows of the predictions in a folder.
    fn read(&self, dir: &Path, targets: &[(Sequence, Fold)], console: &mut Console) -> Vec<Row> {
        let mut rows = Vec::new();
        for (sequence, target) in targets {
            match read_prediction(dir, sequence).and_then(|fold| self.row(sequence, target, &fold)) {
                Ok(row) => {
                    console.success();
                    rows.push(row);
                }
                Err(error) => console.failure(format_args!("{}: {error:#}", sequence.place)),
            }
        }
        rows
    }

    /// Rows of the model's own predictions.
    fn fold(
        &self,
        options: &Options,
        targets: Vec<(Sequence, Fold)>,
        console: &mut Console,
    ) -> anyhow::Result<Vec<Row>> {
        let bytes = options.open(None)?;
        let folds = FoldingModel::is_in(&options.file(&bytes)?);
        ensure!(
            folds,
            "{}: this model does not fold; give another as --model, or --predictions",
            bytes.name()
        );
        let folder = options.folder(&bytes, self.recycles.map(|n| n.saturating_add(1)), false)?;
        let (sequences, targets): (Vec<Sequence>, Vec<Fold>) = targets.into_iter().unzip();
        let mut rows = Vec::new();
        input::run(
            options,
            &folder,
            &sequences,
            console,
            |sequence, folded, _| {
                let index = sequences.iter().position(|s| s.id == sequence.id);
                let target = index.and_then(|index| targets.get(index)).context("the target is gone")?;
                self.row(sequence, target, &Fold::predicted(&folded.model(sequence)))
            },
            |_, _, row| rows.push(row),
        )?;
        Ok(rows)
    }

    /// A target's scores; `fold` is the integer model's.
    fn row(&self, sequence: &Sequence, target: &Fold, fold: &Fold) -> anyhow::Result<Row> {
        let letters = &sequence.residues;
        let (length, resolved) = (letters.len(), target.resolved());
        ensure!(fold.0.len() == length, "the prediction has another length than the sequence");
        let integer = self.scores(letters, target, fold)?;
        let float = self.reference.as_ref().map(|dir| -> anyhow::Result<_> {
            let reference = Reference::open(dir, &sequence.stem, &sequence.id)?;
            let float = Fold::from_reference(&reference, length)?;
            let agreement = Agreement {
                lddt: fold.lddt(&float, letters, Compare::Backbone),
                rmsd: fold.rmsd(&float),
                plddt_difference: fold.plddt_difference(&float),
            };
            Ok((self.scores(letters, target, &float)?, agreement))
        });
        let (float, agreement) = float.transpose()?.unzip();
        Ok(Row { id: sequence.id.clone(), length, resolved, integer, float, agreement })
    }

    fn scores(&self, letters: &[u8], target: &Fold, fold: &Fold) -> anyhow::Result<Scores> {
        let tm_align = self.tm_align.clone().map(|program| TmAlign { program });
        let tm_score = tm_align.map(|program| program.score(&fold.trace(letters), &target.trace(letters)));
        Ok(Scores {
            lddt: fold.lddt(target, letters, Compare::Backbone),
            all_atom_lddt: fold.lddt(target, letters, Compare::AllAtoms),
            tm_score: tm_score.transpose()?,
            plddt: fold.mean_plddt(),
        })
    }
}
