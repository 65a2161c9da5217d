//! Queries, keys and values as they are stored for attention.

use super::attention::{pack, store_keys, store_values};
use super::backend::Backend;
use super::rows::Rows;
use crate::arena::{Arena, ArenaError};
use crate::fixed::TokenScale;

/// Rows that are quantized at a time, and most codes of them.
const ROWS: usize = 16;
const CODES: usize = 1024;

/// Some rows' queries, keys and values, to be written. A head has up to 256 channels, a multiple of 8.
#[derive(Debug)]
pub struct HeadStore<'m> {
    heads: usize,
    rows: usize,
    width: usize,
    /// `[heads, rows, width]`
    pub queries: &'m mut [i8],
    /// `[heads, rows / 16, width / 4, 16, 4]`
    pub keys: &'m mut [i8],
    /// `[heads, rows / 2, width, 2]`
    pub values: &'m mut [i8],
    /// [Packed](pack) token scales, `[heads, rows]`.
    pub query_scales: &'m mut [u32],
    /// As those of the queries.
    pub key_scales: &'m mut [u32],
    /// As those of the queries.
    pub value_scales: &'m mut [u32],
}

impl<'m> HeadStore<'m> {
    /// Takes its arrays, in their order, for `heads` heads of `width` channels.
    pub fn take(arena: &mut Arena<'m>, heads: usize, rows: usize, width: usize) -> Result<Self, ArenaError> {
        let (codes, scales) = (heads * rows * width, heads * rows);
        Ok(Self {
            heads,
            rows,
            width,
            queries: arena.take(codes)?,
            keys: arena.take(codes)?,
            values: arena.take(codes)?,
            query_scales: arena.take(scales)?,
            key_scales: arena.take(scales)?,
            value_scales: arena.take(scales)?,
        })
    }

    /// Quantizes and stores projections as rows `first` on: one row every `stride` values, in activation units, which begins with the queries
    /// of all heads, their keys and their values, `[3, heads, width]`.
    pub fn write(&mut self, backend: &Backend, first: usize, projections: &[i32], stride: usize) {
        let Self { heads, rows, width, .. } = *self;
        let memory = &mut [0; CODES];
        for head in 0..heads {
            let part = |part: usize| {
                let values = projections.get((part * heads + head) * width..).unwrap_or_default();
                Rows { values, width, stride }
            };
            let [queries, keys, values] = [&mut self.queries, &mut self.keys, &mut self.values]
                .map(|codes| nth(codes, head, rows * width));
            let [query_scales, key_scales, value_scales] =
                [&mut self.query_scales, &mut self.key_scales, &mut self.value_scales]
                    .map(|scales| nth(scales, head, rows));
            quantize(backend, part(0), first, memory, query_scales, |row, codes| {
                let place = queries.get_mut(row * width..).unwrap_or_default();
                place.iter_mut().zip(codes).for_each(|(place, &code)| *place = code);
            });
            quantize(backend, part(1), first, memory, key_scales, |row, codes| {
                store_keys(codes, width, row, keys);
            });
            quantize(backend, part(2), first, memory, value_scales, |row, codes| {
                store_values(codes, width, row, values);
            });
        }
    }
}

/// The head's part, `len` long, of what all heads have.
fn nth<T>(all: &mut [T], head: usize, len: usize) -> &mut [T] {
    all.chunks_exact_mut(len.max(1)).nth(head).unwrap_or_default()
}

/// Quantizes rows as rows `first` on, and calls `store` for some at a time: the number of their first, and their codes. `codes` is memory.
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
        scales.iter_mut().zip(&scales_of[..count]).for_each(|(scale, &of_row)| *scale = pack(of_row));
        store(first + from, codes.get(..count * width).unwrap_or_default());
    }
}
