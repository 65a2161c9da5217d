//! Weight rounding that makes up for itself.
//!
//! Rounding each weight to nearest minimises the error of the weights; what counts is the error of the
//! outputs on real inputs, whose channels are correlated. Columns are rounded one after another, and the
//! error made so far is carried, as far as the inputs' correlations allow, into the columns still to come.
//!
//! Source: QuIP (Chee et al. 2023, arXiv 2307.13304), section 3, "LDLQ", equivalent to GPTQ (arXiv
//! 2210.17323): with H = X^T X = (U + I) D (U + I)^T and U strictly upper, column k is rounded from `w_k +
//! sum_{j<k} (w_j - rounded_j) U[j][k]`.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::{matmul, triangular, triangular::BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par, Spec};
use rayon::prelude::*;

use super::EncodeError;
use crate::vectorised::vectorised;

/// Added to H's diagonal, as a part of its mean: keeps the factors small where samples say little.
const DAMPING: f64 = 0.01;

/// Columns that are rounded before their errors are carried, all at once, into those still to come.
const BLOCK: usize = 128;

/// Rows that are rounded side by side.
const LANES: usize = 16;

/// What is carried of a site's input channels: the factor U.
pub struct Feedback {
    /// `[channels, channels]` with channels in reverse: below its diagonal is what column k, counted from the
    /// end, carries into those after it, so that a Cholesky factor is what it is.
    lower: Mat<f32>,
}

impl Feedback {
    /// From sampled inputs, `[rows, channels]`.
    ///
    /// # Errors
    /// The samples are no numbers.
    pub fn new(samples: &[f32], channels: usize) -> Result<Self, EncodeError> {
        let mut reversed = vec![0.0f32; samples.len()];
        let rows = reversed.par_chunks_exact_mut(channels).zip(samples.par_chunks_exact(channels));
        rows.for_each(|(to, from)| to.iter_mut().zip(from.iter().rev()).for_each(|(to, &from)| *to = from));
        let x = MatRef::from_row_major_slice(&reversed, reversed.len() / channels.max(1), channels);
        let mut gram = Mat::<f32>::zeros(channels, channels);
        let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        triangular::matmul(
            &mut gram,
            lower,
            Accum::Replace,
            x.transpose(),
            whole,
            x,
            whole,
            1.0,
            Par::rayon(0),
        );
        let mean = (0..channels).map(|c| f64::from(gram[(c, c)])).sum::<f64>() / channels.max(1) as f64;
        let damping = DAMPING * mean + f64::MIN_POSITIVE;
        let mut h = Mat::<f64>::zeros(channels, channels);
        h.par_col_iter_mut().zip(gram.par_col_iter()).enumerate().for_each(|(c, (mut to, from))| {
            to.as_mut().iter_mut().zip(from.iter()).skip(c).for_each(|(to, &from)| *to = from.into());
            to[c] += damping;
        });
        factor(h.as_mut())?;
        let mut lower = gram;
        lower.par_col_iter_mut().zip(h.par_col_iter()).enumerate().for_each(|(c, (to, from))| {
            let per_diagonal = 1.0 / from[c];
            to.iter_mut().zip(from.iter()).skip(c).for_each(|(to, &from)| *to = (from * per_diagonal) as f32);
        });
        Ok(Self { lower })
    }

    /// Codes of rows of weights, `[rows, channels]`, each at its scale.
    pub fn round(&self, weights: &[f32], scales: &[f64]) -> Vec<i8> {
        let (rows, channels) = (scales.len(), self.lower.ncols());
        // Channels in reverse, from here to the end.
        let mut codes = vec![0; rows * channels];
        let mut carried = vec![0.0f32; rows * channels];
        let mut errors = vec![0.0f32; rows * BLOCK];
        let mut last = channels;
        while last > 0 {
            let first = last.saturating_sub(BLOCK);
            let count = last - first;
            let inside: Vec<f32> = (first..last)
                .flat_map(|k| (first..last).map(move |c| (k, c)))
                .map(|at| self.lower[at])
                .collect();
            let each = codes.par_chunks_mut(LANES * channels).zip(carried.par_chunks_mut(LANES * channels));
            let each = each.zip(errors.par_chunks_mut(LANES * BLOCK));
            let each = each.zip(weights.par_chunks(LANES * channels)).zip(scales.par_chunks(LANES));
            each.for_each(|((((codes, carried), errors), weights), scales)| {
                let mut block = Block::new();
                for (lane, weights) in weights.chunks_exact(channels).enumerate() {
                    block.load(lane, &weights[channels - last..channels - first], scales[lane]);
                }
                for (lane, carried) in carried.chunks_exact(channels).enumerate() {
                    block.carry(lane, &carried[first..last]);
                }
                vectorised(|| block.round(&inside, count));
                for (lane, codes) in codes.chunks_exact_mut(channels).enumerate() {
                    block.store(lane, &mut codes[first..last], &mut errors[lane * BLOCK..][..count]);
                }
            });
            let errors = MatRef::from_row_major_slice(&errors, rows, BLOCK).get(.., ..count);
            let mut later =
                MatMut::from_row_major_slice_mut(&mut carried, rows, channels).get_mut(.., ..first);
            let factor = self.lower.as_ref().get(first..last, ..first);
            matmul(&mut later, Accum::Add, errors, factor, 1.0, Par::rayon(0));
            last = first;
        }
        codes.par_chunks_exact_mut(channels.max(1)).for_each(<[i8]>::reverse);
        codes
    }
}

/// A block of columns of some rows, the last column first. Rows are lanes: they have nothing to do with each
/// other, where a row's next weight has to wait for the error of the one before.
struct Block {
    weights: [[f32; LANES]; BLOCK],
    /// What earlier columns carry into each.
    carried: [[f32; LANES]; BLOCK],
    errors: [[f32; LANES]; BLOCK],
    codes: [[i8; LANES]; BLOCK],
    scales: [f64; LANES],
}

impl Block {
    fn new() -> Self {
        let zeros = [[0.0; LANES]; BLOCK];
        Self {
            weights: zeros,
            carried: zeros,
            errors: zeros,
            codes: [[0; LANES]; BLOCK],
            scales: [1.0; LANES],
        }
    }

    /// The weights of a row, the first column first.
    fn load(&mut self, lane: usize, weights: &[f32], scale: f64) {
        let columns = self.weights[..weights.len()].iter_mut().rev();
        columns.zip(weights).for_each(|(column, &weight)| column[lane] = weight);
        self.scales[lane] = scale;
    }

    fn carry(&mut self, lane: usize, carried: &[f32]) {
        self.carried.iter_mut().zip(carried).for_each(|(column, &carried)| column[lane] = carried);
    }

    /// Rounds `count` columns; `inside` is the factor within the block.
    #[inline(always)]
    fn round(&mut self, inside: &[f32], count: usize) {
        let Self { weights, carried, errors, codes, scales } = self;
        for k in (0..count).rev() {
            let (before, own) = carried.split_at_mut(k);
            for lane in 0..LANES {
                let steps = f64::from(weights[k][lane] + own[0][lane]) / scales[lane];
                // To nearest, half away from zero, as `f64::round`, which compilers take one by one.
                let code = (steps.abs() + 0.5).floor().min(127.0).copysign(steps);
                codes[k][lane] = code as i8;
                errors[k][lane] = (f64::from(weights[k][lane]) - code * scales[lane]) as f32;
            }
            for (carried, u) in before.iter_mut().zip(&inside[k * count..]) {
                carried.iter_mut().zip(&errors[k]).for_each(|(carried, error)| *carried += error * u);
            }
        }
    }

    fn store(&self, lane: usize, codes: &mut [i8], errors: &mut [f32]) {
        codes.iter_mut().zip(&self.codes).for_each(|(to, column)| *to = column[lane]);
        errors.iter_mut().zip(&self.errors).for_each(|(to, column)| *to = column[lane]);
    }
}

/// Overwrites the lower triangle of the symmetric `h` with that of L in h = L L^T.
fn factor(h: MatMut<'_, f64>) -> Result<(), EncodeError> {
    let (channels, par) = (h.ncols(), Par::rayon(0));
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(channels, par, Spec::default()));
    let stack = MemStack::new(&mut memory);
    cholesky_in_place(h, LltRegularization::default(), par, stack, Spec::default())
        .map_err(|_| EncodeError::Samples)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Correlated inputs: every channel is a mix of a few hidden ones, and a little of its own.
    fn inputs(rows: usize, channels: usize) -> Vec<f32> {
        let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        let value = |r: usize, c: usize| {
            let mixed: f32 = (0..3).map(|m| noise(r * 31 + m) * noise(c * 17 + m + 5)).sum();
            4.0 * mixed + 0.2 * noise(r * 57 + c)
        };
        (0..rows * channels).map(|i| value(i / channels, i % channels)).collect()
    }

    /// What column k, from the first, carries into a later one, as the source has it: one step after another.
    fn upper(h: &[f64], n: usize) -> Vec<f64> {
        let mut h = h.to_vec();
        for k in (0..n).rev() {
            let column: Vec<f64> = (0..k).map(|i| h[i * n + k]).collect();
            for (i, &value) in column.iter().enumerate() {
                let u = value / h[k * n + k];
                (i..k).for_each(|j| h[i * n + j] -= u * column[j]);
                h[i * n + k] = u;
            }
        }
        h
    }

    /// Codes of a row, column by column, as the source has it.
    fn one_by_one(upper: &[f64], weights: &[f32], scale: f64) -> Vec<f64> {
        let mut carried = vec![0.0; weights.len()];
        let mut codes = Vec::new();
        for (k, &weight) in weights.iter().enumerate() {
            let code = ((f64::from(weight) + carried[k]) / scale).round().clamp(-127.0, 127.0);
            let error = f64::from(weight) - code * scale;
            (k + 1..weights.len()).for_each(|c| carried[c] += error * upper[k * weights.len() + c]);
            codes.push(code);
        }
        codes
    }

    #[test]
    fn blocks_round_as_single_columns_do() {
        let (rows, scales) = (300, [0.004, 0.02, 0.0077]);
        for channels in [1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 39] {
            let x = inputs(rows, channels);
            let gram = |i: usize, j: usize| {
                (0..rows)
                    .map(|r| f64::from(x[r * channels + i]) * f64::from(x[r * channels + j]))
                    .sum::<f64>()
            };
            let mean = (0..channels).map(|c| gram(c, c)).sum::<f64>() / channels as f64;
            let h: Vec<f64> = (0..channels * channels)
                .map(|i| (i / channels, i % channels))
                .map(|(i, j)| gram(i, j) + if i == j { DAMPING * mean } else { 0.0 })
                .collect();
            let upper = upper(&h, channels);
            let weights: Vec<f32> =
                (0..3 * channels).map(|i| ((i * 37) % 1009) as f32 / 2018.0 - 0.25).collect();
            let codes = Feedback::new(&x, channels).unwrap().round(&weights, &scales);
            let mut other = 0;
            for ((weights, codes), scale) in weights.chunks(channels).zip(codes.chunks(channels)).zip(scales)
            {
                let expected = one_by_one(&upper, weights, scale);
                other += expected.iter().zip(codes).filter(|(e, c)| **e != f64::from(**c)).count();
            }
            // Where a value lies halfway, single precision may round it the other way, and what follows too.
            assert!(other * 100 <= codes.len(), "{other} of {} differ", codes.len());
        }
    }

    #[test]
    fn samples_that_are_no_numbers_are_refused() {
        assert!(matches!(Feedback::new(&[1.0, f32::NAN, 2.0, 3.0], 2), Err(EncodeError::Samples)));
        assert!(Feedback::new(&[0.0; 8], 4).is_ok());
    }

    #[test]
    fn outputs_are_nearer_than_with_rounding_to_nearest() {
        let (rows, channels, scale) = (200, 24, 0.05);
        let x = inputs(rows, channels);
        let weights: Vec<f32> = (0..channels).map(|c| ((c * 37) % 23) as f32 / 23.0 - 0.47).collect();
        let feedback = Feedback::new(&x, channels).unwrap();
        let error = |codes: &[i8]| {
            let row = |x: &[f32]| {
                let parts = x.iter().zip(&weights).zip(codes);
                parts.map(|((x, w), &c)| f64::from(*x) * (f64::from(*w) - f64::from(c) * scale)).sum::<f64>()
            };
            x.chunks(channels).map(|x| row(x).powi(2)).sum::<f64>()
        };
        let nearest: Vec<i8> = weights.iter().map(|&w| (f64::from(w) / scale).round() as i8).collect();
        let (compensated, nearest) = (error(&feedback.round(&weights, &[scale])), error(&nearest));
        assert!(compensated < 0.5 * nearest, "{compensated} {nearest}");
    }
}
