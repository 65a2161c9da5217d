//! Attention between residues over channels, pairs and points in space, which does not change when all frames
//! are moved together (Jumper et al. 2021, supplement, algorithm 22).

use candle_core::{Device, Tensor};

use super::rigid::{Rigid, add, minus, scaled, squared_norm};
use crate::checkpoint::StructureConfig;
use crate::reference::elementwise::softmax_last;
use crate::reference::ops::{Linear, to_vec, with_values};
use crate::reference::{ReferenceError, Tap, Weights};

/// Invariant point attention. Points lie in the output of a Linear as the x of all points of all heads, then
/// y, then z.
pub struct InvariantPointAttention {
    pub(crate) heads: usize,
    pub(crate) head_width: usize,
    pub(crate) query_points: usize,
    pub(crate) value_points: usize,
    pub(crate) epsilon: f64,
    /// Queries: `[heads * head width, width]`.
    pub q: Linear,
    /// Keys and values: `[heads * 2 * head width, width]`, for each head the keys first.
    pub kv: Linear,
    /// Query points: `[3 * heads * query points, width]`.
    pub q_points: Linear,
    /// Key and value points: `[3 * heads * (query points + value points), width]`, for each head the keys
    /// first.
    pub kv_points: Linear,
    /// From pairs to logits: `[heads, pair width]`.
    pub pair_bias: Linear,
    /// What a squared distance between points counts in each head, before softplus.
    pub point_weights: Vec<f32>,
    /// `[width, heads * (head width + 4 * value points + pair width)]`: reads values, x, y, z and norm of
    /// points, pairs.
    pub output: Linear,
}

impl InvariantPointAttention {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>, config: &StructureConfig) -> Result<Self, ReferenceError> {
        let [q, kv, q_points, kv_points] = weights.linears("projections")?;
        let [point_weights] = weights.values("point_weights")?;
        Ok(Self {
            heads: config.heads,
            head_width: config.head_width,
            query_points: config.query_points,
            value_points: config.value_points,
            epsilon: config.epsilon,
            q,
            kv,
            q_points,
            kv_points,
            pair_bias: weights.linear("pair_bias")?,
            point_weights,
            // One Linear, which a model file has in parts.
            output: weights.linear("output.0")?,
        })
    }

    /// What is added to `sequence`, `[residues, width]`. `pair` is `[residues * residues, pair width]`;
    /// `frames` are the residues', in units of the structure module.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        pair: &Tensor,
        frames: &[Rigid],
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let residues = frames.len();
        let (_, pair_width) = pair.dims2()?;
        tap.show("projections", sequence)?;
        tap.show("pair_bias", pair)?;
        let by_head = |x: Tensor| x.transpose(0, 1)?.contiguous();
        let q = by_head(self.q.forward(sequence)?.reshape((residues, self.heads, self.head_width))?)?;
        let kv = by_head(self.kv.forward(sequence)?.reshape((residues, self.heads, 2 * self.head_width))?)?;
        let k = kv.narrow(2, 0, self.head_width)?.contiguous()?;
        let v = kv.narrow(2, self.head_width, self.head_width)?.contiguous()?;
        let query_points = self.points(&self.q_points.forward(sequence)?, frames)?;
        let other_points = self.points(&self.kv_points.forward(sequence)?, frames)?;

        let scalar = q.matmul(&k.t()?)?.affine((1.0 / (3.0 * self.head_width as f64)).sqrt(), 0.0)?;
        let bias = self.pair_bias.forward(pair)?.affine((1.0f64 / 3.0).sqrt(), 0.0)?;
        let bias = bias.t()?.contiguous()?.reshape((self.heads, residues, residues))?;
        let distances = self.point_logits(&query_points, &other_points, residues)?;
        let weights = softmax_last(((scalar + bias)? + distances)?)?;

        let values =
            weights.matmul(&v)?.transpose(0, 1)?.reshape((residues, self.heads * self.head_width))?;
        let points = self.value_points(&to_vec(&weights)?, &other_points, frames)?;
        let pairs = pair.reshape((residues, residues, pair_width))?;
        let pairs = weights.transpose(0, 1)?.contiguous()?.matmul(&pairs)?;
        let pairs = pairs.reshape((residues, self.heads * pair_width))?;
        let y = Tensor::cat(&[values, points, pairs], 1)?;
        tap.show("output", &y)?;
        self.output.forward(&y)
    }

    /// The points in a Linear's output, moved from their residue's frame into the world: residue by residue,
    /// head by head.
    fn points(&self, output: &Tensor, frames: &[Rigid]) -> Result<Vec<[f64; 3]>, ReferenceError> {
        let (_, channels) = output.dims2()?;
        let count = channels / 3;
        with_values(output, |values| {
            let rows = values.chunks_exact(channels).zip(frames);
            rows.flat_map(|(row, frame)| {
                (0..count).map(move |p| frame.apply([0, 1, 2].map(|axis| f64::from(row[axis * count + p]))))
            })
            .collect()
        })
    }

    /// What the distances between points add to the logits: `[heads, residues, residues]`.
    fn point_logits(
        &self,
        queries: &[[f64; 3]],
        others: &[[f64; 3]],
        residues: usize,
    ) -> Result<Tensor, ReferenceError> {
        let (heads, count) = (self.heads, self.query_points);
        let stride = count + self.value_points;
        let scale = (1.0 / (3.0 * (count as f64 * 9.0 / 2.0))).sqrt();
        let mut logits = Vec::with_capacity(heads * residues * residues);
        for (head, &weight) in self.point_weights.iter().enumerate() {
            let weight = -0.5 * f64::from(weight).exp().ln_1p() * scale;
            for i in 0..residues {
                let query = &queries[(i * heads + head) * count..][..count];
                for j in 0..residues {
                    let key = &others[(j * heads + head) * stride..][..count];
                    let sum: f64 = query.iter().zip(key).map(|(&q, &k)| squared_norm(minus(q, k))).sum();
                    logits.push((weight * sum) as f32);
                }
            }
        }
        Ok(Tensor::from_vec(logits, (heads, residues, residues), &Device::Cpu)?)
    }

    /// The mean value points of each residue in its own frame: `[residues, 4 * heads * value points]`, x, y,
    /// z and norm.
    fn value_points(
        &self,
        weights: &[f32],
        others: &[[f64; 3]],
        frames: &[Rigid],
    ) -> Result<Tensor, ReferenceError> {
        let (residues, heads, count) = (frames.len(), self.heads, self.value_points);
        let stride = self.query_points + count;
        let points = heads * count;
        let mut output = vec![0.0; residues * 4 * points];
        for (i, (row, frame)) in output.chunks_exact_mut(4 * points).zip(frames).enumerate() {
            for head in 0..heads {
                let weights = &weights[(head * residues + i) * residues..][..residues];
                for p in 0..count {
                    let mean = weights.iter().enumerate().fold([0.0; 3], |mean, (j, &weight)| {
                        let point = others[(j * heads + head) * stride + self.query_points + p];
                        add(mean, scaled(point, weight.into()))
                    });
                    let local = frame.invert_apply(mean);
                    let norm = (squared_norm(local) + self.epsilon).sqrt();
                    for (part, value) in local.into_iter().chain([norm]).enumerate() {
                        row[part * points + head * count + p] = value as f32;
                    }
                }
            }
        }
        Ok(Tensor::from_vec(output, (residues, 4 * points), &Device::Cpu)?)
    }
}
