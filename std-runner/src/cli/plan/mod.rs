//! `foldpoint plan`: what fits, and how long it takes, before anything runs.

mod estimate;
mod probe;
mod tell;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use clap::ValueEnum;
use clap::error::ErrorKind;
use std_runner::engine::{Engine, Request, Requests};
use std_runner::fold::to_fold;
use std_runner::model::{self, Model};

use super::console::Console;
use super::fold_args::FoldArgs;
use super::input;
use super::options::{Options, require};
use super::{Outcome, usage_error};
use crate::rates::Rates;
use estimate::{Estimate, Items};
use tell::Told;

pub use tell::display_seconds;

/// Lengths in residues, if none are given.
const LENGTHS: [usize; 6] = [64, 128, 256, 512, 1024, 2048];

#[derive(clap::Args)]
pub struct Args {
    /// Lengths in residues (for a complex those of all chains, and 25 for each linker between two), each
    /// planned alone; or FASTA files, or folders of them, whose records are planned as one batch [default: 64 128
    /// 256 512 1024 2048]
    #[arg(value_name = "LENGTH|FASTA", value_parser = Item::parse)]
    items: Vec<Item>,
    /// What is to be computed; may be given several times [default: structures, with aligned errors and
    /// without, and contacts; of what the model can]
    #[arg(long = "task", value_name = "TASK", value_enum)]
    tasks: Vec<Kind>,
    #[command(flatten)]
    fold: FoldArgs,
    /// Refuse longer records (in residues), as `predict` does
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_len: usize,
    /// Don't run the model to measure how fast it is here; times are told as far as earlier runs say them
    #[arg(long)]
    no_probe: bool,
    /// Print one JSON object, for workflows: docs/INPUT_OUTPUT.md names its keys
    #[arg(long)]
    json: bool,
}

/// A length, or a file.
#[derive(Clone)]
enum Item {
    Length(usize),
    File(PathBuf),
}

impl Item {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::File(text.into()));
        }
        let length = text.parse::<NonZeroUsize>();
        length
            .map(|length| Self::Length(length.get()))
            .map_err(|error| format!("expected a number of residues: {error}"))
    }
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// `predict`
    Structures,
    /// `predict --pae`
    AlignedErrors,
    /// `contacts`; `predict` with a model that does not fold
    Contacts,
    /// `embed`, of the last layer
    Embeddings,
    /// `logits`
    Logits,
}

impl Kind {
    /// What it is called above its table, and as JSON.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Structures => ["structures", "structures"],
            Self::AlignedErrors => ["structures and predicted aligned errors", "aligned-errors"],
            Self::Contacts => ["contact maps", "contacts"],
            Self::Embeddings => ["embeddings of the last layer", "embeddings"],
            Self::Logits => ["logits", "logits"],
        }
    }

    /// Those of a model, if nobody says which.
    fn of(model: &Model) -> anyhow::Result<Vec<Self>> {
        if model.kind() == model::Kind::OmegaFold {
            return Ok(vec![Self::Structures]);
        }
        let contacts = model.language_model()?.has_contact_head();
        let language_model = if contacts { Self::Contacts } else { Self::Embeddings };
        let folding: &[Self] = if model.folds() { &[Self::Structures, Self::AlignedErrors] } else { &[] };
        Ok([folding, &[language_model]].concat())
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let runner = options.runner(&console);
    let start = Instant::now();
    let model = options.open(None)?;
    options.verify(&model)?;
    let kinds = if args.tasks.is_empty() { Kind::of(&model)? } else { args.tasks.clone() };
    let opening = start.elapsed().as_secs_f64();
    let items = args.items(&kinds, &model, &mut console);
    let mut rates = Rates::of(&model, options.isa, |note| console.warning(note));
    let mut estimates = Vec::new();
    for &kind in &kinds {
        let tell = |note: &str| console.note(note);
        let measure: Option<&dyn Fn(&str)> = if args.no_probe { None } else { Some(&tell) };
        let request = match kind {
            Kind::Structures | Kind::AlignedErrors => {
                let name = model.name();
                ensure!(model.folds(), "{name}: this model does not fold; expected another --task");
                let task = args.fold.engine(options, &model, kind == Kind::AlignedErrors)?;
                let probed = args.fold.probed(&model).engine(options, &model, kind == Kind::AlignedErrors)?;
                let estimate = Estimate::new(&task, &probed, &items, &runner, &mut rates, measure)?;
                estimates.push((kind, estimate));
                continue;
            }
            Kind::Contacts => Request { contacts: true, ..Request::default() },
            Kind::Embeddings => {
                Request { layers: vec![model.language_model()?.config().layers], ..Request::default() }
            }
            Kind::Logits => Request { logits: true, ..Request::default() },
        };
        let engine = Engine::new(model.language_model()?, options.isa);
        require(&engine, &request, model.name())?;
        let task = Requests { engine: &engine, request: &request };
        estimates.push((kind, Estimate::new(&task, &task, &items, &runner, &mut rates, measure)?));
    }
    let told = Told { model: &model, runner: &runner, isa: options.isa.name(), opening, rates: &rates };
    if args.json {
        console.line(told.json(&estimates));
    } else {
        told.tables(&mut console, &estimates);
    }
    console.finish()
}

impl Args {
    /// What is planned; files are read, and what is wrong with them goes to the console.
    fn items(&self, kinds: &[Kind], model: &Model, console: &mut Console) -> Items {
        let lengths: Vec<usize> = self
            .items
            .iter()
            .filter_map(|item| if let Item::Length(n) = item { Some(*n) } else { None })
            .collect();
        let files: Vec<&PathBuf> = self
            .items
            .iter()
            .filter_map(|item| if let Item::File(path) = item { Some(path) } else { None })
            .collect();
        match (lengths.is_empty(), files.is_empty()) {
            (true, true) => Items::Lengths(LENGTHS.to_vec()),
            (false, true) => Items::Lengths(lengths),
            (true, false) => {
                let batch = fasta::read_paths(&files, self.max_len);
                let folds = kinds.iter().any(|kind| matches!(kind, Kind::Structures | Kind::AlignedErrors));
                let batch = if folds { to_fold(batch, model.kind()) } else { batch };
                Items::Records(input::report(batch, console))
            }
            (false, false) => usage_error(
                ErrorKind::ArgumentConflict,
                "expected lengths, or FASTA files, not both: lengths are planned one by one, files as a batch",
            ),
        }
    }
}
