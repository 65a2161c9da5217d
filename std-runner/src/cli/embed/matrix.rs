//! One array for all sequences, and the identifiers of its rows.

use std::io;

use crate::files::{Matrix, OutputDir, Rows};
use anyhow::Context;
use fasta::Sequence;
use std_runner::engine::Prediction;
use std_runner::output::{npy, safetensors};

use super::each::possible;
use super::{Args, Format, Vector};
use crate::cli::console::Console;

/// An array for each layer and vector that is wanted. Rows are in the order of the sequences, which were read
/// from files that may hold more of them than memory holds rows.
pub struct Matrices {
    arrays: Vec<(usize, Vector, Rows)>,
    ids: Vec<String>,
    /// The first error of a disk; nothing is added after it.
    result: io::Result<()>,
}

/// What one sequence adds to each array, in their order.
pub fn row(args: &Args, prediction: &Prediction, width: usize) -> Vec<Vec<f32>> {
    let vectors = args.vectors();
    let of_layer = |hidden: &Vec<i32>| -> Vec<Vec<f32>> {
        vectors.iter().map(|vector| vector.of(hidden, prediction.length, width)).collect()
    };
    prediction.hidden.iter().flat_map(of_layer).collect()
}

impl Matrices {
    pub fn new(args: &Args, out: &OutputDir, layers: &[usize], width: usize) -> anyhow::Result<Self> {
        let mut arrays = Vec::new();
        for &layer in layers {
            for vector in args.vectors() {
                arrays.push((layer, vector, Rows::new(out, width)?));
            }
        }
        Ok(Self { arrays, ids: vec![], result: Ok(()) })
    }

    /// Adds what [`row`] gave.
    pub fn add(&mut self, sequence: &Sequence, row: Vec<Vec<f32>>) {
        self.ids.push(sequence.id.clone());
        for ((.., rows), values) in self.arrays.iter_mut().zip(row) {
            if self.result.is_ok() {
                self.result = rows.push(&values);
            }
        }
    }

    /// Writes the arrays and the identifiers.
    pub fn write(self, args: &Args, out: &OutputDir, layers: usize, console: &Console) -> anyhow::Result<()> {
        let folder = out.path().display();
        self.result.with_context(|| format!("{folder}: the rows of the array cannot be written"))?;
        let one = self.arrays.len() == 1;
        let mut arrays: Vec<(String, Matrix)> = Vec::new();
        for (layer, vector, rows) in self.arrays {
            let matrix = rows.finish().with_context(|| format!("{folder}: the array cannot be written"))?;
            arrays.push((format!("{layer}{}", vector.ending()), matrix));
        }
        let mut written = Vec::new();
        match args.format {
            Format::Npy => {
                for (name, matrix) in &arrays {
                    let name =
                        if one { "embeddings.npy".into() } else { format!("embeddings.layer{name}.npy") };
                    let path = out.write(&name, |w| npy(w, &matrix.shape(), matrix.values(), args.f16))?;
                    written.push(name);
                    let [rows, width] = matrix.shape();
                    console.note(format_args!("{}: {rows} x {width}", path.display()));
                }
            }
            Format::Safetensors => {
                let named = arrays.iter().map(|(name, matrix)| {
                    (format!("layer.{name}"), (matrix.shape().to_vec(), matrix.values()))
                });
                let named = named.collect();
                written.push("embeddings.safetensors".into());
                out.write("embeddings.safetensors", |w| safetensors(w, &named, args.f16))?;
            }
        }
        // Arrays of an earlier run had other rows.
        let all = ["embeddings.npy", "embeddings.safetensors"].map(str::to_owned);
        let stale =
            all.into_iter().chain(possible("embeddings", layers)).filter(|old| !written.contains(old));
        out.replace("embeddings.ids.txt", stale, |w| self.ids.iter().try_for_each(|id| writeln!(w, "{id}")))?;
        Ok(())
    }
}
