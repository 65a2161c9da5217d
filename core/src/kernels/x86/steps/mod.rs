//! What operations on rows take from an instruction set.

pub mod layer_norm;
pub mod lookup;
pub mod multiply;
pub mod quantize;
pub mod rotary;
pub mod turn;
