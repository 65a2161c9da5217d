//! `foldpoint score`

mod all_single;
mod run;
mod variants_table;

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::ValueEnum;
use fasta::Sequence;
use std_runner::engine::Request;
use std_runner::variants::{Mutation, Skip, Strategy, decode};

use super::Outcome;
use super::console::Console;
use super::input::report;
use super::options::{Options, require};
use run::Scorer;
use variants_table::VariantsTable;

#[derive(clap::Args)]
#[command(after_help = "Example: the wild type's first residue has the number 24 in scan.csv

  foldpoint score --wt wt.fasta --dms-input scan.csv --offset-idx 24 --dms-output scored.csv")]
pub struct Args {
    /// FASTA file with the wild type; of several records with --all-single
    #[arg(long, value_name = "FASTA", required_unless_present = "sequence")]
    wt: Option<PathBuf>,
    /// The wild type itself, in letters
    #[arg(long, value_name = "LETTERS", conflicts_with = "wt")]
    sequence: Option<String>,
    /// Table of variants (CSV with a header, or one with tabs or semicolons, plain or gzipped)
    #[arg(long, value_name = "CSV", required_unless_present = "all_single", requires = "dms_output")]
    dms_input: Option<PathBuf>,
    /// Its column with variants, such as A12V, or A12V:G45D for one of several mutations
    #[arg(long, value_name = "NAME", default_value = "mutant")]
    mutation_col: String,
    /// Number of the wild type's first residue in that column
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    offset_idx: i64,
    /// The same table with a column of scores behind the others; a folder, or a file
    #[arg(long, value_name = "CSV", requires = "dms_input")]
    dms_output: Option<PathBuf>,
    /// Name of that column [default: the model's name]
    #[arg(long, value_name = "NAME")]
    score_col: Option<String>,
    /// Score all substitutions of single residues: ID.variants.csv, a row each; ID.variants.matrix.csv, a row
    /// for each residue; ID.variants.png, a picture
    #[arg(long, requires = "out", conflicts_with = "dms_input")]
    all_single: bool,
    /// Folder for what --all-single writes; created where needed
    #[arg(short, long, value_name = "DIR", requires = "all_single")]
    out: Option<PathBuf>,
    /// How the model is asked
    #[arg(long, value_enum, default_value_t = Asking::WtMarginals)]
    scoring_strategy: Asking,
    /// Windows where the sequence has more than 1,022 residues. optimal: for masked residues the window around
    /// each, and the whole sequence for wt-marginals; overlapping: the average of windows, for wt-marginals
    #[arg(long, value_enum, default_value_t = Window::Optimal)]
    scoring_window: Window,
    /// pseudo-ppl without the last two residues, as fair-esm's published code does
    #[arg(long)]
    pppl_as_published: bool,
    /// Refuse longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Asking {
    /// One pass over the wild type: log p(mutant) - log p(wild type) at each mutation
    WtMarginals,
    /// The same, from a pass for each residue, in which it is masked
    MaskedMarginals,
    /// The log probability of the variant's every residue, each masked: a pass for each residue of each
    /// variant
    PseudoPpl,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Window {
    /// The window around a residue
    Optimal,
    /// Windows over the sequence, averaged
    Overlapping,
}

/// What is asked of the model.
enum Question {
    Marginals(Strategy),
    Perplexity(Skip),
}

impl Args {
    fn question(&self) -> anyhow::Result<Question> {
        let overlapping = self.scoring_window == Window::Overlapping;
        ensure!(
            !self.pppl_as_published || self.scoring_strategy == Asking::PseudoPpl,
            "--pppl-as-published is for --scoring-strategy pseudo-ppl"
        );
        Ok(match self.scoring_strategy {
            Asking::WtMarginals if overlapping => Question::Marginals(Strategy::WildTypeInWindows),
            Asking::WtMarginals => Question::Marginals(Strategy::WildType),
            _ if overlapping => bail!("--scoring-window overlapping is for --scoring-strategy wt-marginals"),
            Asking::MaskedMarginals => Question::Marginals(Strategy::Masked),
            Asking::PseudoPpl if self.pppl_as_published => Question::Perplexity(Skip::LastTwo),
            Asking::PseudoPpl => Question::Perplexity(Skip::None),
        })
    }

    /// The wild types.
    fn wild_types(&self, console: &mut Console) -> anyhow::Result<Vec<Sequence>> {
        let batch = match (&self.wt, &self.sequence) {
            (_, Some(letters)) => {
                let record = format!(">wild_type\n{letters}");
                fasta::read(record.as_bytes(), "--sequence", self.max_len)
            }
            (Some(path), None) => fasta::read_paths(std::slice::from_ref(path), self.max_len),
            (None, None) => bail!("--wt or --sequence is needed"),
        };
        let batch = batch.without_masks().single_chains();
        let given = batch.sequences.len() + batch.rejected.len();
        ensure!(
            self.all_single || given <= 1,
            "expected one wild type for a table of variants, not {given} records"
        );
        Ok(report(batch, console))
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let question = args.question()?;
    let counted = if args.all_single { "sequences" } else { "variants" };
    let mut console = Console::new(options.quiet).counting(counted);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    require(&engine, &Request { logits: true, ..Request::default() }, model.name())?;
    let table =
        args.dms_input.as_ref().map(|path| VariantsTable::read(path, &args.mutation_col)).transpose()?;
    let wild_types = args.wild_types(&mut console)?;
    let scorer = Scorer { options, engine: &engine, question: &question };
    if let (Some(table), Some(output)) = (&table, &args.dms_output) {
        let [wild_type] = &wild_types[..] else { return console.finish() };
        let own = if model.is_embedded() { "foldpoint-default" } else { stem(model.file_name()) };
        let name = args.score_col.as_deref().unwrap_or(own);
        let output = table.output(output, name)?;
        let variants = table.variants(args.offset_idx, &wild_type.residues, &mut console);
        let scores = scorer.score(wild_type, &variants, &mut console)?;
        let scores: Vec<Option<f64>> = scores.into_iter().map(|score| score.map(decode)).collect();
        let path = output.write(table, &scores)?;
        let scored = scores.iter().flatten().count();
        console.successes(scored);
        console.row(format_args!("{scored} of {} variants scored: {}", scores.len(), path.display()));
    }
    if let Some(out) = args.out.as_ref().filter(|_| args.all_single) {
        all_single::run(&scorer, out, &wild_types, args.offset_idx, &mut console)?;
    }
    console.finish()
}

/// A file's name without what says that it is a model file.
fn stem(name: &str) -> &str {
    name.strip_suffix(".fpm").unwrap_or(name)
}

/// A variant that is to be scored; none where its row is wrong.
type Variant = Option<Vec<Mutation>>;
