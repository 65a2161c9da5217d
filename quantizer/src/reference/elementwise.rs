//! Functions of single values, on all threads: candle and libm take them one at a time, and a folding model
//! has more of them than of anything else between its matrix products.
//!
//! The approximations are written without branches, so that the compiler computes several values at once.
//! Their coefficients are least-squares fits of this project, the error weighted to be even.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ReferenceError;
use super::ops::{CHUNK, in_place, with_values};
use crate::vectorised::vectorised;

/// `e^x`, with a relative error below 2e-7; x below -87 gives `e^-87`, x above 88 `e^88`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: what is added to it is rounded to whole numbers, which are its lowest bits then.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of few enough bits that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const P: [f32; 5] = [1.375_115_1e-3, 8.368_988e-3, 4.166_954_4e-2, 1.666_651_8e-1, 4.999_998_8e-1];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = x - power * LN_2[0] - power * LN_2[1];
    let series = P.into_iter().fold(0.0, |sum, p| sum * rest + p);
    let mantissa = (series * rest + 1.0) * rest + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

/// The error function, with a relative error below 4e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    // From here on it is 1 in single precision.
    const ONE: f32 = 3.92;
    const P: [f32; 7] = [
        -1.279_927_8e-8,
        4.609_12e-6,
        3.767_554_6e-4,
        3.838_646_5e-3,
        5.424_400_8e-2,
        1.851_361_8e-1,
        std::f32::consts::FRAC_2_SQRT_PI,
    ];
    const Q: [f32; 6] = [6.239_81e-5, 1.301_525e-3, 1.543_008_4e-2, 1.138_740_5e-1, 4.974_060_7e-1, 1.0];
    let x = x.clamp(-ONE, ONE);
    let square = x * x;
    let horner = |coefficients: &[f32]| coefficients.iter().fold(0.0, |sum, c| sum * square + c);
    x * horner(&P) / horner(&Q)
}

/// `x * Phi(x)`, in place.
#[inline(always)]
fn gelu_values(values: &mut [f32]) {
    for v in values {
        *v *= 0.5 + 0.5 * erf(*v * std::f32::consts::FRAC_1_SQRT_2);
    }
}

/// GELU by the error function, value by value, in place.
pub fn gelu(x: Tensor) -> Result<Tensor, ReferenceError> {
    in_place(x, |values| {
        values.par_chunks_mut(CHUNK).for_each(|values| vectorised(|| gelu_values(values)));
    })
}

/// SiLU, `x * sigmoid(x)`, value by value, in place.
pub fn silu(x: Tensor) -> Result<Tensor, ReferenceError> {
    in_place(x, |values| {
        let silu = |values: &mut [f32]| values.iter_mut().for_each(|v| *v /= 1.0 + exp(-*v));
        values.par_chunks_mut(CHUNK).for_each(|values| vectorised(|| silu(values)));
    })
}

/// `x * sigmoid(gate)`, value by value, in the memory of `x`.
pub fn gated(x: Tensor, gate: &Tensor) -> Result<Tensor, ReferenceError> {
    with_values(gate, |gate| {
        in_place(x, |values| {
            values.par_chunks_mut(CHUNK).zip(gate.par_chunks(CHUNK)).for_each(|(values, gate)| {
                vectorised(|| values.iter_mut().zip(gate).for_each(|(v, &gate)| *v /= 1.0 + exp(-gate)));
            });
        })
    })?
}

/// Softmax of one row.
fn softmax(row: &mut [f32]) {
    vectorised(|| softmax_values(row));
}

#[inline(always)]
fn softmax_values(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|v| *v = exp(*v - largest));
    let sum: f64 = row.iter().map(|&v| f64::from(v)).sum();
    let scale = (1.0 / sum) as f32;
    row.iter_mut().for_each(|v| *v *= scale);
}

/// Softmax over the last dimension, in place.
pub fn softmax_last(logits: Tensor) -> Result<Tensor, ReferenceError> {
    let width = logits.dims().last().copied().unwrap_or(1).max(1);
    in_place(logits, |values| {
        values.par_chunks_mut(width).with_min_len(CHUNK / width + 1).for_each(softmax);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ops::to_vec;
    use candle_core::Device;

    /// Steps from one end to the other, and both.
    fn range(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=200_000).map(move |i| from + (to - from) * i as f32 / 200_000.0)
    }

    #[test]
    fn exponentials_are_near() {
        for x in range(-87.0, 88.0) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2e-7 * exact, "{x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(f32::NAN).is_nan() && exp(0.0) == 1.0);
    }

    #[test]
    fn error_functions_are_near() {
        for x in range(-6.0, 6.0) {
            let exact = libm::erf(x.into());
            assert!((f64::from(erf(x)) - exact).abs() <= 4e-7 * exact.abs() + 1e-30, "{x}");
        }
        assert!(erf(f32::INFINITY) > 0.999_999_9 && erf(f32::NAN).is_nan());
    }

    #[test]
    fn tensors_keep_their_shapes() {
        let x = Tensor::from_vec(vec![0.0f32, 1.0, -2.0, 3.0, 0.5, -0.25], (2, 3), &Device::Cpu).unwrap();
        let again = || x.copy().unwrap();
        let gelu = to_vec(&gelu(again()).unwrap()).unwrap();
        assert!((gelu[1] - 0.841_344_7).abs() < 1e-6 && (gelu[2] + 0.045_500_26).abs() < 1e-6);
        let gated = gated(again(), &x).unwrap();
        assert_eq!(gated.dims(), [2, 3]);
        assert!((to_vec(&gated).unwrap()[3] - 2.857_722_2).abs() < 1e-6);
        assert_eq!(to_vec(&silu(again()).unwrap()).unwrap(), to_vec(&gated).unwrap());
        let rows = to_vec(&softmax_last(again()).unwrap()).unwrap();
        assert!(rows.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn softmax_sums_to_one_far_from_zero() {
        let mut row = [1000.0, 1001.0, 900.0];
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((row[1] / row[0] - std::f32::consts::E).abs() < 1e-5);
    }
}
