//! 64-bit ARM: `neon`, which every such machine has, `dotprod` (ARMv8.4) and `i8mm` (ARMv8.6).
//!
//! What the three share is written once, over NEON; they differ in how they sum products of codes ([`Products`], [`Mix`]).

/// The table of a backend: the matrix kernels over a proof of its instructions, so many rows at a time, and the rest of another's.
macro_rules! backend {
    ($name:literal, $products:expr, $rows:literal, $rest:expr) => {
        Backend {
            name: $name,
            gemm: |layer, codes, scales, then, out| {
                // SAFETY: an `Isa` holds this function only where the machine has the features.
                let products = unsafe { $products };
                crate::kernels::portable::gemm::<_, $rows>(products, layer, codes, scales, then, out)
            },
            product: |rows, panels, width, out| {
                // SAFETY: as above.
                let products = unsafe { $products };
                crate::kernels::portable::product::<_, $rows>(products, rows, panels, width, out)
            },
            attention: |head, tile| {
                // SAFETY: as above; all targets of this module have NEON.
                unsafe { super::attention::attention($products, head, tile) }
            },
            ..$rest
        }
    };
}

mod attention;
mod both_limbs;
mod dotprod;
mod epilogue;
mod i8mm;
mod neon;
mod rows;
mod values;
mod vector;

use super::attention::Head;
use super::backend::Candidate;
use super::portable::Products;
use core::arch::aarch64::{int8x16_t, int16x8_t, int64x2_t};

/// Whether the machine has all of these features: asked at run time where there is `std`, else known at compile time.
macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(any(test, feature = "std"))]
        let has = true $(&& std::arch::is_aarch64_feature_detected!($feature))*;
        #[cfg(not(any(test, feature = "std")))]
        let has = cfg!(all($(target_feature = $feature),*));
        has
    }};
}

/// Slowest first.
pub(super) const CANDIDATES: &[Candidate] = &[
    Candidate { backend: &neon::BACKEND, runs: || true },
    Candidate { backend: &dotprod::BACKEND, runs: || has!("dotprod") },
    Candidate { backend: &i8mm::BACKEND, runs: || has!("dotprod", "i8mm") },
];

/// Sums of eight channels.
type OfValues = [int64x2_t; 4];

/// What sixteen keys weigh in one row, as an instruction set reads it.
type Weights = [[i8; 16]; 2];

/// How an instruction set sums products of weights with codes of values, besides those of [`Products`].
trait Mix: Products {
    /// Sixteen keys' scaled weights, brought to the form that [`mix`](Self::mix) reads.
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2];

    /// `sum over keys of scaled weight * value` for `R` rows and the eight channels from `first` on. Every block holds a
    /// multiple of sixteen rows, and `weights` has as many chunks as its keys need; keys beyond the last weigh nothing.
    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R];
}
