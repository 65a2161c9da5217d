//! Inputs of the benches, and what the machine could do at best.
//!
//! `cargo bench -p foldpoint-benches` runs them all; with `RUSTFLAGS="-C target-cpu=native"` the portable
//! kernels use what this machine has.

pub mod inputs;
pub mod kernels;
pub mod memory;
pub mod peak;
pub mod share;
