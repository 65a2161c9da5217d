//! Products of attention weights and values, two keys at a time.

use super::vectors::Vectors;
use crate::kernels::linear::PANEL;

/// Pairs of keys, with their weights.
#[derive(Clone, Copy)]
pub struct Pairs<'p> {
    /// How many.
    pub count: usize,
    /// `[count, row_len]`, each channel's two values together.
    pub values: &'p [i8],
    /// Values of a pair.
    pub row_len: usize,
    /// Where in a pair's values the first of the channels is.
    pub at: usize,
    /// Two weights each: that of pair p for row r lies at `r * stride + p`.
    pub weights: &'p [i32],
    /// Pairs of weights from one row to the next.
    pub stride: usize,
}

impl Pairs<'_> {
    /// Whether `rows` rows have weights for all pairs.
    #[inline(always)]
    pub const fn have_weights(&self, rows: usize) -> bool {
        self.weights.len() >= (rows - 1) * self.stride + self.count
    }

    /// [`Loops::add_pairs`](super::loops::Loops::add_pairs), in whatever instructions.
    #[inline(always)]
    pub fn add<V: Vectors, const R: usize, const W: usize>(self, v: V, sums: &mut [[V::Context; W]; R]) {
        if !self.have_weights(R) {
            return;
        }
        let mut acc = *sums;
        for (pair, values) in self.values.chunks_exact(self.row_len).take(self.count).enumerate() {
            let values = &values[self.at..];
            let mut vectors = [v.values(values); W];
            for (index, vector) in vectors.iter_mut().enumerate().skip(1) {
                *vector = v.values(&values[index * 2 * PANEL..]);
            }
            for (row, acc) in acc.iter_mut().enumerate() {
                // SAFETY: there are as many weights as the last row's last pair is at.
                let weights = unsafe { *self.weights.get_unchecked(row * self.stride + pair) };
                for (acc, &vector) in acc.iter_mut().zip(&vectors) {
                    *acc = v.add_values(*acc, vector, bytemuck::cast(weights));
                }
            }
        }
        *sums = acc;
    }
}
