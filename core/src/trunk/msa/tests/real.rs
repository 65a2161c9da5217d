//! The operations in real numbers.

use crate::nn::testing::{Builder, RealLinear, RealNorm};
use crate::trunk::testing::{FRAC, RealTransition};
use std::format;
use std::vec;
use std::vec::Vec;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// Bits by which representations are coarser than activations.
const DOWN: i8 = 16 - FRAC as i8;

/// Gated attention.
pub struct RealAttention {
    heads: usize,
    norm: RealNorm,
    projections: RealLinear,
    output: RealLinear,
}

impl RealAttention {
    fn draw(to: &mut Builder, name: &str, width: usize, heads: usize) -> Self {
        let outliers = width / 4;
        Self {
            heads,
            norm: to.norm(&format!("{name}.norm"), width),
            projections: to.linear(&format!("{name}.projections"), [width, 4 * width], 0, outliers),
            output: to.linear(&format!("{name}.output"), [width, width], DOWN, outliers),
        }
    }

    /// What is added to entries that attend to each other. `bias` is that of a head, a query and a key, in
    /// units of a power of two.
    pub fn of(&self, entries: &[&[f64]], bias: impl Fn(usize, usize, usize) -> f64) -> Vec<Vec<f64>> {
        let project = |x: &&[f64]| self.projections.of(&self.norm.of(x, EPSILON));
        let projected: Vec<Vec<f64>> = entries.iter().map(project).collect();
        let attend = |q: usize| {
            let query = &projected[q];
            let width = query.len() / 4;
            let head_width = width / self.heads;
            let mut attended = vec![0.0; width];
            for head in 0..self.heads {
                let channels = head * head_width..(head + 1) * head_width;
                let weight = |k: usize| {
                    let product: f64 = channels.clone().map(|c| query[c] * projected[k][width + c]).sum();
                    let natural = product / libm::sqrt(head_width as f64);
                    libm::exp(natural) * libm::exp2(bias(head, q, k))
                };
                let weights: Vec<f64> = (0..entries.len()).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                for c in channels {
                    let values = projected.iter().zip(&weights).map(|(x, weight)| weight * x[2 * width + c]);
                    attended[c] = values.sum::<f64>() / sum / (1.0 + libm::exp(-query[3 * width + c]));
                }
            }
            self.output.of(&attended)
        };
        (0..entries.len()).map(attend).collect()
    }
}

/// All weights on an MSA representation.
pub struct RealMsa {
    pair_norm: RealNorm,
    pair_bias: RealLinear,
    pub rows: RealAttention,
    pub columns: RealAttention,
    transition: RealTransition,
    outer_norm: RealNorm,
    projection: RealLinear,
    weights: RealLinear,
    outer_bias: Vec<f64>,
    outer: usize,
}

impl RealMsa {
    /// Draws the weights of the block `name`: channels of the MSA's, of the pairs' and of either side of the
    /// outer product.
    pub fn draw(to: &mut Builder, name: &str, heads: usize, [width, pair, outer]: [usize; 3]) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        let pair_norm = to.norm(&part("pair_bias.norm"), pair);
        let pair_bias = to.linear(&part("pair_bias.linear"), [pair, heads], 0, 2);
        let rows = RealAttention::draw(to, &part("row_attention"), width, heads);
        let columns = RealAttention::draw(to, &part("column_attention"), width, heads);
        let transition = RealTransition::draw(to, &part("node_transition"), width, 2);
        let outer_norm = to.norm(&part("outer_product.norm"), width);
        let projection = to.linear(&part("outer_product.projection"), [width, 2 * outer], 0, 2);
        let weights = to.linear(&part("outer_product.weights"), [outer, outer * pair], 0, outer / 2);
        let bias = to.random.many(pair, |r| (r.normal() * libm::ldexp(1.0, FRAC as i32)) as i32);
        to.tensors.put(&part("outer_product.bias"), &[pair], &bias);
        let outer_bias = bias.iter().map(|&b| libm::ldexp(f64::from(b), -(FRAC as i32))).collect();
        Self {
            pair_norm,
            pair_bias,
            rows,
            columns,
            transition,
            outer_norm,
            projection,
            weights,
            outer_bias,
            outer,
        }
    }

    /// What a pair adds to the logits of each head.
    pub fn bias(&self, pair: &[f64]) -> Vec<f64> {
        self.pair_bias.of(&self.pair_norm.of(pair, EPSILON))
    }

    /// What the transition adds to an entry.
    pub fn transition(&self, x: &[f64]) -> Vec<f64> {
        self.transition.of(x)
    }

    /// Left and right side of an entry.
    pub fn sides(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut left = self.projection.of(&self.outer_norm.of(x, EPSILON));
        let right = left.split_off(self.outer);
        (left, right)
    }

    /// What is added to a pair: `both` has the sides of its residues in every row that keeps them, the left
    /// one of the first and the right one of the second.
    pub fn outer_product(&self, both: &[(&[f64], &[f64])]) -> Vec<f64> {
        let mut sum = self.outer_bias.clone();
        for (left, right) in both {
            let matrix = self.weights.of(left);
            for (row, right) in matrix.chunks_exact(sum.len()).zip(*right) {
                sum.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * right);
            }
        }
        sum.iter().map(|sum| sum / (both.len() as f64 + 0.001)).collect()
    }
}
