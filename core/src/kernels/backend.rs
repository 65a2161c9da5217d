//! The table of functions that a backend is.

use super::attention::{ContactWeight, Head, RowTile};
use super::linear::{Epilogue, Linear};
use super::rows::Rows;
use crate::fixed::TokenScale;
use crate::quant::Site;

/// One implementation of every operation.
#[derive(Debug)]
#[expect(clippy::type_complexity, reason = "an operation's arguments are documented where it is defined")]
pub struct Backend {
    /// The backend's name, as `FOLDPOINT_ISA` spells it.
    pub name: &'static str,
    /// Linear layer on quantized rows, and what becomes of its outputs: `(layer, codes, scales, then, out)`;
    /// codes `[M, layer.row_len()]`, scales `[M]`, out `[M, layer.outputs()]`. Defined by
    /// [`scalar::gemm::gemm`](super::scalar::gemm::gemm).
    pub gemm: fn(&Linear, &[i8], &[TokenScale], Epilogue, &mut [i32]),
    /// Quantizes rows for a [`Linear`]: `(rows, outliers, codes, scales)`; codes `[M, row_len]`, scales
    /// `[M]`. Defined by [`scalar::quantize::quantize_rows`](super::scalar::quantize::quantize_rows).
    pub quantize_rows: fn(Rows, &[u16], &mut [i8], &mut [TokenScale]),
    /// LayerNorm of rows: `(x, gain, bias, epsilons, y)`; epsilons `[M]`, y `[M, width]`. Defined by
    /// [`scalar::layer_norm::layer_norm_rows`](super::scalar::layer_norm::layer_norm_rows).
    pub layer_norm_rows: fn(Rows, &[i32], &[i32], &[u64], &mut [i32]),
    /// Multiplies values by the sigmoids of others, in place: `(x, gate)`. Defined by
    /// [`scalar::activation::gate`](super::scalar::activation::gate).
    pub gate: fn(&mut [i32], &[i32]),
    /// Matrix product of codes: `(rows, panels, width, out)`. Defined by
    /// [`scalar::product::product`](super::scalar::product::product).
    pub product: fn(&[i8], &[i8], usize, &mut [i32]),
    /// Brings the channels of one product to a common unit: `(row scales, column scales, product, out) ->
    /// exponent`. Defined by [`scalar::common_unit::common_unit`](super::scalar::common_unit::common_unit).
    pub common_unit: fn(&[u32], &[u32], &[i32], &mut [i32]) -> i32,
    /// Rotary embedding of one row of heads in place: `(row, cos_sin)`. Defined by
    /// [`scalar::rotary::rotary`](super::scalar::rotary::rotary).
    pub rotary: fn(&mut [i32], &[[i32; 2]]),
    /// Attention of one head for a tile of query rows. Defined by
    /// [`scalar::attention::attention`](super::scalar::attention::attention).
    pub attention: fn(&Head, RowTile),
    /// Adds one head's attention of one query to a contact map. Defined by
    /// [`scalar::contact::accumulate`](super::scalar::contact::accumulate).
    pub contact: fn(&[i16], u32, ContactWeight, &mut [i32], &mut [u32]) -> u32,
    /// Products of one row with others: `(query, rows, out)`. Defined by
    /// [`scalar::wide_sums::dots`](super::scalar::wide_sums::dots).
    pub dots: fn(&[i32], Rows, &mut [i64]),
    /// Squared distances of one row from others: `(point, rows, out)`. Defined by
    /// [`scalar::wide_sums::distances`](super::scalar::wide_sums::distances).
    pub distances: fn(&[i32], Rows, &mut [i64]),
    /// Adds rows times their weights: `(weights, rows, sums)`. Defined by
    /// [`scalar::wide_sums::add_weighted`](super::scalar::wide_sums::add_weighted).
    pub add_weighted: fn(&[i32], Rows, &mut [i64]),
    /// The same for rows of codes: `(weights, codes, sums)`. Defined by
    /// [`scalar::wide_sums::add_weighted_codes`](super::scalar::wide_sums::add_weighted_codes).
    pub add_weighted_codes: fn(&[i32], &[i16], &mut [i64]),
    /// Writes rows as columns: `(rows, count, out, stride)`. Defined by
    /// [`scalar::transpose::transpose`](super::scalar::transpose::transpose).
    pub transpose: fn(Rows, usize, &mut [i32], usize),
    /// Writes rows times the sigmoids of their gates as columns: `(rows, gates, count, out, stride)`. Defined
    /// by [`scalar::transpose::transpose_gated`](super::scalar::transpose::transpose_gated).
    pub transpose_gated: fn(Rows, Rows, usize, &mut [i32], usize),
    /// Decodes rows of a residual stream: `(site, codes, code row, x)`. Defined by
    /// [`scalar::residual::decode`](super::scalar::residual::decode).
    pub decode: fn(&Site, &[u8], usize, &mut [i32]),
    /// Encodes rows of a residual stream: `(site, x, codes, code row)`. Defined by
    /// [`scalar::residual::encode`](super::scalar::residual::encode).
    pub encode: fn(&Site, &[i32], &mut [u8], usize),
}

impl Backend {
    /// Quantizes one row for a [`Linear`]: [`quantize_rows`](Self::quantize_rows).
    #[cfg(any(test, feature = "kernels"))]
    pub fn quantize_row(&self, values: &[i32], outliers: &[u16], codes: &mut [i8]) -> TokenScale {
        let mut scale = TokenScale::covering(0, 0);
        (self.quantize_rows)(
            Rows::new(values, values.len()),
            outliers,
            codes,
            core::slice::from_mut(&mut scale),
        );
        scale
    }

    /// LayerNorm of one row: [`layer_norm_rows`](Self::layer_norm_rows).
    #[cfg(any(test, feature = "kernels"))]
    pub fn layer_norm(&self, x: &[i32], gain: &[i32], bias: &[i32], epsilon: u64, y: &mut [i32]) {
        (self.layer_norm_rows)(Rows::new(x, x.len()), gain, bias, core::slice::from_ref(&epsilon), y);
    }
}

/// A backend, and whether this machine runs it.
pub(super) struct Candidate {
    pub backend: &'static Backend,
    pub runs: fn() -> bool,
}
