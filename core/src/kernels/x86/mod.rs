//! x86-64: one backend for each instruction set that multiplies 8-bit or 16-bit integers faster than SSE2.

/// The table of a backend whose matrix kernels are those of a [`Vectors`](vectors::Vectors), made for its features; attention with
/// so many queries at a time.
macro_rules! backend {
    ($name:literal, $vectors:ident, $queries:literal, $features:literal) => {{
        use crate::fixed::TokenScale;
        use crate::kernels::attention::{Head, RowTile};
        use crate::kernels::linear::Linear;
        use crate::kernels::x86::{attention, gemm, product};
        use crate::kernels::{Backend, wide};

        fn gemm(layer: &Linear, codes: &[i8], scales: &[TokenScale], out: &mut [i32]) {
            #[target_feature(enable = $features)]
            fn run(layer: &Linear, codes: &[i8], scales: &[TokenScale], out: &mut [i32]) {
                gemm::gemm($vectors(()), layer, codes, scales, out);
            }
            // SAFETY: an `Isa` holds this function only where the machine has the features.
            unsafe { run(layer, codes, scales, out) }
        }

        fn product(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
            #[target_feature(enable = $features)]
            fn run(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
                product::product($vectors(()), rows, panels, width, out);
            }
            // SAFETY: an `Isa` holds this function only where the machine has the features.
            unsafe { run(rows, panels, width, out) }
        }

        fn attention(head: &Head, tile: RowTile) {
            #[target_feature(enable = $features)]
            fn run(head: &Head, tile: RowTile) {
                attention::attention::<_, $queries>($vectors(()), head, tile);
            }
            // SAFETY: an `Isa` holds this function only where the machine has the features.
            unsafe { run(head, tile) }
        }

        Backend { name: $name, gemm, product, attention, ..wide::BACKEND }
    }};
}

mod attention;
mod avx2;
mod avx512_vnni;
mod avx_vnni;
mod gemm;
mod matrix;
mod product;
mod vectors;
mod ymm;

use super::Candidate;

/// Whether the machine has all of these features: asked at run time where there is `std`, else known at compile time.
macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(any(test, feature = "std"))]
        let has = true $(&& std::is_x86_feature_detected!($feature))*;
        #[cfg(not(any(test, feature = "std")))]
        let has = cfg!(all($(target_feature = $feature),*));
        has
    }};
}

/// Slowest first.
pub(super) const CANDIDATES: &[Candidate] = &[
    Candidate { backend: &avx2::BACKEND, runs: || has!("avx2") },
    Candidate { backend: &avx_vnni::BACKEND, runs: || has!("avx2", "avxvnni") },
    Candidate {
        backend: &avx512_vnni::BACKEND,
        runs: || has!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512vnni"),
    },
];
