//! Activation functions.

use crate::fixed;

/// GELU of every value, in activation units, in place.
pub fn gelu(values: &mut [i32]) {
    values.iter_mut().for_each(|value| *value = fixed::gelu(*value));
}
