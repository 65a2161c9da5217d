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

/// The specification as a backend.
pub static BACKEND: super::Backend = super::Backend {
    name: "scalar",
    gemm: gemm::gemm,
    quantize_rows: quantize::quantize_rows,
    layer_norm_rows: layer_norm::layer_norm_rows,
    gelu: activation::gelu,
    relu: activation::relu,
    gate: activation::gate,
    product: product::product,
    common_unit: common_unit::common_unit,
    rotary: rotary::rotary,
    attention: attention::attention,
    contact: contact::accumulate,
    decode: residual::decode,
    encode: residual::encode,
};
