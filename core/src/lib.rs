//! ESM-2 and ESMFold in integer arithmetic.
//!
//! `no_std`, no heap, no float: a model file is a read-only byte slice, an input is a token slice, all working
//! memory is one arena that the caller hands in, and everything between is integers. The arithmetic is specified in
//! `docs/ARITHMETIC.md`, the file format in `docs/FORMAT.md`.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod fixed;
pub mod format;
