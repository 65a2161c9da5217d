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

/// A product of two activations, rounded half up, saturating.
#[inline]
pub fn multiply(a: i32, b: i32) -> i32 {
    let half = 1 << (fixed::ACT_FRAC - 1);
    let product = (i64::from(a) * i64::from(b) + half) >> fixed::ACT_FRAC;
    i32::try_from(product).unwrap_or_else(|_| extreme(product))
}

/// The value nearest to what none is. A call, since vectors without 64-bit products, shifts and comparisons
/// take three times as many instructions.
#[cold]
#[inline(never)]
fn extreme(value: i64) -> i32 {
    if value < 0 { i32::MIN } else { i32::MAX }
}
