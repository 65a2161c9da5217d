//! What quantizing an OmegaFold takes.

use super::{Estimate, F32, FOLDS_TOGETHER, rounding};
use crate::calibrate::ROWS_KEPT;
use crate::checkpoint::OmegaFoldConfig;
use crate::reference::omegafold::Options;

/// Linears that are alike.
struct Shape {
    count: usize,
    rows: Rows,
    outputs: usize,
    inputs: usize,
}

/// What a Linear reads.
#[derive(Clone, Copy)]
enum Rows {
    /// Residues of all rows of the pseudo-MSA, once.
    Tokens,
    /// The same in each cycle.
    Nodes,
    /// Pairs of residues, once.
    Maps,
    /// The same in each cycle.
    Pairs,
    /// Residues in each cycle.
    Residues,
}

/// What it takes to calibrate a model of this shape on sequences with so many `residues`, once through the
/// language model and then in cycles; with `compensate` the weights are rounded with the samples seen.
pub fn estimate_omegafold(
    shape: &OmegaFoldConfig,
    residues: &[usize],
    options: &Options,
    compensate: bool,
) -> Estimate {
    let (rows, cycles) = (options.rows + 1, options.cycles);
    let sum = |of: &dyn Fn(usize) -> usize| residues.iter().map(|&residues| of(residues)).sum::<usize>();
    let (count, squares, cubes) = (sum(&|l| l), sum(&|l| l * l), sum(&|l| l.pow(3)));
    let longest = residues.iter().copied().max().unwrap_or(0);
    let mut estimate = Estimate::default();
    let mut widest = 0;
    for Shape { count: times, rows: of, outputs, inputs } in shapes(shape) {
        let rows = match of {
            Rows::Tokens => rows * count,
            Rows::Nodes => rows * count * cycles,
            Rows::Maps => squares,
            Rows::Pairs => squares * cycles,
            Rows::Residues => count * cycles,
        };
        estimate.running += 2.0 * (times * rows) as f64 * (outputs * inputs) as f64;
        estimate.model += times * outputs * inputs * 21 / 20;
        if compensate {
            let kept = ROWS_KEPT.min(rows);
            let (operations, memory) = rounding(kept, outputs, inputs);
            estimate.rounding += times as f64 * operations;
            estimate.work += times * kept * inputs * F32;
            widest = widest.max(memory);
        }
    }
    // Scores and contexts: of the language model, of rows, of two triangle attentions; triangle products.
    let attention = shape.layers * (shape.head_width + shape.value_width) * rows * squares
        + cycles * shape.blocks * 2 * shape.node_width * rows * squares
        + cycles * shape.blocks * shape.geometric_layers * 2 * 3 * shape.pair_width * cubes;
    // Outer products, and what becomes of them.
    let outer = cycles * shape.blocks * (rows + shape.pair_width) * shape.outer_product.pow(2) * squares;
    estimate.running += 2.0 * (attention + outer) as f64;
    let streams = rows * count * shape.width * F32;
    let maps = shape.layers * squares * F32;
    let representations = (rows * count * shape.node_width + squares * shape.pair_width) * F32;
    let together = FOLDS_TOGETHER * rayon::current_num_threads();
    let of_layer = 4 * rows * longest * (2 * shape.value_width + shape.head_width + 2 * shape.width) * F32;
    // What a block shows of pairs: inputs of Linears, what is stored, and sums.
    let shown = longest * longest * (5 + 14 * shape.geometric_layers) * shape.pair_width * F32
        + longest * longest * shape.outer_product.pow(2) * F32
        + longest * longest * shape.pair_transition * F32;
    let layers = 3 * streams + maps + together * of_layer;
    let blocks = 4 * representations + together * shown;
    let samples = 2 * ROWS_KEPT * (2 * shape.width + shape.value_width + 64 * shape.pair_width) * F32;
    estimate.memory = widest.max(samples + layers.max(blocks));
    // While a state is written, the one before it is still there.
    estimate.work += 2 * (streams + maps).max(representations) + representations + estimate.model;
    estimate
}

/// The Linears of the model file.
fn shapes(shape: &OmegaFoldConfig) -> Vec<Shape> {
    use Rows::{Maps, Nodes, Pairs, Residues, Tokens};
    let OmegaFoldConfig { width, value_width, head_width, node_width: d, pair_width: z, .. } = *shape;
    let (layers, blocks, geometric) = (shape.layers, shape.blocks, shape.blocks * shape.geometric_layers);
    let s = &shape.structure;
    let (iterations, w) = (s.iterations, s.sequence_width);
    let projections = 3 * s.heads * (s.head_width + 2 * s.query_points + s.value_points);
    let attended = s.heads * (s.head_width + 4 * s.value_points + z);
    let confidence = shape.confidence_width;
    let linear = |count, rows, outputs, inputs| Shape { count, rows, outputs, inputs };
    vec![
        linear(layers, Tokens, 2 * value_width + head_width, width),
        linear(layers, Tokens, width, value_width),
        linear(1, Tokens, d, width),
        linear(1, Maps, z, layers),
        linear(blocks, Pairs, shape.node_heads, z),
        linear(2 * blocks, Nodes, 5 * d, d),
        linear(blocks, Nodes, shape.node_transition, d),
        linear(blocks, Nodes, d, shape.node_transition),
        linear(blocks, Nodes, 2 * shape.outer_product, d),
        linear(blocks, Nodes, z * shape.outer_product, shape.outer_product),
        linear(2 * geometric, Pairs, 5 * z + shape.pair_heads, z),
        linear(2 * geometric, Pairs, 6 * z, z),
        linear(blocks, Pairs, shape.pair_transition, z),
        linear(blocks, Pairs, z, shape.pair_transition),
        linear(1, Residues, w, d),
        linear(1, Residues, w, w),
        linear(iterations, Residues, projections, w),
        linear(iterations, Pairs, s.heads, z),
        linear(iterations, Residues, w, attended),
        linear(3 * iterations, Residues, w, w),
        linear(iterations, Residues, 6, w),
        linear(2, Residues, s.resnet_width, w),
        linear(2 * s.resnet_blocks, Residues, s.resnet_width, s.resnet_width),
        linear(1, Residues, 14, s.resnet_width),
        linear(1, Residues, confidence, w),
        linear(1, Residues, confidence, confidence),
        linear(1, Residues, shape.confidence_bins, confidence),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checkpoint::OmegaFold;

    #[test]
    fn every_weight_counts_and_more_takes_more() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/omegafold-tiny");
        let checkpoint = OmegaFold::open(&golden).unwrap();
        let shape = checkpoint.config();
        let weights: usize =
            shapes(shape).iter().map(|linear| linear.count * linear.outputs * linear.inputs).sum();
        // Of the fixture's 82,439 parameters, those in matrices that are multiplied.
        let matrix = |name: &str| {
            let is_table = ["embedding", "relpos", "scaling", "proj_i", "proj_j", "prev_pos"];
            let is_vector = name.ends_with("bias")
                || name.ends_with("_b")
                || name.contains("norm") && !name.contains("unnormalized");
            !is_vector
                && !is_table.iter().any(|table| name.contains(table))
                && !name.contains("point_weights")
        };
        let stored: usize = checkpoint
            .names()
            .filter(|name| matrix(name))
            .map(|name| checkpoint.shape(name).unwrap().iter().product::<usize>())
            .sum();
        assert_eq!(weights, stored);
        let options = Options { cycles: 2, ..Options::default() };
        let small = estimate_omegafold(shape, &[8, 9], &options, true);
        for large in [
            estimate_omegafold(shape, &[8, 19], &options, true),
            estimate_omegafold(shape, &[8, 9], &Options { cycles: 3, ..options }, true),
            estimate_omegafold(shape, &[8, 9], &Options { rows: 31, ..options }, true),
        ] {
            assert!(large.running > small.running && large.work >= small.work && large.model == small.model);
        }
        let nearest = estimate_omegafold(shape, &[8, 9], &options, false);
        assert!(nearest.rounding == 0.0 && nearest.work < small.work && nearest.running == small.running);
    }
}
