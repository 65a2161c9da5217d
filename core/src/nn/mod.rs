//! Layers of no model: they know weights, quantized tiles and the arena.
//!
//! `linear` reads, quantizes and multiplies; `norm` is LayerNorm; `stream` is how residual streams are
//! stored; `quantized_tile` is how rows go through linear layers; `attention` is the one home of attention;
//! `context` is what every operation is given besides.

pub(crate) mod attention;
mod context;
pub(crate) mod feed_forward;
mod linear;
mod norm;
pub(crate) mod quantized_tile;
pub(crate) mod rotary;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod testing;

pub use context::Context;
pub use norm::Norm;
