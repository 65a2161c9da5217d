//! x86-64: one backend for each instruction set that multiplies 8-bit or 16-bit integers faster than SSE2.
//!
//! `isa/` has the instruction sets, `generic/` the kernels that are written once for all of them, `steps/`
//! what operations on rows, which are compiled from [`lanes`](super::lanes), take from an instruction set
//! because compilers would not find it.

mod generic;
mod isa;
mod steps;

use super::backend::Candidate;
use isa::{avx_vnni, avx2, avx512_vnni};

/// Whether the machine has all of these features: asked at run time where there is `std`, else known at
/// compile time.
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
