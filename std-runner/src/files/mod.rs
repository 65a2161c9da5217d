//! The files of a run: each written whole or not at all.

mod dir;
pub mod results;
mod rows;

pub use dir::{OutputDir, OutputError};
pub use rows::{Matrix, Rows};
