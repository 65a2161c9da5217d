//! Files for each sequence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::files::OutputDir;
use fasta::Sequence;
use foldpoint_core::esm::Config;
use std_runner::embedding::{residues, to_floats};
use std_runner::engine::Prediction;
use std_runner::output::{npy, safetensors};

use super::{Args, Format};

pub fn write(
    args: &Args,
    out: &OutputDir,
    sequence: &Sequence,
    prediction: &Prediction,
    layers: &[usize],
    config: &Config,
) -> anyhow::Result<Vec<PathBuf>> {
    let (length, width) = (prediction.length, config.width);
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
            let named: Vec<(String, _)> = arrays
                .iter()
                .map(|((layer, kind), array)| (format!("{stem}.layer{layer}{kind}.npy"), array))
                .collect();
            for (name, (shape, values)) in &named {
                let stale =
                    possible(stem, config.layers).filter(|old| named.iter().all(|(name, _)| name != old));
                files.push(out.replace(name, stale, |w| npy(w, shape, values, args.f16))?);
            }
        }
        Format::Safetensors => {
            let named =
                arrays.into_iter().map(|((layer, kind), array)| (format!("layer.{layer}{kind}"), array));
            let named = named.collect();
            let name = format!("{stem}.embeddings.safetensors");
            let stale = possible(stem, config.layers).filter(|old| *old != name);
            files.push(out.replace(&name, stale, |w| safetensors(w, &named, args.f16))?);
        }
    }
    Ok(files)
}

/// All names of files that an earlier run may have left for a sequence, or, for `embeddings`, of all
/// sequences.
pub fn possible(stem: &str, layers: usize) -> impl Iterator<Item = String> {
    let of_layer = move |layer| ["", ".mean", ".cls"].map(|kind| format!("{stem}.layer{layer}{kind}.npy"));
    (0..=layers).flat_map(of_layer).chain([format!("{stem}.embeddings.safetensors")])
}
