//! Scores on their way to weights.

use crate::kernels::attention::RowLogits;
use crate::kernels::scalar::attention::{scaled_weight, softmax};

/// Keys whose scores are worked on at a time.
pub const KEYS: usize = 32;

/// Weights, or scales, of so many keys.
pub type Weights = [i16; KEYS];

/// Rows of scores and what is made of them.
pub struct SoftmaxRows<'w> {
    /// `[rows, stride]`: scores, or logits; then two scaled weights to a score, up to the end of the last
    /// [`KEYS`].
    pub scores: &'w mut [i32],
    /// Out: weights, `[rows, stride]`. Beyond the keys nothing is meant.
    pub weights: &'w mut [i16],
    /// A multiple of [`KEYS`].
    pub stride: usize,
    /// At most `stride`.
    pub keys: usize,
    /// One a key, or more.
    pub value_scale: &'w [i16],
}

impl SoftmaxRows<'_> {
    /// A row's scores and weights, whole [`KEYS`].
    #[inline(always)]
    pub fn row(&mut self, row: usize) -> (&mut [i32], &mut [i16]) {
        let (at, end) = (row * self.stride, self.keys.next_multiple_of(KEYS));
        (&mut self.scores[at..][..end], &mut self.weights[at..][..end])
    }

    /// The value scales of the last [`KEYS`]: 0 where there is no key.
    #[inline(always)]
    pub fn last_scales(&self) -> Weights {
        let mut scales = [0; KEYS];
        let last = &self.value_scale[..self.keys][self.keys.saturating_sub(1) / KEYS * KEYS..];
        scales.iter_mut().zip(last).for_each(|(to, &scale)| *to = scale);
        scales
    }

    /// A row by the specification; returns the sum of its weights.
    #[cold]
    pub fn softmax_as_specified(&mut self, row: usize, logits: RowLogits) -> u32 {
        let (keys, value_scale) = (self.keys, self.value_scale);
        let (scores, weights) = self.row(row);
        let weights = &mut weights[..keys];
        let sum = softmax(scores, logits, weights);
        let scaled: &mut [i16] = bytemuck::cast_slice_mut(scores);
        scaled[..keys.next_multiple_of(KEYS)].fill(0);
        for ((scaled, &weight), &scale) in scaled.iter_mut().zip(&*weights).zip(value_scale) {
            *scaled = scaled_weight(weight, scale);
        }
        sum
    }
}
