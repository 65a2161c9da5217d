//! Queries, keys and values of one head, as they are stored for attention.

use super::Backend;
use super::attention::{pack, store_key, store_value};
use super::rows::Rows;
use crate::fixed::TokenScale;

/// Rows that are quantized at a time, and most codes of them.
const ROWS: usize = 16;
const CODES: usize = 1024;

/// One head's part of a block of rows, to be written. A head has up to 256 channels, a multiple of 8.
#[derive(Debug)]
pub struct HeadStore<'m> {
    /// `[rows, width]`
    pub queries: &'m mut [i8],
    /// `[rows / 16, width / 4, 16, 4]`
    pub keys: &'m mut [i8],
    /// `[rows / 2, width, 2]`
    pub values: &'m mut [i8],
    /// [Packed](pack) token scales, `[rows]`.
    pub query_scales: &'m mut [u32],
    /// As those of the queries.
    pub key_scales: &'m mut [u32],
    /// As those of the queries.
    pub value_scales: &'m mut [u32],
}

impl HeadStore<'_> {
    /// Quantizes and stores queries, keys and values, in activation units, as rows `first` on.
    pub fn write(&mut self, backend: &Backend, first: usize, [queries, keys, values]: [Rows; 3]) {
        let Self { query_scales, key_scales, value_scales, .. } = self;
        let codes = &mut [0; CODES];
        quantize(backend, queries, first, codes, query_scales, |row, codes| {
            let place = self.queries.get_mut(row * codes.len()..).unwrap_or_default();
            place.iter_mut().zip(codes).for_each(|(place, &code)| *place = code);
        });
        quantize(backend, keys, first, codes, key_scales, |row, codes| store_key(codes, row, self.keys));
        quantize(backend, values, first, codes, value_scales, |row, codes| {
            store_value(codes, row, self.values)
        });
    }
}

/// Quantizes rows as rows `first` on, and calls `store` for each: its number and codes. `codes` is memory.
fn quantize(
    backend: &Backend,
    rows: Rows,
    first: usize,
    codes: &mut [i8; CODES],
    scales: &mut [u32],
    mut store: impl FnMut(usize, &[i8]),
) {
    let width = rows.width.max(1);
    let most = ROWS.min(CODES / width).max(1);
    let mut scales_of = [TokenScale::covering(0, 0); ROWS];
    let scales = scales.get_mut(first..).unwrap_or_default();
    for (tile, scales) in scales.chunks_mut(most).enumerate() {
        let from = tile * most;
        let Some(values) = rows.values.get(from * rows.stride..) else { return };
        let rows = Rows { values, ..rows };
        let count = rows.count().min(scales.len());
        (backend.quantize_rows)(rows, &[], codes, &mut scales_of[..count]);
        let quantized = scales.iter_mut().zip(&scales_of[..count]).zip(codes.chunks_exact(width));
        for (row, ((scale, &of_row), codes)) in quantized.enumerate() {
            *scale = pack(of_row);
            store(first + from + row, codes);
        }
    }
}
