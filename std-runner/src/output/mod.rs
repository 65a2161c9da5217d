//! Files that other tools read: arrays, tensors, pictures and structures, each written whole or not at all.

mod aligned_error;
mod array;
mod file;
mod heat_map;
mod residue_table;
pub mod results;
mod rows;
pub mod structure;

pub use aligned_error::AlignedErrors;
pub use array::{Tensors, npy, safetensors};
pub use file::{OutputDir, OutputError};
pub use heat_map::contact_png;
pub use residue_table::residue_table;
pub use rows::{Matrix, Rows};
