//! Pairs of 16-bit products (`i32x4.dot_i16x8_s`), as in portable SIMD, but with the columns' pairs brought together before they are
//! multiplied: a row then has four accumulators, not eight, and four rows fit the registers of the machines that run it.

use crate::fixed::TokenScale;
use crate::kernels::backend::Backend;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{GROUP, LIMB_BITS, Linear, PANEL, Panel, Then, rows};
use crate::kernels::scalar::gemm::finish;
use crate::kernels::wide;
use core::arch::wasm32::*;

/// Rows by which the work of widening columns is shared.
const ROWS: usize = 4;

/// The backend; to be used where the target has `simd128`.
pub static BACKEND: Backend = Backend { name: "simd128", gemm, product, ..wide::BACKEND };

/// Dot products of `R` rows with the sixteen columns of a packed part: the specification's `dot_panel` for each row.
fn dots<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let weights = weight.as_chunks::<{ GROUP * PANEL }>().0;
    let rows = rows.map(|row| row.as_chunks::<GROUP>().0);
    // Of one length, so that the loop need not check.
    let count = rows.iter().fold(weights.len(), |count, row| count.min(row.len()));
    let (weights, rows) = (&weights[..count], rows.map(|row| &row[..count]));
    let mut sums = [[i32x4_splat(0); PANEL / 4]; R];
    for (index, weight) in weights.iter().enumerate() {
        let codes: [[v128; 2]; R] = core::array::from_fn(|r| {
            let codes = i16x8_extend_low_i8x16(i32x4_splat(bytemuck::cast(rows[r][index])));
            [i32x4_shuffle::<0, 0, 0, 0>(codes, codes), i32x4_shuffle::<1, 1, 1, 1>(codes, codes)]
        });
        for (v, columns) in weight.as_chunks::<16>().0.iter().enumerate() {
            let columns: v128 = bytemuck::cast(*columns);
            // The first two inputs of four columns, then the other two.
            let columns =
                i8x16_shuffle::<0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15>(columns, columns);
            let (a, b) = (i16x8_extend_low_i8x16(columns), i16x8_extend_high_i8x16(columns));
            for (sums, codes) in sums.iter_mut().zip(&codes) {
                let products = i32x4_add(i32x4_dot_i16x8(a, codes[0]), i32x4_dot_i16x8(b, codes[1]));
                sums[v] = i32x4_add(sums[v], products);
            }
        }
    }
    sums.map(bytemuck::cast)
}

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm).
fn gemm(layer: &Linear, codes: &[i8], scales: &[TokenScale], mut then: Then, out: &mut [i32]) {
    let outputs = layer.outputs().max(1);
    let count = rows(codes, layer.row_len()).zip(scales).zip(out.chunks_exact(outputs)).count();
    for (index, panel) in layer.panels().enumerate() {
        let whole = count - count % ROWS;
        for row in (0..whole).step_by(ROWS) {
            gemm_tile::<ROWS>(layer, &panel, index, row, codes, scales, &mut then, out);
        }
        for row in whole..count {
            gemm_tile::<1>(layer, &panel, index, row, codes, scales, &mut then, out);
        }
    }
}

/// The `R` rows from `row` on by panel number `index`.
#[expect(clippy::too_many_arguments, reason = "a tile of the operation's arguments")]
fn gemm_tile<const R: usize>(
    layer: &Linear,
    panel: &Panel,
    index: usize,
    row: usize,
    codes: &[i8],
    scales: &[TokenScale],
    then: &mut Then,
    out: &mut [i32],
) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs());
    let mut rows = rows(codes.get(row * row_len..).unwrap_or_default(), row_len);
    let rows: [(&[i8], &[i8]); R] = core::array::from_fn(|_| {
        rows.next().unwrap_or_default().split_at_checked(layer.high_groups() * GROUP).unwrap_or_default()
    });
    let mut sums = dots(rows.map(|(_, low)| low), panel.low);
    if layer.high_groups() > 0 {
        let high = dots(rows.map(|(high, _)| high), panel.high);
        for (sum, high) in sums.iter_mut().flatten().zip(high.into_iter().flatten()) {
            *sum += high << LIMB_BITS;
        }
    }
    let scales = scales.get(row..).unwrap_or_default();
    let out = out.get_mut(row * outputs..).unwrap_or_default();
    let rows = sums.iter().zip(scales).zip(out.chunks_exact_mut(outputs));
    for (row, ((sums, &scale), out)) in (row..).zip(rows) {
        let mut y = [[0; PANEL]];
        finish(panel, sums, scale, &mut y[0]);
        let out = out.get_mut(index * PANEL..).unwrap_or_default();
        let y = Outputs { y: &mut y, at: [row, index * PANEL], channels: panel.bias.len() };
        put(then, y, out, outputs, look_up::<4>, wide::ENCODE);
    }
}

/// The specification's [`product`](crate::kernels::scalar::product::product).
fn product(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
    let width = width.max(1);
    let columns = (panels.len() / (PANEL * width) * PANEL).max(1);
    let count = rows.chunks_exact(width).zip(out.chunks_exact(columns)).count();
    for (index, panel) in panels.chunks_exact(PANEL * width).enumerate() {
        let whole = count - count % ROWS;
        for row in (0..whole).step_by(ROWS) {
            product_tile::<ROWS>(rows, panel, width, index, row, out, columns);
        }
        for row in whole..count {
            product_tile::<1>(rows, panel, width, index, row, out, columns);
        }
    }
}

/// The `R` rows from `row` on by panel number `index`.
fn product_tile<const R: usize>(
    rows: &[i8],
    panel: &[i8],
    width: usize,
    index: usize,
    row: usize,
    out: &mut [i32],
    columns: usize,
) {
    let mut rows = rows.get(row * width..).unwrap_or_default().chunks_exact(width);
    let rows: [&[i8]; R] = core::array::from_fn(|_| rows.next().unwrap_or_default());
    let out = out.get_mut(row * columns..).unwrap_or_default().chunks_exact_mut(columns);
    for (sums, out) in dots(rows, panel).iter().zip(out) {
        if let Some(out) = out.get_mut(index * PANEL..).and_then(|out| out.first_chunk_mut()) {
            *out = *sums;
        }
    }
}
