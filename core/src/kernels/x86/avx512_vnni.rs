//! AVX-512 VNNI: groups of four 8-bit products in 512-bit vectors (`vpdpbusd`).

use crate::kernels::{Backend, wide};

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend = Backend { name: "avx512_vnni", ..wide::BACKEND };
