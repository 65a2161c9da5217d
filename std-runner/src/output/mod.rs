//! Formats that other tools read: arrays, tensors, pictures and structures, written to any writer.

mod aligned_error;
mod array;
mod heat_map;
mod picture;
mod residue_table;
pub mod structure;
mod variants_map;

pub use aligned_error::AlignedErrors;
pub use array::{Tensors, npy, safetensors};
pub use heat_map::contact_png;
pub use residue_table::residue_table;
pub use variants_map::{AMINO_ACIDS, variants_png};
