//! Operations on rows in the shape that compilers vectorise: loops over whole slices, without branches, of
//! 32-bit lanes whose products are upper halves.
//!
//! Each equals the specification's operation of its name for every input: a row beyond what lanes hold (wild
//! shifts, sums that saturate) goes to the specification. The bodies are always inlined, so that every
//! backend compiles them for its own instructions.

pub(in crate::kernels) mod activation;
pub(in crate::kernels) mod epilogue;
pub(in crate::kernels) mod layer_norm;
pub(in crate::kernels) mod multiply;
pub(in crate::kernels) mod quantize;
pub(in crate::kernels) mod residual;
pub(in crate::kernels) mod rotary;
pub(in crate::kernels) mod scales;
pub(in crate::kernels) mod softmax;
pub(in crate::kernels) mod transpose;
