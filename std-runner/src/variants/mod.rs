//! How a language model judges variants of a protein: differences of log probabilities of residues.
//!
//! Reference: Meier et al. 2021 (doi 10.1101/2021.07.09.450648), fair-esm's `examples/variant-prediction` and
//! ProteinGym's `compute_fitness`, whose three strategies and windows these are. [`Mutation`]s are written as
//! `A12V`; [`Passes`] are runs of the model over a sequence, with masks or without, or over
//! [windows](window) of it; [`Marginals`] are what they say of every residue, [`pseudo_perplexity`] what they
//! say of a whole sequence. All integers, unit 2^-16 of a natural logarithm: the same on every machine.

mod marginals;
mod mutation;
mod pass;
mod perplexity;
pub mod window;

pub use marginals::{Marginals, Strategy};
pub use mutation::{Mutation, MutationError, parse};
pub use pass::{Pass, Passes};
pub use perplexity::{Skip, pseudo_perplexity};

use crate::engine::FRACTION_BITS;

/// A score in natural logarithms; exact.
pub fn decode(score: i64) -> f64 {
    score as f64 / f64::from(1 << FRACTION_BITS)
}
