//! Files that other tools read: arrays, tensors and pictures, each written whole or not at all.

mod array;
mod file;
mod heat_map;

pub use array::{Tensors, npy, safetensors};
pub use file::{OutputDir, OutputError};
pub use heat_map::contact_png;
