//! AVX2: pairs of 16-bit products in 256-bit vectors (`vpmaddwd`).

use crate::kernels::{Backend, wide};

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend = Backend { name: "avx2", ..wide::BACKEND };
