//! Weights times values.

use crate::kernels::attention::Head;
use crate::kernels::portable::Products;
use core::arch::aarch64::{int8x16_t, int16x8_t, int64x2_t};

/// Sums of eight channels.
pub type OfValues = [int64x2_t; 4];

/// What sixteen keys weigh in one row, as an instruction set reads it.
pub type Weights = [[i8; 16]; 2];

/// How an instruction set sums products of weights with codes of values, besides those of [`Products`].
pub trait Mix: Products {
    /// Sixteen keys' scaled weights, brought to the form that [`mix`](Self::mix) reads.
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2];

    /// `sum over keys of scaled weight * value` for `R` rows and the eight channels from `first` on. Every
    /// block holds a multiple of sixteen rows, and `weights` has as many chunks as its keys need; keys beyond
    /// the last weigh nothing.
    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R];
}
