//! The operations, each in every backend.
//!
//! [`scalar`] is the specification: plain loops, one definition of every rounding. [`wide`] is portable SIMD, and beside it there is a
//! module for each architecture with a backend for each of its instruction sets. All equal the specification bit for bit
//! (`core/src/kernels/twins/` holds every backend of [`Isa::all`] to that). A backend is a table of functions ([`Backend`]), an
//! [`Isa`] is the proof that the machine can run it.
//!
//! Shapes: rows are tokens; a slice holds whole rows one after another. Kernels work on as many rows as their shortest
//! argument holds and never read or write beyond a slice.

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
#[expect(unsafe_code, reason = "instructions that only some machines have")]
mod aarch64;
pub mod attention;
pub(crate) mod head_store;
mod lanes;
pub mod linear;
pub mod rows;
pub mod scalar;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod twins;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
pub mod wide;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions that only some machines have, and reads that the sizes of operands allow"
)]
mod x86;

use crate::fixed::TokenScale;
use crate::quant::Site;
use attention::{Head, RowTile};
use core::slice;
use linear::{Linear, Then};
use rows::Rows;

/// One implementation of every operation.
#[derive(Debug)]
#[expect(clippy::type_complexity, reason = "an operation's arguments are documented where it is defined")]
pub struct Backend {
    /// The backend's name, as `FOLDPOINT_ISA` spells it.
    pub name: &'static str,
    /// Linear layer on quantized rows, and what becomes of its outputs: `(layer, codes, scales, then, out)`; codes `[M, layer.row_len()]`,
    /// scales `[M]`, out `[M, layer.outputs()]`. Defined by [`scalar::gemm::gemm`].
    pub gemm: fn(&Linear, &[i8], &[TokenScale], Then, &mut [i32]),
    /// Quantizes rows for a [`Linear`]: `(rows, outliers, codes, scales)`; codes `[M, row_len]`, scales `[M]`. Defined by
    /// [`scalar::quantize::quantize_rows`].
    pub quantize_rows: fn(Rows, &[u16], &mut [i8], &mut [TokenScale]),
    /// LayerNorm of rows: `(x, gain, bias, epsilons, y)`; epsilons `[M]`, y `[M, width]`. Defined by
    /// [`scalar::layer_norm::layer_norm_rows`].
    pub layer_norm_rows: fn(Rows, &[i32], &[i32], &[u64], &mut [i32]),
    /// Multiplies values by the sigmoids of others, in place: `(x, gate)`. Defined by [`scalar::activation::gate`].
    pub gate: fn(&mut [i32], &[i32]),
    /// Matrix product of codes: `(rows, panels, width, out)`. Defined by [`scalar::product::product`].
    pub product: fn(&[i8], &[i8], usize, &mut [i32]),
    /// Brings the channels of one product to a common unit: `(row scales, column scales, product, out) -> exponent`. Defined by
    /// [`scalar::common_unit::common_unit`].
    pub common_unit: fn(&[u32], &[u32], &[i32], &mut [i32]) -> i32,
    /// Rotary embedding of one row of heads in place: `(row, cos_sin)`. Defined by [`scalar::rotary::rotary`].
    pub rotary: fn(&mut [i32], &[[i32; 2]]),
    /// Attention of one head for a tile of query rows. Defined by [`scalar::attention::attention`].
    pub attention: fn(&Head, RowTile),
    /// Adds one head's attention of one query to a contact map. Defined by [`scalar::contact::accumulate`].
    pub contact: fn(&[i16], u32, attention::ContactWeight, &mut [i32], &mut [u32]) -> u32,
    /// Products of one row with others: `(query, rows, out)`. Defined by [`scalar::wide_sums::dots`].
    pub dots: fn(&[i32], Rows, &mut [i64]),
    /// Squared distances of one row from others: `(point, rows, out)`. Defined by [`scalar::wide_sums::distances`].
    pub distances: fn(&[i32], Rows, &mut [i64]),
    /// Adds rows times their weights: `(weights, rows, sums)`. Defined by [`scalar::wide_sums::add_weighted`].
    pub add_weighted: fn(&[i32], Rows, &mut [i64]),
    /// The same for rows of codes: `(weights, codes, sums)`. Defined by [`scalar::wide_sums::add_weighted_codes`].
    pub add_weighted_codes: fn(&[i32], &[i16], &mut [i64]),
    /// Writes rows as columns: `(rows, count, out, stride)`. Defined by [`scalar::turn::turn`].
    pub turn: fn(Rows, usize, &mut [i32], usize),
    /// Writes rows times the sigmoids of their gates as columns: `(rows, gates, count, out, stride)`. Defined by
    /// [`scalar::turn::turn_gated`].
    pub turn_gated: fn(Rows, Rows, usize, &mut [i32], usize),
    /// Decodes rows of a residual stream: `(site, codes, code row, x)`. Defined by [`scalar::residual::decode`].
    pub decode: fn(&Site, &[u8], usize, &mut [i32]),
    /// Encodes rows of a residual stream: `(site, x, codes, code row)`. Defined by [`scalar::residual::encode`].
    pub encode: fn(&Site, &[i32], &mut [u8], usize),
}

impl Backend {
    /// Quantizes one row for a [`Linear`]: [`quantize_rows`](Self::quantize_rows).
    pub fn quantize_row(&self, values: &[i32], outliers: &[u16], codes: &mut [i8]) -> TokenScale {
        let mut scale = TokenScale::covering(0, 0);
        (self.quantize_rows)(Rows::new(values, values.len()), outliers, codes, slice::from_mut(&mut scale));
        scale
    }

    /// LayerNorm of one row: [`layer_norm_rows`](Self::layer_norm_rows).
    pub fn layer_norm(&self, x: &[i32], gain: &[i32], bias: &[i32], epsilon: u64, y: &mut [i32]) {
        (self.layer_norm_rows)(Rows::new(x, x.len()), gain, bias, slice::from_ref(&epsilon), y);
    }
}

/// An instruction set that this machine can run, and its backend.
#[derive(Clone, Copy, Debug)]
pub struct Isa {
    backend: &'static Backend,
}

/// A backend, and whether this machine runs it.
struct Candidate {
    backend: &'static Backend,
    runs: fn() -> bool,
}

const PORTABLE: &[Candidate] = &[
    Candidate { backend: &scalar::BACKEND, runs: || true },
    Candidate { backend: &wide::BACKEND, runs: || true },
];

/// This architecture's instruction sets, slowest first.
const NATIVE: &[Candidate] = cfg_select! {
    target_arch = "x86_64" => x86::CANDIDATES,
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little") => aarch64::CANDIDATES,
    all(target_arch = "wasm32", target_feature = "simd128") => wasm::CANDIDATES,
    _ => &[],
};

impl Isa {
    /// The specification.
    pub const fn scalar() -> Self {
        Self { backend: &scalar::BACKEND }
    }

    /// Portable SIMD, for the instruction set that the crate is compiled for.
    pub const fn wide() -> Self {
        Self { backend: &wide::BACKEND }
    }

    /// The fastest backend that this machine runs.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::scalar())
    }

    /// Every backend that this machine runs; the specification first, the fastest last.
    ///
    /// With the feature `std` the machine is asked; without it, what the crate is compiled for decides.
    pub fn all() -> impl Iterator<Item = Self> {
        let candidates = PORTABLE.iter().chain(NATIVE);
        candidates.filter(|candidate| (candidate.runs)()).map(|candidate| Self { backend: candidate.backend })
    }

    /// The backend called `name`, if this machine runs it.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|isa| isa.name() == name)
    }

    /// The backend's name.
    pub const fn name(&self) -> &'static str {
        self.backend.name
    }

    /// The backend's operations.
    pub const fn backend(&self) -> &'static Backend {
        self.backend
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}
