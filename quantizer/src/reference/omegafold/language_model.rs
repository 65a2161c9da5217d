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
pub const TUNED_AT: f64 = 512.0;

/// How far each of `pairs` rotary pairs turns from one position to the next, in radians.
pub fn frequencies(pairs: usize) -> Vec<f64> {
    (0..pairs).map(|c| 10_000f64.powf(-(c as f64) / pairs as f64)).collect()
}

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

/// A sequence and its pseudo-MSA between two layers.
pub struct Stream {
    /// The residual stream, `[rows * residues, width]`.
    pub x: Tensor,
    /// The sum of all rows' attention maps in each layer so far, `[residues * residues]`.
    pub maps: Vec<Tensor>,
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
    /// `[vocab, width]`
    pub(super) embedding: Tensor,
    pub(super) norm: LayerNorm,
}

/// One layer.
pub struct Layer {
    index: usize,
    /// On the residual stream.
    pub norm: LayerNorm,
    /// `[value width, width]`, before SiLU.
    pub gate: Linear,
    /// Values and the base of queries and keys, `[value width + head width, width]`, before SiLU.
    pub projections: Linear,
    /// Factors of queries and of keys, then what is added to either: `[4, head width]`.
    pub query_key: Tensor,
    /// What is added to the logits at each offset from query to key, from the lowest on.
    pub positions: Tensor,
    /// `[width, value width]`.
    pub output: Linear,
}

impl<'c> LanguageModel<'c> {
    /// Reads the embedding and the last LayerNorm.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &'c OmegaFold) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("omega_plm");
        let (embedding, norm) = (weights.tensor("input_embedding.weight")?, weights.norm("output_norm")?);
        Ok(Self { weights, config: checkpoint.config(), embedding, norm })
    }

    /// Runs all layers.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn forward(&self, rows: Rows<'_>, tap: &mut Tap<'_>) -> Result<Features, ReferenceError> {
        let mut stream = self.begin(rows)?;
        for index in 0..self.config.layers {
            self.layer(index)?.forward(&mut stream, rows, tap)?;
        }
        self.finish(&stream, rows, tap)
    }

    /// Embeds every row.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn begin(&self, rows: Rows<'_>) -> Result<Stream, ReferenceError> {
        let x = Tensor::from_vec(self.embed(rows)?, (rows.kept.len(), self.config.width), &Device::Cpu)?;
        Ok(Stream { x, maps: Vec::with_capacity(self.config.layers) })
    }

    /// Reads layer `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn layer(&self, index: usize) -> Result<Layer, ReferenceError> {
        Layer::load(&self.weights_of(index), self.config, index)
    }

    /// [`Layer::query_key`] of layer `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub(super) fn query_key(&self, index: usize) -> Result<Tensor, ReferenceError> {
        query_key(&self.weights_of(index))
    }

    fn weights_of(&self, layer: usize) -> Weights<'c> {
        self.weights.at(format_args!("layers.{layer}.gau"))
    }

    /// What comes after the last layer.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn finish(
        &self,
        stream: &Stream,
        rows: Rows<'_>,
        tap: &mut Tap<'_>,
    ) -> Result<Features, ReferenceError> {
        let with_keys = rows.each().filter(|row| row.contains(&true)).count();
        let maps = Tensor::stack(&stream.maps, 1)?.affine(1.0 / (with_keys as f64 + 1e-5), 0.0)?;
        tap.show("norm", &stream.x)?;
        Ok(Features { node: self.norm.forward(&stream.x)?, maps })
    }

    /// Every row's tokens. The dropout's factor counts masked residues against those that are kept.
    fn embed(&self, rows: Rows<'_>) -> Result<Vec<f32>, ReferenceError> {
        let width = self.config.width;
        let embedding = to_vec(&self.embedding)?;
        let token = |number: usize| embedding.chunks_exact(width).nth(number).unwrap_or_default();
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
        Ok(values)
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, config: &OmegaFoldConfig, index: usize) -> Result<Self, ReferenceError> {
        let (joined, values) = (weights.linear("gva_proj.0")?, config.value_width);
        let part = |first: usize, count: usize| -> Result<Linear, ReferenceError> {
            let part = |x: &Tensor| x.narrow(0, first, count)?.contiguous();
            Ok(Linear { weight: part(&joined.weight)?, bias: part(&joined.bias)? })
        };
        Ok(Self {
            index,
            norm: plain(config.width),
            gate: part(0, values)?,
            projections: part(values, values + config.head_width)?,
            query_key: query_key(weights)?,
            positions: weights.tensor("relpos.weight")?.flatten_all()?,
            output: weights.linear("output_proj")?,
        })
    }

    /// Runs `stream` through this layer.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        stream: &mut Stream,
        rows: Rows<'_>,
        tap: &mut Tap<'_>,
    ) -> Result<(), ReferenceError> {
        let residues = rows.residues.len();
        let mut tap = tap.at(format_args!("layers.{}", self.index));
        tap.show("norm", &stream.x)?;
        let y = self.norm.forward(&stream.x)?;
        tap.show("projections", &y)?;
        let gates = silu(self.gate.forward(&y)?)?;
        let y = silu(self.projections.forward(&y)?)?;
        let (_, value_width) = self.output.shape()?;
        let values = y.narrow(1, 0, value_width)?;
        let base = y.narrow(1, value_width, self.query_key.dims2()?.1)?;
        let scaling = Scaling::new(self, residues)?;
        let each: Vec<(usize, &[bool])> = rows.each().enumerate().collect();
        let attended = each.into_par_iter().map(|(row, kept)| {
            let part = |x: &Tensor| x.narrow(0, row * residues, residues)?.contiguous();
            scaling.attend(&part(&base)?, &part(&values)?, kept)
        });
        let attended = attended.collect::<Result<Vec<_>, ReferenceError>>()?;
        let mut map = Tensor::zeros((residues, residues), candle_core::DType::F32, &Device::Cpu)?;
        let mut contexts = Vec::with_capacity(attended.len());
        for (context, weights) in attended {
            map = (map + weights)?;
            contexts.push(context);
        }
        let y = (Tensor::cat(&contexts, 0)? * gates)?;
        tap.show("output", &y)?;
        stream.x = (&stream.x + self.output.forward(&y)?)?;
        stream.maps.push(map.flatten_all()?);
        Ok(())
    }
}

fn query_key(weights: &Weights<'_>) -> Result<Tensor, ReferenceError> {
    let [factors, shifts] =
        ["weight", "bias"].map(|part| weights.tensor(&format!("multi_headed_scaling.{part}")));
    Ok(Tensor::cat(&[factors?, shifts?], 0)?)
}

/// What becomes queries, keys and logits in a layer.
struct Scaling {
    /// `[4, head width]`
    query_key: Vec<f32>,
    positions: Vec<f32>,
    rotary: Rotary,
}

impl Scaling {
    fn new(layer: &Layer, residues: usize) -> Result<Self, ReferenceError> {
        let half = layer.query_key.dims2()?.1 / 2;
        Ok(Self {
            query_key: to_vec(&layer.query_key)?,
            positions: to_vec(&layer.positions)?,
            rotary: Rotary::new(residues, &frequencies(half)),
        })
    }

    /// Attention within a row: contexts, `[residues, value width]`, and weights, `[queries, keys]`.
    fn attend(
        &self,
        base: &Tensor,
        values: &Tensor,
        kept: &[bool],
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let (residues, width) = base.dims2()?;
        let turned = |part: usize| -> Result<Tensor, ReferenceError> {
            let (factors, shifts) = self.query_key.split_at(2 * width);
            let factors = factors[part * width..].iter().zip(&shifts[part * width..]);
            let mut x = to_vec(base)?;
            for row in x.chunks_exact_mut(width) {
                row.iter_mut().zip(factors.clone()).for_each(|(v, (factor, shift))| *v = *v * factor + shift);
            }
            self.rotary.turn(&mut x);
            Ok(Tensor::from_vec(x, (residues, width), &Device::Cpu)?)
        };
        let keys = kept.iter().filter(|&&kept| kept).count();
        let scale = (keys as f64).max(4e-5).ln() / (TUNED_AT.ln() * (width as f64).sqrt());
        let farthest = (self.positions.len() / 2) as i64;
        let offset = |query: usize, key: usize| {
            let offset = (key as i64 - query as i64).clamp(-farthest, farthest) + farthest;
            self.positions.get(offset as usize).copied().unwrap_or_default()
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
