//! Files for each sequence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fasta::Sequence;
use std_runner::embedding::{residues, to_floats};
use std_runner::engine::Prediction;
use std_runner::output::{OutputDir, npy, safetensors};

use super::{Args, Format};

pub fn write(
    args: &Args,
    out: &OutputDir,
    sequence: &Sequence,
    prediction: &Prediction,
    layers: &[usize],
    width: usize,
) -> anyhow::Result<Vec<PathBuf>> {
    let length = prediction.length;
    // By layer and ending of the name.
    let mut arrays = BTreeMap::new();
    for (&layer, hidden) in layers.iter().zip(&prediction.hidden) {
        if !args.no_residues {
            let rows = to_floats(residues(hidden, length, width));
            arrays.insert((layer, ""), (vec![length, width], rows));
        }
        for vector in args.vectors() {
            let values = vector.of(hidden, length, width);
            arrays.insert((layer, vector.ending()), (vec![width], values));
        }
    }
    let (stem, mut files) = (&sequence.stem, Vec::new());
    match args.format {
        Format::Npy => {
            for ((layer, kind), (shape, values)) in &arrays {
                let name = format!("{stem}.layer{layer}{kind}.npy");
                files.push(out.write(&name, |w| npy(w, shape, values, args.f16))?);
            }
        }
        Format::Safetensors => {
            let named =
                arrays.into_iter().map(|((layer, kind), array)| (format!("layer.{layer}{kind}"), array));
            let named = named.collect();
            let name = format!("{stem}.embeddings.safetensors");
            files.push(out.write(&name, |w| safetensors(w, &named, args.f16))?);
        }
    }
    Ok(files)
}
