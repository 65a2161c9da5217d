//! The specification against independent definitions: exact integers where it is exact, f64 with a stated
//! bound where it rounds.

mod activation;
mod attention;
mod bias;
mod linear;
mod product;
mod rows;

use crate::fixed::TokenScale;

/// A token scale as a real number.
fn real(scale: TokenScale) -> f64 {
    libm::ldexp(f64::from(scale.mantissa), scale.exponent.into())
}
