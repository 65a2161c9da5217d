//! `foldpoint embed`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::error::ErrorKind;
use fasta::Sequence;
use std_runner::embedding::{mean, parse_layers, residues, to_floats};
use std_runner::engine::{Prediction, Request, Requests};
use std_runner::output::{OutputDir, npy, safetensors};

use super::console::Console;
use super::input::{self, Input};
use super::options::Options;
use super::{Outcome, usage_error};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Hidden states to write: `last`, `all`, or numbers such as 0,6,12 (0 is the embedding; the last one is after the
    /// final LayerNorm)
    #[arg(long, value_name = "LAYERS", default_value = "last")]
    layers: String,
    /// npy: ID.layerN.npy (L x width) and ID.layerN.mean.npy (width); safetensors: ID.embeddings.safetensors with
    /// tensors layer.N and layer.N.mean
    #[arg(long, value_enum, default_value_t = Format::Npy)]
    format: Format,
    /// Write the mean over residues too
    #[arg(long)]
    mean: bool,
    /// Do not write the residues' own embeddings
    #[arg(long, requires = "mean")]
    no_residues: bool,
    /// Write 16-bit floats
    #[arg(long)]
    f16: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Npy,
    Safetensors,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let config = engine.model().config();
    let layers = parse_layers(&args.layers, config.layers)
        .unwrap_or_else(|message| usage_error(ErrorKind::InvalidValue, &format!("--layers: {message}")));
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let sequences = args.input.read(&mut console);
    let request = Request { layers, ..Request::default() };
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, _| args.write(&out, sequence, &prediction, &request.layers, config.width),
        |_, _, ()| {},
    )?;
    console.finish()
}

impl Args {
    fn write(
        &self,
        out: &OutputDir,
        sequence: &Sequence,
        prediction: &Prediction,
        layers: &[usize],
        width: usize,
    ) -> anyhow::Result<()> {
        let mut tensors = BTreeMap::new();
        for (layer, hidden) in layers.iter().zip(&prediction.hidden) {
            let rows = residues(hidden, prediction.length, width);
            if !self.no_residues {
                tensors.insert((*layer, ""), (vec![prediction.length, width], to_floats(rows)));
            }
            if self.mean {
                tensors.insert((*layer, ".mean"), (vec![width], mean(rows, width)));
            }
        }
        let stem = &sequence.stem;
        match self.format {
            Format::Npy => {
                for ((layer, kind), (shape, values)) in &tensors {
                    let name = format!("{stem}.layer{layer}{kind}.npy");
                    out.write(&name, |w| npy(w, shape, values, self.f16))?;
                }
            }
            Format::Safetensors => {
                let named = tensors.into_iter().map(|((layer, kind), t)| (format!("layer.{layer}{kind}"), t));
                let named = named.collect();
                out.write(&format!("{stem}.embeddings.safetensors"), |w| safetensors(w, &named, self.f16))?;
            }
        }
        Ok(())
    }
}
