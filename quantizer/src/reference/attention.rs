//! Self-attention with rotary positions.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::ReferenceError;
use super::elementwise::softmax_last;
use super::ops::with_values;

/// Sines and cosines of every position and frequency.
pub struct Rotary {
    head_width: usize,
    /// `[positions, head width / 2]` of (cosine, sine).
    turns: Vec<(f32, f32)>,
}

impl Rotary {
    /// For positions 0 to `positions - 1`. `frequencies` has one for each pair of a head's channels, in
    /// radians from one position to the next.
    pub fn new(positions: usize, frequencies: &[f64]) -> Self {
        let mut turns = Vec::with_capacity(positions * frequencies.len());
        for position in 0..positions {
            turns.extend(frequencies.iter().map(|frequency| {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (cos as f32, sin as f32)
            }));
        }
        Self { head_width: 2 * frequencies.len(), turns }
    }

    /// Turns the rows of one head, `[tokens, head width]`, in place. A pair is channel i and channel i + half
    /// the width.
    pub(super) fn turn(&self, head: &mut [f32]) {
        let pairs = self.head_width / 2;
        for (row, turns) in head.chunks_exact_mut(self.head_width).zip(self.turns.chunks_exact(pairs)) {
            let (first, second) = row.split_at_mut(pairs);
            for ((a, b), &(cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

/// Is called with a sequence's number, a head and its attention weights, `[tokens, tokens]`, rows being
/// queries.
pub type Map<'a> = dyn Fn(usize, usize, &[f32]) + Sync + 'a;

/// Attention over `qkv`, `[tokens, 3 * width]`: q, k and v of all heads side by side, of sequences one after
/// another that have as many tokens as `lengths` says. Returns `[tokens, width]`.
pub(super) fn attend(
    qkv: &Tensor,
    lengths: &[usize],
    heads: usize,
    rotary: &Rotary,
    map: &Map<'_>,
) -> Result<Tensor, ReferenceError> {
    let (tokens, channels) = qkv.dims2()?;
    let width = channels / 3;
    let mut attended = vec![0.0; tokens * width];
    with_values(qkv, |mut qkv| {
        let mut out = attended.as_mut_slice();
        let mut sequences = Vec::with_capacity(lengths.len());
        for (i, &length) in lengths.iter().enumerate() {
            let (rows, others) = qkv.split_at(length * channels);
            let (out_rows, out_others) = out.split_at_mut(length * width);
            sequences.push((i, Rows { qkv: rows, width, rotary }, out_rows));
            (qkv, out) = (others, out_others);
        }
        let one = |(i, rows, out): (usize, Rows<'_>, &mut [f32])| {
            rows.attend(heads, out, &mut |head, weights| map(i, head, weights))
        };
        sequences.into_par_iter().with_max_len(1).try_for_each(one)
    })??;
    Ok(Tensor::from_vec(attended, (tokens, width), &Device::Cpu)?)
}

/// The queries, keys and values of one sequence.
struct Rows<'a> {
    /// `[tokens, 3 * width]`
    qkv: &'a [f32],
    width: usize,
    rotary: &'a Rotary,
}

impl Rows<'_> {
    /// Fills `out`, `[tokens, width]`.
    fn attend(
        &self,
        heads: usize,
        out: &mut [f32],
        map: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), ReferenceError> {
        // As many at a time as there are threads: the longest sequence has the others' when they are done.
        let heads: Vec<usize> = (0..heads).collect();
        for some in heads.chunks(rayon::current_num_threads()) {
            let attended: Vec<_> =
                some.par_iter().map(|&head| self.head(head)).collect::<Result<_, ReferenceError>>()?;
            for (&head, (weights, context)) in some.iter().zip(&attended) {
                with_values(weights, |weights| map(head, weights))?;
                let head_width = self.rotary.head_width;
                with_values(context, |context| {
                    let rows = out.chunks_exact_mut(self.width).zip(context.chunks_exact(head_width));
                    rows.for_each(|(out, row)| out[head * head_width..][..head_width].copy_from_slice(row));
                })?;
            }
        }
        Ok(())
    }

    /// Attention weights of a head, `[tokens, tokens]`, and what it attends to, `[tokens, head width]`.
    fn head(&self, head: usize) -> Result<(Tensor, Tensor), ReferenceError> {
        let head_width = self.rotary.head_width;
        // The query is scaled before it is turned, as in training.
        let scale = (1.0 / (head_width as f64).sqrt()) as f32;
        let [mut q, mut k, v] =
            [0, self.width, 2 * self.width].map(|part| self.part(part + head * head_width));
        q.iter_mut().for_each(|q| *q *= scale);
        self.rotary.turn(&mut q);
        self.rotary.turn(&mut k);
        let shape = (self.qkv.len() / (3 * self.width), head_width);
        let [q, k, v] = [q, k, v].map(|part| Tensor::from_vec(part, shape, &Device::Cpu));
        let weights = softmax_last(q?.matmul(&k?.t()?)?)?;
        let context = weights.matmul(&v?)?;
        Ok((weights, context))
    }

    /// The channels of a head from `start` on: `[tokens, head width]`.
    fn part(&self, start: usize) -> Vec<f32> {
        let mut part = Vec::with_capacity(self.qkv.len() / (3 * self.width) * self.rotary.head_width);
        for row in self.qkv.chunks_exact(3 * self.width) {
            part.extend_from_slice(&row[start..start + self.rotary.head_width]);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_keeps_lengths_and_depends_on_distance_only() {
        let rotary = Rotary::new(8, &[1.0, 0.01]);
        let row = [0.5f32, -1.0, 2.0, 0.25];
        let mut rows = row.repeat(8);
        rotary.turn(&mut rows);
        let dot = |a: usize, b: usize| -> f32 { (0..4).map(|c| rows[4 * a + c] * rows[4 * b + c]).sum() };
        let norm: f32 = row.iter().map(|v| v * v).sum();
        assert_eq!(rows[..4], row);
        for i in 0..8 {
            assert!((dot(i, i) - norm).abs() < 1e-5);
        }
        assert!((dot(1, 3) - dot(5, 7)).abs() < 1e-5);
        assert!((dot(0, 1) - dot(0, 7)).abs() > 0.1);
    }
}
