//! The operations, each in every backend.
//!
//! [`scalar`] is the specification: plain loops, one definition of every rounding. [`wide`] is portable SIMD,
//! and beside it there is a module for each architecture with a backend for each of its instruction sets. All
//! equal the specification bit for bit (`core/src/kernels/parity/` holds every backend of [`Isa::all`] to
//! that). A backend is a table of functions ([`Backend`]), an [`Isa`] is the proof that the machine can run
//! it.
//!
//! Shapes: rows are tokens; a slice holds whole rows one after another. Kernels work on as many rows as their
//! shortest argument holds and never read or write beyond a slice.

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
#[expect(unsafe_code, reason = "instructions that only some machines have")]
mod aarch64;
pub mod attention;
mod backend;
mod isa;
mod lanes;
pub mod linear;
#[cfg(any(test, feature = "kernels"))]
pub mod packing;
#[cfg(test)]
mod parity;
mod portable;
pub mod rows;
pub mod scalar;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
pub mod wide;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions that only some machines have, and reads that the sizes of operands allow"
)]
mod x86;

pub use backend::Backend;
pub use isa::{Detection, Isa};
