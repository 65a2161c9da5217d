//! The pass against a plain f64 transformer over the same (dequantized) weights: what is left is the rounding
//! of activations, attention and the stored stream.

use super::model::{CONFIG_SMALL, random_model};
use super::{ALL, compute, sequence};
use crate::esm::Config;
use crate::executor::Serial;
use crate::format::testing::Tensors;
use crate::kernels::Isa;
use crate::kernels::linear::panel_groups;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

type Rows = Vec<Vec<f64>>;

struct Reference {
    tensors: Tensors,
    config: Config,
}

/// What the reference computes: the final hidden states, logits, and the contact map.
struct Exact {
    hidden: Rows,
    logits: Rows,
    contacts: Rows,
}

impl Reference {
    fn linear(&self, name: &str, x: &[f64], out_frac: i32) -> Vec<f64> {
        let part = |part: &str| format!("{name}.{part}");
        let weight: Vec<i8> = self.tensors.get(&part("weight"));
        let mantissa: Vec<u16> = self.tensors.get(&part("mantissa"));
        let shift: Vec<i8> = self.tensors.get(&part("shift"));
        let bias: Vec<i32> = self.tensors.get(&part("bias"));
        let outliers: Vec<u16> = self.tensors.get(&part("outliers"));
        let panel = 64 * panel_groups(x.len(), outliers.len());
        let low = panel / 16 - x.len().next_multiple_of(4);
        let one = |n: usize| {
            let at = |column: usize| n / 16 * panel + column / 4 * 64 + n % 16 * 4 + column % 4;
            let sum: f64 = x.iter().enumerate().map(|(c, x)| x * f64::from(weight[at(low + c)])).sum();
            let exact = sum * libm::ldexp(f64::from(mantissa[n]), 16 - i32::from(shift[n]));
            libm::ldexp(exact + f64::from(bias[n]), -out_frac)
        };
        (0..bias.len()).map(one).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let gain: Vec<i32> = self.tensors.get(&format!("{name}.gain"));
        let bias: Vec<i32> = self.tensors.get(&format!("{name}.bias"));
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let channels = x.iter().zip(gain).zip(bias);
        channels
            .map(|((x, gain), bias)| {
                (x - mean) / libm::sqrt(variance + 1e-5) * libm::ldexp(gain.into(), -20)
                    + libm::ldexp(bias.into(), -16)
            })
            .collect()
    }

    fn embed(&self, tokens: &[u8]) -> Rows {
        let embedding: Vec<i32> = self.tensors.get("lm.embedding");
        let masked = tokens.iter().filter(|&&token| token == 32).count() as f64;
        let factor = 0.88 / (1.0 - masked / tokens.len() as f64);
        let unit = libm::ldexp(factor, -(self.config.stream_frac as i32));
        let row = |&token: &u8| {
            let row = embedding.chunks(self.config.width).nth(token.into()).unwrap();
            row.iter().map(|&v| if token == 32 { 0.0 } else { f64::from(v) * unit }).collect()
        };
        tokens.iter().map(row).collect()
    }

    fn rotate(&self, row: &mut [f64], position: usize) {
        let phases: Vec<u32> = self.tensors.get("lm.rotary");
        let half = phases.len();
        for (c, &phase) in phases.iter().enumerate() {
            let angle = f64::from(phase) / 4_294_967_296.0 * core::f64::consts::TAU * position as f64;
            let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
            let (x, y) = (row[c], row[c + half]);
            (row[c], row[c + half]) = (x * cosine - y * sine, y * cosine + x * sine);
        }
    }

    /// Adds one layer to the stream; returns the attention maps of its heads.
    fn layer(&self, index: usize, stream: &mut Rows) -> Vec<Rows> {
        let name = |part: &str| -> String { format!("lm.layers.{index}.{part}") };
        let (width, head_width) = (self.config.width, self.config.head_width());
        let (tokens, to_stream) = (stream.len(), self.config.stream_frac as i32);
        let qkv: Rows = stream
            .iter()
            .map(|x| self.linear(&name("attention.qkv"), &self.norm(&name("attention.norm"), x), 16))
            .collect();
        let mut context = vec![vec![0.0; width]; tokens];
        let mut maps = Vec::new();
        for at in (0..width).step_by(head_width) {
            let part = |of: usize| -> Rows {
                qkv.iter().map(|row| row[of * width + at..][..head_width].to_vec()).collect()
            };
            let (mut q, mut k, v) = (part(0), part(1), part(2));
            for rows in [&mut q, &mut k] {
                rows.iter_mut().enumerate().for_each(|(position, row)| self.rotate(row, position));
            }
            let map: Rows = q
                .iter()
                .map(|q| {
                    let score = |k: &Vec<f64>| q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>();
                    let e: Vec<f64> =
                        k.iter().map(|k| libm::exp(score(k) / libm::sqrt(head_width as f64))).collect();
                    let sum: f64 = e.iter().sum();
                    e.iter().map(|e| e / sum).collect()
                })
                .collect();
            for (context, map) in context.iter_mut().zip(&map) {
                for (c, out) in context[at..at + head_width].iter_mut().enumerate() {
                    *out = map.iter().zip(&v).map(|(p, v)| p * v[c]).sum();
                }
            }
            maps.push(map);
        }
        for (x, context) in stream.iter_mut().zip(&context) {
            add(x, &self.linear(&name("attention.output"), context, to_stream));
            let mut hidden = self.linear(&name("ffn.up"), &self.norm(&name("ffn.norm"), x), 16);
            hidden.iter_mut().for_each(|x| *x = gelu(*x));
            add(x, &self.linear(&name("ffn.down"), &hidden, to_stream));
        }
        maps
    }

    fn contacts(&self, maps: &[Rows]) -> Rows {
        let weights: Vec<i16> = self.tensors.get("lm.contact.weight");
        let [frac, bias]: [i32; 2] = self.tensors.get("lm.contact.param").try_into().unwrap();
        let residues = maps[0].len() - 2;
        let mut logits = vec![vec![libm::ldexp(bias.into(), -20); residues]; residues];
        for (map, weight) in maps.iter().zip(weights) {
            let s = |i: usize, j: usize| map[i + 1][j + 1] + map[j + 1][i + 1];
            let sums: Vec<f64> = (0..residues).map(|i| (0..residues).map(|j| s(i, j)).sum()).collect();
            let total: f64 = sums.iter().sum();
            for (i, row) in logits.iter_mut().enumerate() {
                for (j, logit) in row.iter_mut().enumerate() {
                    *logit += libm::ldexp(weight.into(), -frac) * (s(i, j) - sums[i] * sums[j] / total);
                }
            }
        }
        let sigmoid = |row: Vec<f64>| row.into_iter().map(|x| 1.0 / (1.0 + libm::exp(-x))).collect();
        logits.into_iter().map(sigmoid).collect()
    }

    fn run(&self, tokens: &[u8]) -> Exact {
        let mut stream = self.embed(tokens);
        let maps: Vec<Rows> =
            (0..self.config.layers).flat_map(|index| self.layer(index, &mut stream)).collect();
        let hidden: Rows = stream.iter().map(|x| self.norm("lm.norm", x)).collect();
        let logits = hidden.iter().map(|x| {
            let mut x = self.linear("lm.head.dense", x, 16);
            x.iter_mut().for_each(|x| *x = gelu(*x));
            self.linear("lm.head.decoder", &self.norm("lm.head.norm", &x), 16)
        });
        Exact { logits: logits.collect(), contacts: self.contacts(&maps), hidden }
    }
}

fn gelu(x: f64) -> f64 {
    x * libm::erfc(-x / core::f64::consts::SQRT_2) / 2.0
}

fn add(x: &mut [f64], update: &[f64]) {
    x.iter_mut().zip(update).for_each(|(x, update)| *x += update);
}

/// The size of the difference of all rows relative to the size of the exact ones.
fn relative_error<T: Copy + Into<f64>>(found: &[T], exact: &Rows) -> f64 {
    let exact: Vec<f64> = exact.iter().flatten().copied().collect();
    assert_eq!(found.len(), exact.len());
    let squares = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let error: Vec<f64> = found.iter().zip(&exact).map(|(&f, e)| f.into() / 65536.0 - e).collect();
    libm::sqrt(squares(&error) / squares(&exact))
}

/// Errors of the hidden states, the logits and the contact probabilities.
#[test]
fn a_pass_is_near_the_real_transformer() {
    for (seed, residues) in [(1, 60), (2, 100), (3, 7)] {
        let tensors = random_model(seed, CONFIG_SMALL);
        let tokens = sequence(seed, residues);
        let found = compute(&tensors.file(), &tokens, ALL, Isa::best(), &Serial).unwrap();
        let exact = Reference { tensors, config: CONFIG_SMALL }.run(&tokens);
        let last = found.hidden.iter().filter(|row| row.0 == CONFIG_SMALL.layers);
        let hidden: Vec<i32> = last.flat_map(|row| row.2.iter().copied()).collect();
        let errors = [
            relative_error(&hidden, &exact.hidden),
            relative_error(&found.logits.unwrap(), &exact.logits),
            relative_error(&found.contacts.unwrap(), &exact.contacts),
        ];
        // Measured: 0.0197, 0.0251 and 0.0107.
        assert!(
            errors.into_iter().zip([0.021, 0.026, 0.011]).all(|(error, bound)| error <= bound),
            "{errors:?}"
        );
    }
}
