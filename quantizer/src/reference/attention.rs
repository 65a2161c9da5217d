//! Self-attention with rotary positions.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::ReferenceError;
use super::elementwise::softmax;
use super::ops::{to_vec, with_values};

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
    let starts = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end - length)
    });
    let places: Vec<(usize, usize)> = starts.zip(lengths.iter().copied()).collect();
    let one = |(i, &(start, length))| {
        attend_in_one(&qkv.narrow(0, start, length)?, heads, rotary, &mut |head, weights| {
            map(i, head, weights)
        })
    };
    let outputs = places.par_iter().enumerate().with_max_len(1).map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&outputs, 0)?)
}

/// [`attend`] for one sequence.
fn attend_in_one(
    qkv: &Tensor,
    heads: usize,
    rotary: &Rotary,
    map: &mut dyn FnMut(usize, &[f32]),
) -> Result<Tensor, ReferenceError> {
    let (tokens, channels) = qkv.dims2()?;
    let (width, head_width) = (channels / 3, rotary.head_width);
    let scale = 1.0 / (head_width as f64).sqrt();
    let part = |start: usize| qkv.narrow(1, start, head_width)?.contiguous();
    let turned = |start: usize, scale: f64| -> Result<Tensor, ReferenceError> {
        // The query is scaled before it is turned, as in training.
        let mut values = to_vec(&part(start)?.affine(scale, 0.0)?)?;
        rotary.turn(&mut values);
        Ok(Tensor::from_vec(values, (tokens, head_width), &Device::Cpu)?)
    };
    let mut outputs = Vec::with_capacity(heads);
    for head in 0..heads {
        let start = head * head_width;
        let (q, k) = (turned(start, scale)?, turned(width + start, 1.0)?);
        let mut weights = with_values(&q.matmul(&k.t()?)?, <[f32]>::to_vec)?;
        weights.chunks_exact_mut(tokens).for_each(softmax);
        map(head, &weights);
        let weights = Tensor::from_vec(weights, (tokens, tokens), &Device::Cpu)?;
        outputs.push(weights.matmul(&part(2 * width + start)?)?);
    }
    Ok(Tensor::cat(&outputs, 1)?)
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
