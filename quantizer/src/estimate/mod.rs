//! What quantizing a checkpoint takes, before it begins: memory, disk and work.

mod omegafold;

use std::convert::Infallible;

use crate::calibrate::ROWS_KEPT;
use crate::checkpoint::Checkpoint;
use crate::reference::TOKENS_TOGETHER;
use crate::table::{Kind, Row, pattern};
pub use omegafold::estimate_omegafold;

/// Bytes of a value while it is calibrated on.
const F32: usize = size_of::<f32>();

/// Sequences of a folding model that run at the same time on one thread, with what they show.
const FOLDS_TOGETHER: usize = 2;

/// What quantizing takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Bytes of memory, without the pages of the checkpoint that the system has read and can drop.
    pub memory: usize,
    /// Bytes of the model file.
    pub model: usize,
    /// Bytes that are on disk meanwhile, besides the model file.
    pub work: usize,
    /// Operations of the float model, in single precision: two for a product and its sum.
    pub running: f64,
    /// Operations of rounding, as many as would take as long in single precision.
    pub rounding: f64,
}

/// A Linear of a model file.
struct Shape {
    name: String,
    outputs: usize,
    inputs: usize,
}

/// What it takes to calibrate `checkpoint` on sequences with so many `tokens`, and then in `passes` passes on
/// folds with so many `residues`; with `compensate` the weights are rounded with the samples seen.
pub fn estimate(
    checkpoint: &Checkpoint,
    tokens: &[usize],
    residues: &[usize],
    passes: usize,
    compensate: bool,
) -> Estimate {
    let shapes = shapes(checkpoint);
    let config = checkpoint.config();
    let mut estimate = Estimate::default();
    let sum = |lengths: &[usize]| lengths.iter().sum::<usize>();
    let squares = |lengths: &[usize]| lengths.iter().map(|length| length * length).sum::<usize>();
    let cubes = |lengths: &[usize]| lengths.iter().map(|length| length.pow(3)).sum::<usize>();
    let (mut widest, mut layer) = (0, 0);
    for Shape { name, outputs, inputs } in &shapes {
        let (outputs, inputs) = (*outputs, *inputs);
        let is_pair =
            [".triangle_", ".pair_", ".sequence_to_pair.output"].iter().any(|part| name.contains(part));
        let rows = match name.starts_with("lm.") {
            true => sum(tokens) + sum(residues),
            false if is_pair => passes * squares(residues),
            false => passes * sum(residues),
        };
        estimate.running += 2.0 * rows as f64 * (outputs * inputs) as f64;
        estimate.model += outputs * inputs * 21 / 20;
        if name.starts_with("lm.layers.0.") {
            layer += outputs * inputs * F32;
        }
        if compensate {
            let rows = ROWS_KEPT.min(rows);
            let (operations, memory) = rounding(rows, outputs, inputs);
            estimate.rounding += operations;
            estimate.work += rows * inputs * F32;
            widest = widest.max(memory);
        }
    }
    let attention = config.layers * config.width * (squares(tokens) + squares(residues));
    estimate.running += 4.0 * attention as f64;
    let streams = sum(tokens) * config.width * F32;
    let group = TOKENS_TOGETHER.max(tokens.iter().copied().max().unwrap_or(0));
    let samples = ROWS_KEPT * (4 * config.width + config.ffn) * F32;
    let activations = group * (2 * config.ffn + 4 * config.width) * F32;
    let running = 3 * streams + 2 * layer + 2 * samples + activations;
    let mut folding = 0;
    if let Some(fold) = checkpoint.fold_config() {
        // Two triangle products, and weights and values of two attentions.
        estimate.running += (fold.blocks * passes * fold.pair_width * 12 * cubes(residues)) as f64;
        let pairs = squares(residues) * fold.pair_width * F32;
        let longest = residues.iter().copied().max().unwrap_or(0);
        let shown =
            FOLDS_TOGETHER * rayon::current_num_threads() * longest * longest * fold.pair_width * F32 * 24;
        folding = 4 * pairs + shown;
        estimate.work += 2 * pairs;
    }
    // While a state is written, the one before it is still there.
    estimate.work += 2 * streams + estimate.model;
    estimate.memory = running.max(widest).max(folding);
    estimate
}

/// Operations and bytes of memory that rounding a Linear's weights with so many rows of its inputs takes.
fn rounding(rows: usize, outputs: usize, inputs: usize) -> (f64, usize) {
    // X^T X, of which one half is computed; its factor, in double precision; and what is carried on.
    let square = (inputs * inputs) as f64;
    let operations = square * rows as f64 + 2.0 / 3.0 * square * inputs as f64 + square * outputs as f64;
    let matrices = inputs * inputs * (F32 + size_of::<f64>());
    (operations, matrices + 2 * rows * inputs * F32 + 4 * outputs * inputs * F32)
}

/// The Linears of the model file.
fn shapes(checkpoint: &Checkpoint) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let Ok(()) = checkpoint.for_each(&checkpoint.parts().rows(), |row, index| {
        if row.kind.is_linear() {
            shapes.extend(shape(checkpoint, row, index));
        }
        Ok::<_, Infallible>(())
    });
    shapes
}

fn shape(checkpoint: &Checkpoint, row: &Row, index: usize) -> Option<Shape> {
    let matrices: Vec<&[usize]> = row
        .sources
        .iter()
        .flat_map(|source| {
            source
                .tensors()
                .into_iter()
                .map(|(part, _)| format!("{}{part}", pattern::fill(source.name, index)))
        })
        .filter_map(|tensor| checkpoint.shape(&tensor))
        .filter(|shape| shape.len() == 2)
        .collect();
    let outputs = match row.kind {
        Kind::Linear => matrices.iter().map(|shape| shape[0]).sum(),
        _ => matrices.last()?[0],
    };
    let inputs = match row.kind {
        Kind::Columns => checkpoint.output_part(index)?.1,
        _ => matrices.first()?[1],
    };
    Some(Shape { name: row.numbered(index), outputs, inputs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn golden(name: &str) -> Checkpoint {
        Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)).unwrap()
    }

    #[test]
    fn every_linear_counts_and_more_takes_more() {
        let checkpoint = golden("esmfold-tiny");
        let shapes = shapes(&checkpoint);
        let mut linears = 0;
        let Ok(()) = checkpoint.for_each(&checkpoint.parts().rows(), |row, _| {
            linears += usize::from(row.kind.is_linear());
            Ok::<_, Infallible>(())
        });
        assert_eq!(shapes.len(), linears);
        let width = checkpoint.config().width;
        let qkv = shapes.iter().find(|shape| shape.name == "lm.layers.0.attention.qkv").unwrap();
        assert_eq!((qkv.outputs, qkv.inputs), (3 * width, width));
        let small = estimate(&checkpoint, &[10, 20], &[8], 2, true);
        for large in [
            estimate(&checkpoint, &[10, 40], &[8], 2, true),
            estimate(&checkpoint, &[10, 20], &[16], 2, true),
            estimate(&checkpoint, &[10, 20], &[8], 4, true),
        ] {
            assert!(large.running > small.running && large.work >= small.work && large.model == small.model);
        }
        let nearest = estimate(&checkpoint, &[10, 20], &[8], 2, false);
        assert!(nearest.rounding == 0.0 && nearest.work < small.work && nearest.running == small.running);
    }
}
