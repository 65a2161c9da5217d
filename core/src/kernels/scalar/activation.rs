//! Activation functions, gates, and residual streams.

use crate::fixed;

/// GELU of every value, in activation units, in place.
#[inline(always)]
pub fn gelu(values: &mut [i32]) {
    values.iter_mut().for_each(|value| *value = fixed::gelu(*value));
}

/// ReLU of every value in place: the larger of it and 0.
#[inline(always)]
pub fn relu(values: &mut [i32]) {
    values.iter_mut().for_each(|value| *value = (*value).max(0));
}

/// `x + update` in place, saturating. Values without an update stay.
#[inline(always)]
pub fn add(x: &mut [i32], update: &[i32]) {
    x.iter_mut().zip(update).for_each(|(x, &update)| *x = x.saturating_add(update));
}

/// `x * sigmoid(gate)` in place, rounded half up; `x` in any unit, `gate` in activation units. Values without
/// a gate stay.
pub fn gate(x: &mut [i32], gate: &[i32]) {
    for (x, &gate) in x.iter_mut().zip(gate) {
        // The sigmoid is 0 to 2^16, so the result is no larger than x.
        let product = i64::from(*x) * i64::from(fixed::sigmoid(gate));
        *x = ((product + (1 << (fixed::ACT_FRAC - 1))) >> fixed::ACT_FRAC) as i32;
    }
}
