//! WebAssembly: a backend for its 128-bit SIMD. There is nothing to ask at run time: a program with such
//! instructions is valid or not.

mod simd128;

use super::backend::Candidate;

pub(super) const CANDIDATES: &[Candidate] = &[Candidate { backend: &simd128::BACKEND, runs: || true }];
