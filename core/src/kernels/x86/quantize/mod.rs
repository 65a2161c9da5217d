//! The steps of quantization in vectors.

pub mod avx2;
pub mod avx512;
