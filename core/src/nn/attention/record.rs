//! Queries, keys, values and gates as they are stored for attention.

use super::Shape;
use crate::arena::{Arena, ArenaError, Reader, Source};
use crate::fixed::TokenScale;
use crate::kernels::Backend;
use crate::kernels::attention::{pack, store_keys, store_values};
use crate::kernels::rows::Rows;

/// Rows that are quantized at a time, and most codes of them.
const ROWS: usize = 16;
pub const CODES: usize = 1024;

/// Fractional bits of a stored gate, before sigmoid.
const GATE_FRAC: u32 = 11;

/// Some rows' queries, keys, values and gates.
#[derive(Debug)]
pub struct Record<S: Source> {
    /// `[heads, rows, width]`
    pub queries: S::Piece<i8>,
    /// `[heads, rows / 16, width / 4, 16, 4]`
    pub keys: S::Piece<i8>,
    /// `[heads, rows / 2, width, 2]`
    pub values: S::Piece<i8>,
    /// [Packed](pack) token scales, `[heads, rows]`.
    pub query_scales: S::Piece<u32>,
    /// As those of the queries.
    pub key_scales: S::Piece<u32>,
    /// As those of the queries.
    pub value_scales: S::Piece<u32>,
    /// `[rows, heads, width]`, unit 2^-11; nothing where there are no gates.
    gates: S::Piece<i16>,
}

impl<S: Source> Record<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let (codes, scales) = (shape.rows.saturating_mul(shape.width()), shape.rows * shape.heads);
        Ok(Self {
            queries: source.take(codes)?,
            keys: source.take(codes)?,
            values: source.take(codes)?,
            query_scales: source.take(scales)?,
            key_scales: source.take(scales)?,
            value_scales: source.take(scales)?,
            gates: source.take(if shape.gated { codes } else { 0 })?,
        })
    }
}

impl Record<Arena<'_>> {
    /// Quantizes and stores the rows from `first` on: their queries, keys, values and gates, of all heads
    /// each, `[rows, `[`projections`](Shape::projections)`]` in activation units.
    pub fn store(&mut self, backend: &Backend, shape: &Shape, first: usize, projections: &[i32]) {
        let Shape { heads, head_width: width, rows, .. } = *shape;
        let stride = shape.projections();
        let memory = &mut [0; CODES];
        for head in 0..heads {
            let part = |part: usize| {
                let values = projections.get((part * heads + head) * width..).unwrap_or_default();
                Rows { values, width, stride }
            };
            let [queries, keys, values] = [&mut *self.queries, &mut *self.keys, &mut *self.values]
                .map(|codes| nth(codes, head, rows * width));
            let [query_scales, key_scales, value_scales] =
                [&mut *self.query_scales, &mut *self.key_scales, &mut *self.value_scales]
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
        if shape.gated {
            self.store_gates(shape, first, projections);
        }
    }

    fn store_gates(&mut self, shape: &Shape, first: usize, projections: &[i32]) {
        let width = shape.width();
        let stored = self.gates[first * width..].chunks_exact_mut(width.max(1));
        for (stored, projections) in stored.zip(projections.chunks_exact((4 * width).max(1))) {
            for (stored, &gate) in stored.iter_mut().zip(&projections[3 * width..]) {
                let shift = 16 - GATE_FRAC;
                let rounded = gate.saturating_add(1 << (shift - 1)) >> shift;
                *stored = rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
        }
    }
}

impl Record<Reader<'_>> {
    /// Multiplies the rows of `out`, which belong to the record's rows from `from` on, by the sigmoid of
    /// their gates. `wide` has room for a row.
    pub fn gate(&self, backend: &Backend, shape: &Shape, from: usize, wide: &mut [i32], out: &mut [i32]) {
        let width = shape.width();
        let gates = self.gates.get(from * width..).unwrap_or_default();
        for (x, gates) in out.chunks_exact_mut(width.max(1)).zip(gates.chunks_exact(width.max(1))) {
            wide.iter_mut().zip(gates).for_each(|(wide, &gate)| *wide = i32::from(gate) << (16 - GATE_FRAC));
            (backend.gate)(x, wide);
        }
    }
}

/// The head's part, `len` long, of what all heads have.
fn nth<T>(all: &mut [T], head: usize, len: usize) -> &mut [T] {
    all.chunks_exact_mut(len.max(1)).nth(head).unwrap_or_default()
}

/// Quantizes rows as rows `first` on, and calls `store` for some at a time: the number of their first, and
/// their codes. `codes` is memory.
pub fn quantize(
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
