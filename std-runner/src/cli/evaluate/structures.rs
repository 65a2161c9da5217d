//! `foldpoint evaluate structures`

use std::path::{Path, PathBuf};

use crate::accuracy::files::StructureFiles;
use crate::accuracy::fold::{Compare, Fold};
use crate::accuracy::reference::{Origin, Reference};
use crate::accuracy::structure;
use crate::accuracy::target::{Alignment, Needs};
use crate::accuracy::tm_align::TmAlign;
use anyhow::{Context, ensure};
use fasta::Sequence;
use std_runner::output::structure::Method;

use super::references;
use super::structures_report::{self, Agreement, Row, Scores};
use super::targets::{Rule, Source, Structures, Target, Targets};
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::fold_args::FoldArgs;
use crate::cli::input;
use crate::cli::options::Options;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    structures: Structures,
    /// Folder of ready predictions, ID.pdb or ID.cif, also gzipped, with the pLDDT (0 to 100) as B-factor,
    /// instead of folding the sequences
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recycles", "cycles", "rows"])]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    fold: FoldArgs,
    /// Folder of float reference outputs, ID.safetensors with ID.atom37, ID.atom37_mask and ID.plddt; their
    /// accuracy is printed beside
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Also print TM-scores by this program (TM-align, usually called `TMalign`), normalised by the
    /// structure's length
    #[arg(long, value_name = "PROGRAM")]
    tm_align: Option<PathBuf>,
    /// Leave out longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
    /// Leave out structures of which fewer residues agree with the sequence
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_resolved: usize,
    /// Print JSON, with every target's scores, and what was left out
    #[arg(long)]
    json: bool,
}

/// The fewest residues of a prediction that must agree with the sequence.
const LEAST_PREDICTED: usize = 1;

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    if let Some(program) = args.tm_align() {
        program.probe()?;
    }
    let rule = Rule { needs: Needs::Ca, least: args.min_resolved, longest: args.max_len };
    let made =
        |sequence: &Sequence, aligned: &Alignment<'_>| Fold::of(sequence.residues.len(), &aligned.residues);
    let mut targets = args.structures.targets(&mut console, &rule, made)?;
    let none = targets.ensure_some(&args.structures);
    let rows = match &args.predictions {
        Some(dir) => args.read(dir, &mut targets, &mut console)?,
        None => args.fold(options, &mut targets, &mut console)?,
    };
    if args.json {
        console.line(structures_report::json(&rows, &targets.left_out));
    } else if none.is_ok() {
        structures_report::markdown(&rows, targets.left_out.len())
            .lines()
            .for_each(|line| console.line(line));
    }
    let outcome = console.finish()?;
    none.map(|()| outcome)
}

/// The prediction of a sequence among the files of a folder.
fn read_prediction(
    console: &Console,
    dir: &Path,
    files: &StructureFiles,
    sequence: &Sequence,
) -> anyhow::Result<(Fold, Source)> {
    let stem = &sequence.stem;
    let mut paths = files.files.iter().filter(|(name, _)| name == stem).map(|(_, path)| path);
    let path = paths.next().with_context(|| {
        format!("{}: there is no such prediction", dir.join(stem).with_added_extension("pdb").display())
    })?;
    let id = &sequence.id;
    for other in paths {
        let (path, other) = (path.display(), other.display());
        console.warning(format_args!(
            "{path}: {id}: this prediction is read; {other} is another one, and is not"
        ));
    }
    let structure = structure::read(path)?;
    let aligned = Alignment::new(&sequence.residues, &structure, None, Needs::Ca, LEAST_PREDICTED);
    let aligned = aligned.with_context(|| path.display().to_string())?;
    let fold = Fold::of(sequence.residues.len(), &aligned.residues);
    let (length, missing) = (fold.0.len(), fold.0.len() - fold.resolved());
    if missing > 0 {
        console.warning(format_args!(
            "{}: {id}: {missing} of {length} residues are not predicted, and count as wrong",
            path.display()
        ));
    }
    if fold.0.iter().flatten().all(|residue| residue.plddt <= 1.0) {
        console.warning(format_args!(
            "{}: {id}: no B-factor is above 1; a pLDDT from 0 to 100 was expected (some programs write 0 to 1)",
            path.display()
        ));
    }
    Ok((fold, Source { file: path.display().to_string(), reading: aligned.reading }))
}

impl Args {
    fn tm_align(&self) -> Option<TmAlign> {
        self.tm_align.clone().map(|program| TmAlign { program })
    }

    /// Rows of the predictions in a fold_engine.
    fn read(
        &self,
        dir: &Path,
        targets: &mut Targets<Fold>,
        console: &mut Console,
    ) -> anyhow::Result<Vec<Row>> {
        let cannot_read = || format!("{}: the folder of predictions cannot be read", dir.display());
        let files = StructureFiles::find(dir).with_context(cannot_read)?;
        // Of which model the predictions are, and how often recycled, is not known.
        self.check_references(targets, &Origin::default(), console);
        let (mut rows, mut failed) = (Vec::new(), Vec::new());
        for target in &targets.list {
            let row = read_prediction(console, dir, &files, &target.sequence).and_then(|(fold, source)| {
                source.say(console, &target.sequence.id);
                self.row(target, &fold, Some(source))
            });
            match row {
                Ok(row) => {
                    console.success();
                    rows.push(row);
                }
                Err(error) => {
                    console.failure(format_args!("{}: {error:#}", target.sequence.place));
                    failed.push((target.sequence.stem.clone(), format!("{error:#}")));
                }
            }
        }
        failed.iter().for_each(|(stem, reason)| targets.failed(stem, reason));
        Ok(rows)
    }

    /// Rows of the model's own predictions.
    fn fold(
        &self,
        options: &Options,
        targets: &mut Targets<Fold>,
        console: &mut Console,
    ) -> anyhow::Result<Vec<Row>> {
        let model = options.open(None)?;
        options.verify(&model)?;
        ensure!(
            model.folds(),
            "{}: this model does not fold; give another as --model, or --predictions",
            model.name()
        );
        let fold_engine = self.fold.engine(options, &model, false)?;
        let recycles = match fold_engine.method() {
            Method::EsmFold { passes } => Some(passes.saturating_sub(1)),
            Method::OmegaFold { .. } => None,
        };
        let origin = Origin::of(model.metadata()?.as_ref(), recycles);
        self.check_references(targets, &origin, console);
        let (mut rows, mut failed) = (Vec::new(), Vec::new());
        input::run(
            options,
            &model,
            &fold_engine,
            &targets.sequences(),
            console,
            |sequence, folded, _| {
                let target = targets.of(sequence).context("the target is gone")?;
                self.row(target, &Fold::predicted(&folded.model(sequence)), None)
            },
            |_, sequence, result| match result {
                Ok(row) => rows.push(row),
                Err(reason) => failed.push((sequence.stem.clone(), reason)),
            },
        )?;
        failed.iter().for_each(|(stem, reason)| targets.failed(stem, reason));
        Ok(rows)
    }

    /// Leaves out the targets whose float references cannot be compared with, before anything is folded.
    fn check_references(&self, targets: &mut Targets<Fold>, origin: &Origin, console: &mut Console) {
        let Some(dir) = &self.reference else { return };
        let sequences = targets.list.iter().map(|target| &target.sequence);
        let failed = references::check(console, dir, origin, sequences);
        failed.iter().for_each(|(stem, reason)| targets.failed(stem, reason));
    }

    /// A target's scores; `fold` is the integer model's.
    fn row(&self, target: &Target<Fold>, fold: &Fold, prediction: Option<Source>) -> anyhow::Result<Row> {
        let (sequence, structure) = (&target.sequence, target.structure.clone());
        let target = &target.value;
        let letters = &sequence.residues;
        let (length, resolved) = (letters.len(), target.resolved());
        let unpredicted = length - fold.resolved().min(length);
        ensure!(fold.0.len() == length, "the prediction has another length than the sequence");
        let integer = self.scores(letters, target, fold)?;
        let float = self.reference.as_ref().map(|dir| -> anyhow::Result<_> {
            let reference = Reference::open(dir, sequence)?;
            let float = Fold::from_reference(&reference, length)?;
            let agreement = Agreement {
                lddt: fold.lddt(&float, letters, Compare::Backbone),
                rmsd: fold.rmsd(&float),
                plddt_difference: fold.plddt_difference(&float),
            };
            Ok((self.scores(letters, target, &float)?, agreement))
        });
        let (float, agreement) = float.transpose()?.unzip();
        let (id, name) = (sequence.id.clone(), sequence.stem.clone());
        Ok(Row { id, name, length, resolved, unpredicted, structure, prediction, integer, float, agreement })
    }

    fn scores(&self, letters: &[u8], target: &Fold, fold: &Fold) -> anyhow::Result<Scores> {
        let tm_score =
            self.tm_align().map(|program| program.score(&fold.trace(letters), &target.trace(letters)));
        Ok(Scores {
            lddt: fold.lddt(target, letters, Compare::Backbone),
            all_atom_lddt: fold.lddt(target, letters, Compare::AllAtoms),
            tm_score: tm_score.transpose()?,
            plddt: fold.mean_plddt(),
        })
    }
}
