//! A run against the same in real numbers over the same (dequantized) weights: what is left is the rounding of
//! activations, attention, the stored stream and the stored maps.

use super::model::{Layer, Model, Precision, TINY};
use super::{Given, Outputs, compute};
use crate::executor::Serial;
use crate::kernels::Isa;
use crate::nn::testing::RealNorm;
use crate::omegafold::config::{Config, MASK};
use std::vec;
use std::vec::Vec;

type Rows = Vec<Vec<f64>>;

/// What a run gives, in real numbers.
struct Exact {
    /// `[rows * residues, width]`
    states: Rows,
    /// `[layers][residues * residues]`: means over the rows.
    maps: Rows,
    node: Rows,
    pair: Rows,
}

fn plain(x: &[f64], unbiased: bool) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let squares = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    let variance = squares / if unbiased { count - 1.0 } else { count };
    x.iter().map(|x| (x - mean) / libm::sqrt(variance + 1e-5)).collect()
}

fn silu(x: Vec<f64>) -> Vec<f64> {
    x.into_iter().map(|x| x / (1.0 + libm::exp(-x))).collect()
}

impl Model {
    fn embed(&self, given: &Given) -> Rows {
        let width = self.config.width;
        given
            .rows()
            .flat_map(|kept| {
                let n = kept.iter().filter(|&&kept| kept != 0).count() as f64;
                let mut ratio = (kept.len() as f64 - n) / n;
                if ratio == 1.0 {
                    ratio = 0.99;
                }
                let factor = 0.88 / (1.0 - ratio);
                kept.iter().zip(&given.types).map(move |(&kept, &residue)| {
                    let token = if kept == 0 { MASK } else { residue };
                    self.embedding[usize::from(token) * width..][..width].iter().map(|v| v * factor).collect()
                })
            })
            .collect()
    }

    /// The stream after a layer, and the sum of all rows' maps, `[residues * residues]`.
    fn layer(&self, layer: &Layer, stream: &mut Rows, given: &Given) -> Vec<f64> {
        let Config { value_width, query_width, .. } = self.config;
        let residues = given.types.len();
        let mut map = vec![0.0; residues * residues];
        for (kept, stream) in given.rows().zip(stream.chunks_mut(residues)) {
            let x: Rows = stream.iter().map(|x| plain(x, false)).collect();
            let projected: Rows = x.iter().map(|x| silu(layer.projections.of(x))).collect();
            let turned = |of_key: usize| -> Rows {
                let base = projected.iter().map(|row| &row[value_width..]).enumerate();
                base.map(|(position, base)| {
                    let part = |row: usize| &layer.query_key[row * query_width..][..query_width];
                    let channels = base.iter().zip(part(of_key)).zip(part(2 + of_key));
                    let mut row: Vec<f64> = channels.map(|((x, gain), bias)| x * gain + bias).collect();
                    rotate(&mut row, position);
                    row
                })
                .collect()
            };
            let (queries, keys) = (turned(0), turned(1));
            let count = kept.iter().filter(|&&kept| kept != 0).count();
            let scale =
                libm::log((count as f64).max(4e-5)) / (libm::log(512.0) * libm::sqrt(query_width as f64));
            for (i, query) in queries.iter().enumerate() {
                let logit = |j: usize| {
                    let product: f64 = query.iter().zip(&keys[j]).map(|(q, k)| q * k).sum();
                    let farthest = layer.positions.len() as i64 / 2;
                    let offset = (j as i64 - i as i64).clamp(-farthest, farthest) + farthest;
                    product * scale + layer.positions[offset as usize]
                };
                let logits: Vec<f64> = (0..residues)
                    .map(|j| match (count, kept[j]) {
                        (0, _) => 0.0,
                        (_, 0) => f64::NEG_INFINITY,
                        _ => logit(j),
                    })
                    .collect();
                let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = logits.iter().map(|l| libm::exp(l - largest)).collect();
                let sum: f64 = weights.iter().sum();
                let mut context = vec![0.0; value_width];
                for (j, weight) in weights.iter().enumerate() {
                    map[i * residues + j] += weight / sum;
                    context.iter_mut().zip(&projected[j]).for_each(|(c, v)| *c += weight / sum * v);
                }
                let gates = silu(layer.gate.of(&x[i]));
                let gated: Vec<f64> = context.iter().zip(gates).map(|(c, g)| c * g).collect();
                let update = layer.output.of(&gated);
                stream[i].iter_mut().zip(update).for_each(|(x, update)| *x += update);
            }
        }
        map
    }

    fn run(&self, given: &Given) -> Exact {
        let mut stream = self.embed(given);
        let sums: Rows = self.layers.iter().map(|layer| self.layer(layer, &mut stream, given)).collect();
        let with_keys = given.rows().filter(|row| row.contains(&1)).count() as f64;
        let mean = |map: Vec<f64>| map.iter().map(|v| v / (with_keys + 1e-5)).collect();
        let maps: Rows = sums.into_iter().map(mean).collect();
        let norm = |x: &Vec<f64>| RealNorm::of(&self.norm, x, 1e-5);
        let states: Rows = stream.iter().map(norm).collect();
        let node = states.iter().map(|x| self.node.of(&plain(x, true))).collect();
        let pairs = 0..given.types.len() * given.types.len();
        let of_pair = |pair: usize| maps.iter().map(|map| map[pair]).collect::<Vec<f64>>();
        let pair = pairs.map(|pair| self.pair.of(&plain(&of_pair(pair), true))).collect();
        Exact { states, maps, node, pair }
    }
}

fn rotate(row: &mut [f64], position: usize) {
    let half = row.len() / 2;
    for c in 0..half {
        let angle = position as f64 * libm::pow(10_000.0, -(c as f64) / half as f64);
        let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
        let (x, y) = (row[c], row[c + half]);
        (row[c], row[c + half]) = (x * cosine - y * sine, y * cosine + x * sine);
    }
}

/// The size of the difference relative to the size of what is exact.
fn relative_error(found: &[i32], frac: u32, exact: &Rows) -> f64 {
    let exact: Vec<f64> = exact.iter().flatten().copied().collect();
    assert_eq!(found.len(), exact.len());
    let squares = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let difference = |(&found, exact): (&i32, &f64)| libm::ldexp(found.into(), -(frac as i32)) - exact;
    let errors: Vec<f64> = found.iter().zip(&exact).map(difference).collect();
    libm::sqrt(squares(&errors) / squares(&exact))
}

impl Model {
    /// Relative errors of the states, the node representation, the maps and the pair representation.
    fn errors(&self, given: &Given) -> [f64; 4] {
        let found: Outputs = compute(self, given, Isa::best(), &Serial);
        let exact = self.run(given);
        let mean_frac = 16;
        let with_keys = given.rows().filter(|row| row.contains(&1)).count() as f64;
        let residues = given.types.len();
        // `[layers][residues * residues]`, in units of one row's attention.
        let sums: Vec<i32> = (0..self.config.layers)
            .flat_map(|layer| {
                let found = &found;
                (0..residues).flat_map(move |i| found.map(i, layer, residues))
            })
            .collect();
        let maps = exact.maps.iter().map(|map| map.iter().map(|v| v * with_keys).collect()).collect();
        [
            relative_error(&found.states, 16, &exact.states),
            relative_error(&found.node, self.config.node_frac, &exact.node),
            relative_error(&sums, mean_frac, &maps),
            relative_error(&found.pair, self.config.pair_frac, &exact.pair),
        ]
    }
}

/// A model of five layers.
const WIDE: Config = Config {
    layers: 5,
    width: 80,
    value_width: 128,
    query_width: 32,
    offset_bins: 8,
    epsilon_features: 42_413,
    epsilon_maps: 8_796_093,
    ..TINY
};

/// Whether no error exceeds its bound.
fn within(errors: [f64; 4], bounds: [f64; 4]) -> bool {
    errors.into_iter().zip(bounds).all(|(error, bound)| error <= bound)
}

#[test]
fn a_run_is_near_the_same_in_real_numbers() {
    for (config, residues, rows) in [(TINY, 24, 15), (TINY, 70, 4), (WIDE, 40, 3)] {
        let model = Model::random(1, config);
        let errors = model.errors(&Given::drawn(1, residues, rows, 1));
        // Measured: 0.0328, 0.0341, 0.0164, 0.0373.
        assert!(within(errors, [0.033, 0.0345, 0.0166, 0.0376]), "{errors:?}");
    }
}

/// With nearly exact Linears and streams attention's 8-bit queries, keys and values are left.
#[test]
fn attention_is_near_the_same_in_real_numbers() {
    for (config, residues, rows) in [(TINY, 24, 15), (TINY, 70, 4), (WIDE, 40, 0)] {
        let model = Model::with(2, config, Precision::Fine);
        let errors = model.errors(&Given::drawn(2, residues, rows, 1));
        // Measured: 0.0113, 0.0124, 0.0075, 0.0204.
        assert!(within(errors, [0.0115, 0.0126, 0.0077, 0.0206]), "{errors:?}");
    }
}

/// Lengths of which rows are masked as a whole, by half, or by more than half: the embedding's factor is 0, 88
/// or negative, and a row without keys attends to all alike.
#[test]
fn the_shortest_sequences_have_the_originals_special_cases() {
    let mut kept = [false; 3];
    for (residues, cycle) in (1..=9).flat_map(|residues| (0..3).map(move |cycle| (residues, cycle))) {
        let given = Given::drawn(5, residues, 15, cycle);
        for row in given.rows() {
            let count = row.iter().filter(|&&kept| kept != 0).count();
            kept[0] |= count == 0;
            kept[1] |= count > 0 && 2 * count == residues;
            kept[2] |= count > 0 && 2 * count < residues;
        }
        let errors = Model::random(9, TINY).errors(&given);
        // Measured: 0.0219, 0.0204, 0.0118, 0.0290.
        assert!(within(errors, [0.0222, 0.0206, 0.012, 0.0293]), "{errors:?}");
    }
    assert_eq!(kept, [true; 3]);
}
