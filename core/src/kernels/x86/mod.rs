//! x86-64: one backend for each instruction set that multiplies 8-bit or 16-bit integers faster than SSE2.

mod avx2;
mod avx512_vnni;
mod avx_vnni;

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
