//! OmegaPLM: gated attention units over the sequence and its pseudo-MSA, which meet only in the attention
//! maps.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{Weights, plain};
use crate::checkpoint::{OmegaFold, OmegaFoldConfig};
use crate::reference::attention::Rotary;
use crate::reference::elementwise::{silu, softmax_last};
use crate::reference::ops::{LayerNorm, Linear, to_vec, with_values};
use crate::reference::{ReferenceError, Tap};

/// The token of masked residues.
const MASKED: usize = 21;

/// Share of tokens that were not masked in training.
const UNMASKED_IN_TRAINING: f64 = 0.88;

/// What a masked key has added to its logits; a row whose keys are all masked attends to all of them alike,
/// since nothing of the logits is left beside it in single precision.
const NO_KEY: f32 = -1e9;

/// Residues of the sequences that the scale of logits was tuned at.
const TUNED_AT: f64 = 512.0;

/// The rows of the pseudo-MSA: the sequence, then copies with masked residues.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Residue types of the sequence, 0 to 20.
    pub residues: &'a [usize],
    /// Whether each residue of each row is kept: `[rows, residues]`, the first row all kept.
    pub kept: &'a [bool],
}

impl Rows<'_> {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.kept.len() / self.residues.len().max(1)
    }

    /// The rows.
    pub fn each(&self) -> impl Iterator<Item = &[bool]> {
        self.kept.chunks_exact(self.residues.len())
    }
}

/// What the language model gives.
pub struct Features {
    /// `[rows * residues, width]`.
    pub node: Tensor,
    /// `[residues * residues, layers]`: how much each residue attends to each, on average over the rows.
    pub maps: Tensor,
}

/// The language model: its embedding and last LayerNorm; layers are read when they run.
pub struct LanguageModel<'c> {
    weights: Weights<'c>,
    config: &'c OmegaFoldConfig,
    embedding: Vec<f32>,
    norm: LayerNorm,
}

/// One layer.
struct Layer {
    /// Gates, values and the base of queries and keys, `[2 * value width + head width, width]`.
    projections: Linear,
    /// Factors of queries and of keys, `[2, head width]`.
    factors: Vec<f32>,
    /// What is added to queries and keys.
    shifts: Vec<f32>,
    /// What is added to the logits at each offset from query to key, from the lowest on.
    offsets: Vec<f32>,
    /// `[width, value width]`.
    output: Linear,
}

impl<'c> LanguageModel<'c> {
    /// Reads the embedding and the last LayerNorm.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &'c OmegaFold) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("omega_plm");
        let (embedding, norm) = (weights.values("input_embedding.weight")?, weights.norm("output_norm")?);
        Ok(Self { weights, config: checkpoint.config(), embedding, norm })
    }

    /// Runs all layers.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn forward(&self, rows: Rows<'_>, tap: &mut Tap<'_>) -> Result<Features, ReferenceError> {
        let (residues, width) = (rows.residues.len(), self.config.width);
        let mut x = Tensor::from_vec(self.embed(rows), (rows.kept.len(), width), &Device::Cpu)?;
        let half = self.config.head_width / 2;
        let turns: Vec<f64> = (0..half).map(|c| 10_000f64.powf(-(c as f64) / half as f64)).collect();
        let rotary = Rotary::new(residues, &turns);
        let with_keys = rows.each().filter(|row| row.contains(&true)).count();
        let per_row = 1.0 / (with_keys as f64 + 1e-5);
        let mut maps = Vec::with_capacity(self.config.layers);
        for index in 0..self.config.layers {
            let layer = Layer::load(&self.weights.at(format_args!("layers.{index}.gau")))?;
            let tap = &mut tap.at(format_args!("layers.{index}"));
            let map;
            (x, map) = layer.forward(&x, rows, &rotary, tap)?;
            maps.push(map.affine(per_row, 0.0)?.flatten_all()?);
        }
        tap.show("norm", &x)?;
        Ok(Features { node: self.norm.forward(&x)?, maps: Tensor::stack(&maps, 1)? })
    }

    /// Every row's tokens. The dropout's factor counts masked residues against those that are kept.
    fn embed(&self, rows: Rows<'_>) -> Vec<f32> {
        let width = self.config.width;
        let token = |number: usize| self.embedding.chunks_exact(width).nth(number).unwrap_or_default();
        let mut values = Vec::with_capacity(rows.kept.len() * width);
        for row in rows.each() {
            let kept = row.iter().filter(|&&kept| kept).count();
            let mut ratio = (row.len() - kept) as f64 / kept as f64;
            if ratio == 1.0 {
                ratio = 0.99;
            }
            let factor = (UNMASKED_IN_TRAINING / (1.0 - ratio)) as f32;
            for (&kept, &residue) in row.iter().zip(rows.residues) {
                values.extend(token(if kept { residue } else { MASKED }).iter().map(|v| v * factor));
            }
        }
        values
    }
}

impl Layer {
    fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        Ok(Self {
            projections: weights.linear("gva_proj.0")?,
            factors: weights.values("multi_headed_scaling.weight")?,
            shifts: weights.values("multi_headed_scaling.bias")?,
            offsets: weights.values("relpos.weight")?,
            output: weights.linear("output_proj")?,
        })
    }

    /// The stream after this layer, and the sum of all rows' attention maps, `[residues, residues]`.
    fn forward(
        &self,
        x: &Tensor,
        rows: Rows<'_>,
        rotary: &Rotary,
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let residues = rows.residues.len();
        let (tokens, width) = x.dims2()?;
        tap.show("norm", x)?;
        let y = plain(width).forward(x)?;
        tap.show("projections", &y)?;
        let y = silu(self.projections.forward(&y)?)?;
        let (_, value_width) = self.output.shape()?;
        let (gates, values) = (y.narrow(1, 0, value_width)?, y.narrow(1, value_width, value_width)?);
        let base = y.narrow(1, 2 * value_width, self.factors.len() / 2)?;
        let each: Vec<(usize, &[bool])> = rows.each().enumerate().collect();
        let attended = each.into_par_iter().map(|(row, kept)| {
            let part = |x: &Tensor| x.narrow(0, row * residues, residues)?.contiguous();
            self.attend(&part(&base)?, &part(&values)?, kept, rotary)
        });
        let attended = attended.collect::<Result<Vec<_>, ReferenceError>>()?;
        let mut map = Tensor::zeros((residues, residues), candle_core::DType::F32, &Device::Cpu)?;
        let mut contexts = Vec::with_capacity(attended.len());
        for (context, weights) in attended {
            map = (map + weights)?;
            contexts.push(context);
        }
        let y = (Tensor::cat(&contexts, 0)? * gates.contiguous()?)?;
        debug_assert_eq!(y.dims2()?.0, tokens);
        tap.show("output", &y)?;
        Ok(((x + self.output.forward(&y)?)?, map))
    }

    /// Attention within a row: contexts, `[residues, value width]`, and weights, `[queries, keys]`.
    fn attend(
        &self,
        base: &Tensor,
        values: &Tensor,
        kept: &[bool],
        rotary: &Rotary,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let (residues, width) = base.dims2()?;
        let turned = |part: usize| -> Result<Tensor, ReferenceError> {
            let factors = self.factors[part * width..].iter().zip(&self.shifts[part * width..]);
            let mut x = to_vec(base)?;
            for row in x.chunks_exact_mut(width) {
                row.iter_mut().zip(factors.clone()).for_each(|(v, (factor, shift))| *v = *v * factor + shift);
            }
            rotary.turn(&mut x);
            Ok(Tensor::from_vec(x, (residues, width), &Device::Cpu)?)
        };
        let keys = kept.iter().filter(|&&kept| kept).count();
        let scale = (keys as f64).max(4e-5).ln() / (TUNED_AT.ln() * (width as f64).sqrt());
        let farthest = (self.offsets.len() / 2) as i64;
        let offset = |query: usize, key: usize| {
            let offset = (key as i64 - query as i64).clamp(-farthest, farthest) + farthest;
            self.offsets.get(offset as usize).copied().unwrap_or_default()
        };
        let products = turned(0)?.matmul(&turned(1)?.t()?)?;
        let logits: Vec<f32> = with_values(&products, |products| {
            let each = products.chunks_exact(residues).enumerate();
            each.flat_map(|(query, row)| {
                row.iter().zip(kept).enumerate().map(move |(key, (&product, &kept))| {
                    let logit = product * scale as f32 + offset(query, key);
                    if kept { logit } else { logit + NO_KEY }
                })
            })
            .collect()
        })?;
        let weights = softmax_last(Tensor::from_vec(logits, (residues, residues), &Device::Cpu)?)?;
        Ok((weights.matmul(values)?, weights))
    }
}
