//! What operations on rows take from an instruction set.

pub mod common_unit;
pub mod gate;
pub mod layer_norm;
pub mod lookup;
pub mod multiply;
mod products;
pub mod quantize;
pub mod residual;
pub mod rotary;
mod rows;
pub mod transpose;
pub mod transpose_gated;
