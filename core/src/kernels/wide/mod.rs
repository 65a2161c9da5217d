//! Portable SIMD through the `wide` crate: whatever the target has at compile time (SSE2, AVX2, NEON, wasm
//! simd128).
//!
//! Dot products are written for it; the other operations are `lanes` and the specification's loops, which the
//! compiler vectorises.

mod attention;
mod dot;

use super::lanes::activation::{gate, look_up};
use super::lanes::layer_norm::layer_norm_rows;
use super::lanes::multiply::upper_each;
use super::lanes::quantize::{Portable, quantize_rows};
use super::lanes::residual::decode;
use super::lanes::rotary;
use super::lanes::transpose::{transpose, transpose_gated, transpose_square};
use super::portable::{self, ENCODE, SHIFTS_LANES};
use super::scalar::{self, common_unit, contact, wide_sums};
use dot::Pairs;

/// Rows whose accumulators stay in registers: each takes four vectors of eight lanes.
const ROWS: usize = if cfg!(target_feature = "avx512vl") { 4 } else { 2 };

/// Portable SIMD as a backend.
pub static BACKEND: super::backend::Backend = super::backend::Backend {
    name: "wide",
    gemm: |layer, codes, scales, epilogue, out| {
        portable::gemm::<_, ROWS>(Pairs, layer, codes, scales, epilogue, out)
    },
    quantize_rows: |rows, outliers, codes, scales| quantize_rows(Portable, rows, outliers, codes, scales),
    layer_norm_rows: |x, gain, bias, epsilons, y| {
        layer_norm_rows(x, gain, bias, epsilons, y, upper_each::<8>)
    },
    gate: |x, gates| gate(x, gates, look_up::<8>),
    product: |rows, panels, width, out| portable::product::<_, ROWS>(Pairs, rows, panels, width, out),
    common_unit: common_unit::common_unit,
    rotary: |row, cos_sin| rotary::rotary(row, cos_sin, rotary::turn_pairs),
    attention: attention::attention,
    contact: contact::accumulate,
    dots: wide_sums::dots,
    distances: wide_sums::distances,
    add_weighted: wide_sums::add_weighted,
    add_weighted_codes: wide_sums::add_weighted_codes,
    transpose: |rows, count, out, stride| transpose(rows, count, out, stride, transpose_square),
    transpose_gated: |rows, gates, count, out, stride| {
        transpose_gated(rows, gates, count, out, stride, transpose_square, look_up::<8>)
    },
    decode: if SHIFTS_LANES { decode } else { scalar::residual::decode },
    encode: ENCODE,
};
