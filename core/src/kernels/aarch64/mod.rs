//! 64-bit ARM: `neon`, which every such machine has, `dotprod` (ARMv8.4) and `i8mm` (ARMv8.6).
//!
//! What the three share is written once, over NEON; they differ in how they sum products of codes
//! ([`Products`](super::portable::Products), [`Mix`](mix::Mix)).

/// The table of a backend: the matrix kernels over a proof of its instructions, so many rows at a time, and
/// the rest of another's.
macro_rules! backend {
    ($name:literal, $products:expr, $rows:literal, $rest:expr) => {
        Backend {
            name: $name,
            gemm: |layer, codes, scales, epilogue, out| {
                // SAFETY: an `Isa` holds this function only where the machine has the features.
                let products = unsafe { $products };
                crate::kernels::portable::gemm::<_, $rows>(products, layer, codes, scales, epilogue, out)
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
mod mix;
mod neon;
mod rows;
mod values;
mod vector;

use super::backend::Candidate;

/// Whether the machine has all of these features: asked at run time where there is `std`, else known at
/// compile time.
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
