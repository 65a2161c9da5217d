//! LayerNorm.

use crate::fixed::{ACT_FRAC, div_round, requantize, rsqrt};
use crate::kernels::rows::Rows;

/// Fractional bits of the gain.
pub const GAIN_FRAC: i32 = 20;

/// LayerNorm of rows: [`layer_norm`] for as many as there are whole rows, epsilons and whole rows of `y`.
pub fn layer_norm_rows(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
    let y = y.chunks_exact_mut(x.width.max(1));
    for ((x, &epsilon), y) in x.iter().zip(epsilons).zip(y) {
        layer_norm(x, gain, bias, epsilon, y);
    }
}

/// `y = (x - mean) / sqrt(variance + epsilon) * gain + bias` over one row.
///
/// `x`: any fixed unit, at most 2^23 in magnitude (beyond, the sum of squares may saturate and the row come
/// out too large); `epsilon`: in squares of x's unit; `gain`: unit 2^-20; `bias` and `y`: activation units.
/// Rows of up to 2^16 channels.
pub fn layer_norm(x: &[i32], gain: &[i32], bias: &[i32], epsilon: u64, y: &mut [i32]) {
    let (mean, rs) = statistics(x, epsilon);
    for (((y, &x), &gain), &bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
        let normal = requantize(x.saturating_sub(mean), rs.mantissa, rs.shift - ACT_FRAC as i32);
        *y = requantize(normal, gain, GAIN_FRAC).saturating_add(bias);
    }
}

/// The row's mean and the reciprocal of its standard deviation.
pub fn statistics(x: &[i32], epsilon: u64) -> (i32, crate::fixed::Multiplier) {
    let count = x.len().max(1) as i64;
    let sum: i64 = x.iter().map(|&x| i64::from(x)).sum();
    let mean = div_round(sum, count) as i32;
    let squares = x.iter().fold(0u64, |sum, &x| {
        let centred = i64::from(x.saturating_sub(mean)).unsigned_abs();
        sum.saturating_add(centred * centred)
    });
    let variance = squares.saturating_add(count as u64 / 2) / count as u64;
    (mean, rsqrt(variance.saturating_add(epsilon).max(1)))
}
