//! `foldpoint embed`

mod each;
mod matrix;

use std::path::PathBuf;
use std::time::Duration;

use crate::files::OutputDir;
use clap::error::ErrorKind;
use clap::{ArgGroup, ValueEnum};
use fasta::Sequence;
use matrix::Matrices;
use std_runner::embedding::{cls, mean, parse_layers, residues, to_floats};
use std_runner::engine::{Prediction, Request, Requests};

use super::console::Console;
use super::input::Input;
use super::options::Options;
use super::results::{Done, Report, Run};
use super::table::Column;
use super::{Outcome, usage_error};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("vectors").multiple(true))]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Hidden states to write: `last`, `all`, or numbers such as 0,6,12 (0 is the embedding; the last one is
    /// after the final LayerNorm); -1 is the last, -2 the one before it. Files are named by the number from 0
    #[arg(long, value_name = "LAYERS", default_value = "last", allow_hyphen_values = true)]
    layers: String,
    /// npy: ID.layerN.npy (L x width), ID.layerN.mean.npy and ID.layerN.cls.npy (width); safetensors:
    /// ID.embeddings.safetensors with tensors layer.N, layer.N.mean and layer.N.cls
    #[arg(long, value_enum, default_value_t = Format::Npy)]
    format: Format,
    /// Write the mean over residues too
    #[arg(long, group = "vectors")]
    mean: bool,
    /// Write the vector of `<cls>`, the token before the residues, too
    #[arg(long, group = "vectors")]
    cls: bool,
    /// Do not write the residues' own embeddings, only --mean or --cls
    #[arg(long, requires = "vectors")]
    no_residues: bool,
    /// Write one array for all sequences (N x width) instead of files for each: embeddings.npy or
    /// embeddings.safetensors, of the means over residues, or of what --mean and --cls ask for; the
    /// identifiers of the rows, one a line, are in embeddings.ids.txt. Sequences that fail have no row.
    /// Several layers or both vectors: embeddings.layerN.mean.npy, embeddings.layerN.cls.npy
    #[arg(long, group = "vectors")]
    matrix: bool,
    /// Write 16-bit floats
    #[arg(long)]
    f16: bool,
    #[command(flatten)]
    report: Report,
}

const COLUMNS: &[Column] = &[("residues", 8), ("width", 6), ("time", 11)];

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Npy,
    Safetensors,
}

/// What represents a whole sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Vector {
    /// The mean over residues.
    Mean,
    /// The row of `<cls>`.
    Cls,
}

impl Vector {
    /// What follows the layer in names of files and tensors.
    fn ending(self) -> &'static str {
        match self {
            Self::Mean => ".mean",
            Self::Cls => ".cls",
        }
    }

    /// The values in a hidden state `[length + 2, width]`.
    fn of(self, hidden: &[i32], length: usize, width: usize) -> Vec<f32> {
        match self {
            Self::Mean => mean(residues(hidden, length, width), width),
            Self::Cls => to_floats(cls(hidden, width)),
        }
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let config = engine.model().config();
    let layers = parse_layers(&args.layers, config.layers)
        .unwrap_or_else(|message| usage_error(ErrorKind::InvalidValue, &format!("--layers: {message}")));
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let batch = args.input.read(&mut console);
    let request = Request { layers, ..Request::default() };
    let run = Run {
        options,
        model: &model,
        task: &Requests { engine: &engine, request: &request },
        out: Some(&out),
        report: &args.report,
        columns: COLUMNS,
        refuse: &|_| None,
    };
    let cells = |prediction: &Prediction, time: Duration| {
        let (length, width) = (prediction.length, config.width);
        vec![length.to_string(), width.to_string(), format!("{:.3} s", time.as_secs_f64())]
    };
    if args.matrix {
        let mut matrices = Matrices::new(args, &out, &request.layers, config.width)?;
        let make = |_: &Sequence, prediction: Prediction, time| {
            let (value, cells) = (matrix::row(args, &prediction, config.width), cells(&prediction, time));
            Ok(Done { value, cells, ..Done::default() })
        };
        run.run(batch, &mut console, make, |_, sequence, row| matrices.add(sequence, row))?;
        matrices.write(args, &out, config.layers, &console)?;
    } else {
        let make = |sequence: &Sequence, prediction: Prediction, time| {
            let cells = cells(&prediction, time);
            let files = each::write(args, &out, sequence, &prediction, &request.layers, config)?;
            Ok(Done { files, cells, ..Done::default() })
        };
        run.run(batch, &mut console, make, |_, _, ()| {})?;
    }
    console.finish()
}

impl Args {
    /// The vectors that are wanted; a matrix without a wish is of means.
    fn vectors(&self) -> Vec<Vector> {
        let mean = self.mean || self.matrix && !self.cls;
        [(Vector::Mean, mean), (Vector::Cls, self.cls)]
            .into_iter()
            .filter_map(|(vector, wanted)| wanted.then_some(vector))
            .collect()
    }
}
