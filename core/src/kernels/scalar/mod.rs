//! The specification: every operation as a plain loop over integers.

pub mod activation;
pub mod attention;
pub mod common_unit;
pub mod contact;
pub mod gemm;
pub mod layer_norm;
pub mod product;
pub mod quantize;
pub mod residual;
pub mod rotary;
#[cfg(test)]
mod tests;
pub mod transpose;
pub mod wide_sums;

/// The specification as a backend.
pub static BACKEND: super::backend::Backend = super::backend::Backend {
    name: "scalar",
    gemm: gemm::gemm,
    quantize_rows: quantize::quantize_rows,
    layer_norm_rows: layer_norm::layer_norm_rows,
    gate: activation::gate,
    product: product::product,
    common_unit: common_unit::common_unit,
    rotary: rotary::rotary,
    attention: attention::attention,
    contact: contact::accumulate,
    dots: wide_sums::dots,
    distances: wide_sums::distances,
    add_weighted: wide_sums::add_weighted,
    add_weighted_codes: wide_sums::add_weighted_codes,
    transpose: transpose::transpose,
    transpose_gated: transpose::transpose_gated,
    decode: residual::decode,
    encode: residual::encode,
};
