//! The trunk's operations in real numbers, for tests of them and of what is made of them.

use super::shape::{Representation, Shape};
use crate::fixed::Multiplier;
use crate::format::ModelFile;
use crate::kernels::attention::key_scale_max;
use crate::kernels::testing::Random;
use crate::nn::stream::StreamFormat;
use crate::nn::testing::{Builder, RealLinear, RealNorm};
use crate::quant::Site;
use std::format;
use std::vec;
use std::vec::Vec;

/// Fractional bits of the pairs' unit.
pub const FRAC: u32 = 12;

/// Bits by which it is coarser than that of activations.
const DOWN: i8 = 16 - FRAC as i8;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// Codec of 16 bits: to ±16 at least.
pub const WIDE: [i32; 8] = [16, 0, 0, 0, 0, 0, 2, 0];

/// Codec of 8 bits: dense to ±2.6, to ±7 at least.
pub const NARROW: [i32; 8] = [8, 20, 107, 107, 20, 900, 100, 1000];

/// Sizes for so many residues: both representations have these heads and channels; the pairs' rows have
/// `code_row` bytes.
pub fn shape(residues: usize, heads: usize, head_width: usize, code_row: usize) -> Shape {
    let value = core::f64::consts::LOG2_E * libm::exp2(-16.0)
        / (f64::from(key_scale_max(head_width)) * libm::sqrt(head_width as f64));
    let shift = 30 - libm::ilogb(value);
    let temperature = Multiplier { mantissa: libm::ldexp(value, shift) as i32, shift };
    let epsilon = libm::ldexp(EPSILON, 2 * FRAC as i32) as u64;
    let both = Representation { width: heads * head_width, heads, temperature, epsilon, code_row };
    Shape {
        residues,
        sequence: both,
        pair: both,
        epsilon_product: libm::ldexp(EPSILON, 64) as u64,
        quantized_pair: 2 * both.width,
    }
}

/// How pairs are stored at site `name`.
pub fn format<'a>(file: &ModelFile<'a>, name: &str, shape: &Shape, code_row: usize) -> StreamFormat<'a> {
    StreamFormat { site: Site::load(file, name, shape.pair.width).unwrap(), code_row }
}

/// Random numbers of standard deviation 1, stored; as many rows as there are pairs.
pub fn pairs(seed: u64, shape: &Shape, format: &StreamFormat) -> Vec<u8> {
    let mut random = Random(seed);
    let channel = |r: &mut Random| libm::ldexp(r.normal(), FRAC as i32) as i32;
    let values = random.many(shape.residues * shape.residues * shape.pair.width, channel);
    // What lies behind a row's codes must matter to nobody.
    let mut codes = random.many(shape.residues * shape.residues * format.code_row, |r| r.next() as u8);
    format.encode(crate::kernels::Isa::scalar().backend(), &values, &mut codes);
    codes
}

/// What is stored, in real numbers.
pub fn real(shape: &Shape, format: &StreamFormat, codes: &[u8]) -> Vec<f64> {
    let mut values = vec![0; shape.residues * shape.residues * shape.pair.width];
    format.decode(crate::kernels::Isa::scalar().backend(), codes, &mut values);
    values.iter().map(|&value| libm::ldexp(f64::from(value), -(FRAC as i32))).collect()
}

/// The pairs (j, i) in place of (i, j).
pub fn turned(pairs: &[f64], residues: usize, width: usize) -> Vec<f64> {
    let at = |i: usize, j: usize| &pairs[(i * residues + j) * width..][..width];
    let places = (0..residues).flat_map(|i| (0..residues).map(move |j| (j, i)));
    places.flat_map(|(i, j)| at(i, j).to_vec()).collect()
}

/// How much larger `exact` is than what `found` differs from it, in decibels.
pub fn decibels(found: &[f64], exact: &[f64]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let noise = power(&mut found.iter().zip(exact).map(|(found, exact)| found - exact));
    10.0 * libm::log10(power(&mut exact.iter().copied()) / noise)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// Applies `row` to every row of `width` channels.
fn rows(x: &[f64], width: usize, row: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
    x.chunks_exact(width).map(row).collect()
}

/// Triangle attention.
#[derive(Clone, Debug)]
pub struct RealAttention {
    heads: usize,
    width: usize,
    norm: RealNorm,
    projections: RealLinear,
    bias: RealLinear,
    output: RealLinear,
}

impl RealAttention {
    /// Draws the weights; of each row that a Linear reads `outliers` channels have two limbs.
    pub fn draw(to: &mut Builder, name: &str, shape: &Shape, outliers: usize) -> Self {
        let Representation { width, heads, .. } = shape.pair;
        let name = |part: &str| format!("{name}.{part}");
        let shared = to.random.channels(outliers, width);
        Self {
            heads,
            width,
            norm: to.norm(&name("norm"), width),
            projections: to.linear_of(&name("projections"), [width, 4 * width], 0, |_| shared.clone()),
            bias: to.linear_of(&name("bias"), [width, heads], 0, |_| shared.clone()),
            output: to.linear(&name("output"), [width, width], DOWN, outliers),
        }
    }

    /// What is added to the pairs.
    pub fn of(&self, pairs: &[f64], residues: usize) -> Vec<f64> {
        let width = self.width;
        let head_width = width / self.heads;
        let normed = rows(pairs, width, |pair| self.norm.of(pair, EPSILON));
        let projected: Vec<_> = normed.iter().map(|x| self.projections.of(x)).collect();
        let biases: Vec<_> = normed.iter().map(|x| self.bias.of(x)).collect();
        let mut out = Vec::new();
        for (i, row) in projected.chunks_exact(residues).enumerate() {
            assert!(i < residues);
            for (q, query) in row.iter().enumerate() {
                let mut attended = vec![0.0; width];
                let heads = (0..width).step_by(head_width).map(|first| first..first + head_width);
                for (head, channels) in heads.enumerate() {
                    let score = |k: usize| {
                        let product: f64 =
                            channels.clone().map(|c| query[c] * row[k][width + c]).sum::<f64>()
                                / libm::sqrt(head_width as f64);
                        product * core::f64::consts::LOG2_E + biases[q * residues + k][head]
                    };
                    let scores: Vec<f64> = (0..residues).map(score).collect();
                    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|score| libm::exp2(score - largest)).collect();
                    let sum: f64 = weights.iter().sum();
                    for c in channels {
                        let mean = (0..residues).map(|k| weights[k] / sum * row[k][2 * width + c]);
                        attended[c] = mean.sum::<f64>() * sigmoid(query[3 * width + c]);
                    }
                }
                out.extend(self.output.of(&attended));
            }
        }
        out
    }
}

/// Triangle multiplication of outgoing edges.
#[derive(Clone, Debug)]
pub struct RealMultiplication {
    width: usize,
    norm_in: RealNorm,
    projections: RealLinear,
    gate: RealLinear,
    norm_out: RealNorm,
    output: RealLinear,
}

/// What [`RealMultiplication`] makes of pairs, `[residues, residues, width]` each.
#[derive(Clone, Debug)]
pub struct Factors {
    pub a: Vec<Vec<f64>>,
    pub b: Vec<Vec<f64>>,
    pub gate: Vec<Vec<f64>>,
}

impl RealMultiplication {
    /// Draws the weights; of each row that a Linear reads `outliers` channels have two limbs.
    pub fn draw(to: &mut Builder, name: &str, shape: &Shape, outliers: usize) -> Self {
        let width = shape.pair.width;
        let name = |part: &str| format!("{name}.{part}");
        let shared = to.random.channels(outliers, width);
        Self {
            width,
            norm_in: to.norm(&name("norm_in"), width),
            projections: to.linear_of(&name("projections"), [width, 4 * width], 0, |_| shared.clone()),
            gate: to.linear_of(&name("gate"), [width, width], 0, |_| shared.clone()),
            norm_out: to.norm(&name("norm_out"), width),
            output: to.linear(&name("output"), [width, width], DOWN, outliers),
        }
    }

    pub fn factors(&self, pairs: &[f64]) -> Factors {
        let width = self.width;
        let normed = rows(pairs, width, |pair| self.norm_in.of(pair, EPSILON));
        let projected: Vec<_> = normed.iter().map(|x| self.projections.of(x)).collect();
        let gated = |at: usize| {
            let row =
                |y: &Vec<f64>| (0..width).map(|c| y[at + c] * sigmoid(y[at + width + c])).collect::<Vec<_>>();
            projected.iter().map(row).collect()
        };
        let gate = |x: &Vec<f64>| self.gate.of(x).into_iter().map(sigmoid).collect();
        Factors { a: gated(0), b: gated(2 * width), gate: normed.iter().map(gate).collect() }
    }

    /// The gated sum over k of a[i, k] b[j, k], of factors that may have been exchanged or transposed.
    pub fn product(&self, factors: &Factors, residues: usize) -> Vec<f64> {
        let places = (0..residues).flat_map(|i| (0..residues).map(move |j| (i, j)));
        let pair = |(i, j): (usize, usize)| {
            let channel = |c: usize| {
                (0..residues)
                    .map(|k| factors.a[i * residues + k][c] * factors.b[j * residues + k][c])
                    .sum::<f64>()
            };
            let product: Vec<f64> = (0..self.width).map(channel).collect();
            let y = self.output.of(&self.norm_out.of(&product, EPSILON));
            y.into_iter().zip(&factors.gate[i * residues + j]).map(|(y, gate)| y * gate).collect::<Vec<_>>()
        };
        places.flat_map(pair).collect()
    }

    /// What is added to the pairs.
    pub fn of(&self, pairs: &[f64], residues: usize) -> Vec<f64> {
        self.product(&self.factors(pairs), residues)
    }
}

/// A transition.
#[derive(Clone, Debug)]
pub struct RealTransition {
    width: usize,
    norm: RealNorm,
    up: RealLinear,
    down: RealLinear,
}

impl RealTransition {
    /// Draws the weights; of each row that a Linear reads `outliers` of `width` channels have two limbs.
    pub fn draw(to: &mut Builder, name: &str, width: usize, outliers: usize) -> Self {
        let wide = 4 * width;
        Self {
            width,
            norm: to.norm(&format!("{name}.norm"), width),
            up: to.linear(&format!("{name}.up"), [width, wide], 0, outliers),
            down: to.linear(&format!("{name}.down"), [wide, width], DOWN, 4 * outliers),
        }
    }

    /// What is added.
    pub fn of(&self, x: &[f64]) -> Vec<f64> {
        let row = |x: &[f64]| {
            let hidden = self.up.of(&self.norm.of(x, EPSILON));
            self.down.of(&hidden.into_iter().map(|y| y.max(0.0)).collect::<Vec<_>>())
        };
        x.chunks_exact(self.width).flat_map(row).collect()
    }
}
