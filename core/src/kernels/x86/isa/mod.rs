//! A backend for each instruction set: its [`Vectors`](super::generic::vectors::Vectors), and its table of
//! functions.

/// Safe functions that are compiled for features that the crate isn't.
macro_rules! with_features {
    ($features:literal; $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)? $body:block)*) => {
        $(fn $name($($argument: $type),*) $(-> $out)? {
            #[target_feature(enable = $features)]
            fn run($($argument: $type),*) $(-> $out)? $body
            // SAFETY: an `Isa` holds this function only where the machine has the features.
            unsafe { run($($argument),*) }
        })*
    };
}

/// The operations on rows of a backend, made for its features: [`lanes`](crate::kernels::lanes), with its
/// [`steps`](super::steps).
macro_rules! rows {
    ($width:ident, $features:literal) => {{
        use crate::fixed::TokenScale;
        use crate::kernels::attention::ContactWeight;
        use crate::kernels::rows::Rows;
        use crate::kernels::x86::steps::{common_unit, gate, layer_norm, multiply, quantize, residual, rotary, transpose, transpose_gated};
        use crate::kernels::backend::Backend;
        use crate::kernels::{lanes, scalar, wide};
        use crate::quant::Site;

        with_features! { $features;
            fn quantize_rows(rows: Rows, outliers: &[u16], codes: &mut [i8], scales: &mut [TokenScale]) {
                lanes::quantize::quantize_rows(quantize::$width::Proof(()), rows, outliers, codes, scales)
            }
            fn layer_norm_rows(x: Rows, gain: &[i32], bias: &[i32], epsilons: &[u64], y: &mut [i32]) {
                layer_norm::$width(x, gain, bias, epsilons, y)
            }
            fn gate(x: &mut [i32], gates: &[i32]) {
                gate::$width(x, gates)
            }
            fn common_unit(rows: &[u32], columns: &[u32], product: &[i32], out: &mut [i32]) -> i32 {
                common_unit::$width(rows, columns, product, out)
            }
            fn rotary(row: &mut [i32], cos_sin: &[[i32; 2]]) {
                lanes::rotary::rotary(row, cos_sin, |pairs| rotary::turn_eight(pairs))
            }
            fn contact(weights: &[i16], sum: u32, head: ContactWeight, row: &mut [i32], columns: &mut [u32]) -> u32 {
                scalar::contact::accumulate(weights, sum, head, row, columns)
            }
            fn dots(query: &[i32], rows: Rows, out: &mut [i64]) {
                scalar::wide_sums::dots(query, rows, out)
            }
            fn distances(point: &[i32], rows: Rows, out: &mut [i64]) {
                scalar::wide_sums::distances(point, rows, out)
            }
            fn add_weighted(weights: &[i32], rows: Rows, sums: &mut [i64]) {
                scalar::wide_sums::add_weighted(weights, rows, sums)
            }
            fn add_weighted_codes(weights: &[i32], codes: &[i16], sums: &mut [i64]) {
                scalar::wide_sums::add_weighted_codes(weights, codes, sums)
            }
            fn transpose(rows: Rows, count: usize, out: &mut [i32], stride: usize) {
                lanes::transpose::transpose(rows, count, out, stride, |square| transpose::transpose_square(square))
            }
            fn transpose_gated(rows: Rows, gates: Rows, count: usize, out: &mut [i32], stride: usize) {
                transpose_gated::$width(rows, gates, count, out, stride)
            }
            fn decode(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
                residual::$width(site, codes, code_row, x)
            }
            fn encode(site: &Site, x: &[i32], codes: &mut [u8], code_row: usize) {
                lanes::residual::encode(site, x, codes, code_row, |a, b| multiply::$width(a, b))
            }
        }

        Backend {
            quantize_rows, layer_norm_rows, gate, common_unit, rotary, contact, dots, distances,
            add_weighted, add_weighted_codes, transpose, transpose_gated, decode, encode, ..wide::BACKEND
        }
    }};
}

/// The table of a backend, made for its features: matrix kernels are those of a
/// [`Vectors`](super::generic::vectors::Vectors), attention with so many queries at a time; operations on
/// rows are [`rows`].
macro_rules! backend {
    ($name:literal, $vectors:ident, $queries:literal, $width:ident, $features:literal) => {{
        use crate::fixed::TokenScale;
        use crate::kernels::attention::{Head, RowTile};
        use crate::kernels::backend::Backend;
        use crate::kernels::lanes;
        use crate::kernels::linear::{Linear, Epilogue};
        use crate::kernels::x86::generic::{attention, gemm, product};
        use crate::kernels::x86::steps::{lookup, multiply};

        with_features! { $features;
            fn gemm(layer: &Linear, codes: &[i8], scales: &[TokenScale], epilogue: Epilogue, out: &mut [i32]) {
                gemm::gemm($vectors(()), layer, codes, scales, epilogue, out, |epilogue, outputs, out, stride| {
                    let look_up = |table: &_, indices| lookup::$width(table, indices);
                    lanes::activation::put(epilogue, outputs, out, stride, look_up, |site, x, codes, code_row| {
                        lanes::residual::encode(site, x, codes, code_row, |a, b| multiply::$width(a, b))
                    })
                })
            }
            fn product(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
                product::product($vectors(()), rows, panels, width, out)
            }
            fn attention(head: &Head, tile: RowTile) {
                attention::attention::<_, $queries>($vectors(()), head, tile)
            }
        }

        Backend { name: $name, gemm, product, attention, ..rows!($width, $features) }
    }};
}

pub mod avx2;
pub mod avx512_vnni;
pub mod avx_vnni;
mod ymm;
