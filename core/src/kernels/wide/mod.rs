//! Portable SIMD through the `wide` crate: whatever the target has at compile time (SSE2, AVX2, NEON, wasm simd128).
//!
//! Dot products are written for it; the other operations are [`lanes`](super::lanes) and the specification's loops, which the compiler
//! vectorises.

mod attention;
mod dot;
mod gemm;
mod product;

use super::lanes::{layer_norm, quantize, rotary};
use super::scalar::{activation, contact, residual};

/// Portable SIMD as a backend.
pub static BACKEND: super::Backend = super::Backend {
    name: "wide",
    gemm: gemm::gemm,
    quantize_row: quantize::quantize_row,
    layer_norm: layer_norm::layer_norm,
    gelu: activation::gelu,
    relu: activation::relu,
    gate: activation::gate,
    product: product::product,
    rotary: rotary::rotary,
    attention: attention::attention,
    contact: contact::accumulate,
    decode: residual::decode,
    encode: residual::encode,
};
