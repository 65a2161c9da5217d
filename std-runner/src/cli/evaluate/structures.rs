//! `foldpoint evaluate structures`

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use std_runner::accuracy::fold::{Compare, Fold};
use std_runner::accuracy::reference::Reference;
use std_runner::accuracy::structure;
use std_runner::accuracy::tm_align::TmAlign;
use std_runner::fasta::Sequence;

use super::structures_report::{self, Agreement, Row, Scores};
use super::targets::Structures;
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::options::Options;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    structures: Structures,
    /// Folder of predictions, ID.pdb or ID.pdb.gz with the pLDDT (0 to 100) as B-factor, as `predict` writes them
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
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
    let mut rows: Vec<Row> = Vec::new();
    console.start(targets.iter().map(|(sequence, _)| sequence.residues.len() as u64).sum());
    for (sequence, target) in &targets {
        match read_prediction(&args.predictions, sequence).and_then(|fold| args.row(sequence, target, &fold))
        {
            Ok(row) => {
                console.success();
                rows.push(row);
            }
            Err(error) => console.failure(format_args!("{}: {error:#}", sequence.place)),
        }
        console.bar().inc(sequence.residues.len() as u64);
    }
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
