//! Weight rounding that makes up for itself.
//!
//! Rounding each weight to nearest minimises the error of the weights; what counts is the error of the
//! outputs on real inputs, whose channels are correlated. Columns are rounded one after another, and the
//! error made so far is carried, as far as the inputs' correlations allow, into the columns still to come.
//!
//! Source: QuIP (Chee et al. 2023, arXiv 2307.13304), section 3, "LDLQ", equivalent to GPTQ (arXiv
//! 2210.17323): with H = X^T X = (U + I) D (U + I)^T and U strictly upper, column k is rounded from `w_k +
//! sum_{j<k} (w_j - rounded_j) U[j][k]`.

use candle_core::{Device, Tensor};

use crate::reference::ReferenceError;

/// Added to H's diagonal, as a part of its mean: keeps the factors small where samples say little.
const DAMPING: f64 = 0.01;

/// The strictly upper factor U of a site's inputs, `[channels, channels]`, row-major.
pub struct Feedback {
    channels: usize,
    upper: Vec<f32>,
}

impl Feedback {
    /// From sampled inputs, `[rows, channels]`.
    ///
    /// # Errors
    /// The samples are not whole rows.
    pub fn new(samples: &[f32], channels: usize) -> Result<Self, ReferenceError> {
        let rows = samples.len() / channels.max(1);
        let x = Tensor::from_slice(samples, (rows, channels), &Device::Cpu)?;
        let gram: Vec<f32> = x.t()?.matmul(&x)?.flatten_all()?.to_vec1()?;
        let mut h: Vec<f64> = gram.into_iter().map(f64::from).collect();
        let mean = (0..channels).map(|c| h[c * channels + c]).sum::<f64>() / channels.max(1) as f64;
        for c in 0..channels {
            h[c * channels + c] += DAMPING * mean + f64::MIN_POSITIVE;
        }
        factor(&mut h, channels);
        Ok(Self { channels, upper: h.into_iter().map(|u| u as f32).collect() })
    }

    /// Codes of one row of weights at the given scale.
    pub fn round(&self, weights: &[f32], scale: f64) -> Vec<i8> {
        let mut carried = vec![0.0f32; self.channels];
        let mut codes = Vec::with_capacity(self.channels);
        for (k, (&weight, upper)) in
            weights.iter().zip(self.upper.chunks_exact(self.channels.max(1))).enumerate()
        {
            let code = (f64::from(weight + carried[k]) / scale).round().clamp(-127.0, 127.0);
            let error = (f64::from(weight) - code * scale) as f32;
            let later = carried[k + 1..].iter_mut().zip(&upper[k + 1..]);
            later.for_each(|(carried, u)| *carried += error * u);
            codes.push(code as i8);
        }
        codes
    }
}

/// Overwrites the strict upper triangle of the symmetric `h` (n x n) with that of U in h = (U + I) D (U +
/// I)^T.
fn factor(h: &mut [f64], n: usize) {
    // From the last column to the first: D and the column of U are what is left of h, then their product is
    // taken off.
    for k in (0..n).rev() {
        let diagonal = h[k * n + k].max(f64::MIN_POSITIVE);
        let column: Vec<f64> = (0..k).map(|i| h[i * n + k]).collect();
        for (i, &value) in column.iter().enumerate() {
            let u = value / diagonal;
            let row = &mut h[i * n..][..n];
            // Only the upper triangle is kept up to date.
            row[i..k].iter_mut().zip(&column[i..]).for_each(|(h, c)| *h -= u * c);
            row[k] = u;
        }
    }
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

    #[test]
    fn the_factors_multiply_to_the_matrix() {
        let n = 5;
        let x = inputs(40, n);
        let gram = |i: usize, j: usize| {
            (0..40).map(|r| f64::from(x[r * n + i]) * f64::from(x[r * n + j])).sum::<f64>()
        };
        let h: Vec<f64> = (0..n * n).map(|i| gram(i / n, i % n)).collect();
        let mut f = h.clone();
        factor(&mut f, n);
        let u = |i: usize, j: usize| match i.cmp(&j) {
            std::cmp::Ordering::Less => f[i * n + j],
            std::cmp::Ordering::Equal => 1.0,
            std::cmp::Ordering::Greater => 0.0,
        };
        for i in 0..n {
            for j in i..n {
                let product: f64 = (0..n).map(|k| u(i, k) * f[k * n + k] * u(j, k)).sum();
                assert!((product - h[i * n + j]).abs() < 1e-9, "{i} {j}");
            }
        }
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
        let (compensated, nearest) = (error(&feedback.round(&weights, scale)), error(&nearest));
        assert!(compensated < 0.5 * nearest, "{compensated} {nearest}");
    }
}
