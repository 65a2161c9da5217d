//! ESM-2 and ESMFold in integer arithmetic.
//!
//! `no_std`, no heap, no float: a model file is a read-only byte slice, an input is a token slice, all working
//! memory is one arena that the caller hands in, and everything between is integers. The arithmetic is specified in
//! `docs/ARITHMETIC.md`, the file format in `docs/FORMAT.md`.
//!
//! Layers, each using only those above it: [`fixed`], [`quant`], [`kernels`], [`mod@format`], [`arena`], [`esm2`].
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod alphabet;
pub mod arena;
pub mod esm2;
pub mod esmfold;
pub mod executor;
pub mod fixed;
pub mod format;
pub mod geometry;
pub mod kernels;
pub mod quant;

pub use executor::{Executor, Serial};
pub use kernels::Isa;
