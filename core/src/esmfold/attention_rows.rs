//! Queries, keys, values and gates of rows that attend to each other with a bias: the attention over the sequence, and
//! triangle attention over each row of pairs.
//!
//! Rows lie in *records* of a multiple of 16 rows: one for each panel of residues, or one for a whole row of pairs.

use super::pair_bias::Biases;
use super::rows::piece;
use crate::arena::{Arena, ArenaError, Layout};
use crate::fixed::Multiplier;
use crate::kernels::Backend;
use crate::kernels::attention::{
    Head, Logits, QUERY_TILE, RowTile, bias_factor, key_scale_max, pack, relative_scales, unpack,
};
use crate::kernels::head_store::HeadStore;

/// Fractional bits of a stored gate, before sigmoid.
const GATE_FRAC: u32 = 11;

/// Sizes of one kind of attention.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub head_width: usize,
    /// Rows of a record, a multiple of 16.
    pub rows: usize,
    /// Rows that attend to each other: all keys.
    pub keys: usize,
    /// Keys rounded up to a multiple of 32.
    pub stride: usize,
    /// What a score is worth: `Config::sequence_temperature` or `Config::pair_temperature`.
    pub temperature: Multiplier,
}

/// Where the parts of a record start.
struct Offsets {
    keys: Layout,
    values: Layout,
    query_scales: Layout,
    key_scales: Layout,
    value_scales: Layout,
    gates: Layout,
    all: Layout,
}

impl Shape {
    /// Channels of all heads.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn offsets(&self) -> Offsets {
        let (codes, scales) = (self.rows * self.width(), self.rows * self.heads);
        let keys = Layout::new().add::<i8>(codes);
        let values = keys.add::<i8>(codes);
        let query_scales = values.add::<i8>(codes);
        let key_scales = query_scales.add::<u32>(scales);
        let value_scales = key_scales.add::<u32>(scales);
        let gates = value_scales.add::<u32>(scales);
        Offsets { keys, values, query_scales, key_scales, value_scales, gates, all: gates.add::<i16>(codes) }
    }

    /// Bytes of a record.
    pub fn record(&self) -> Layout {
        self.offsets().all
    }
}

/// A record that is being written.
#[derive(Debug)]
pub struct Record<'m> {
    shape: Shape,
    heads: HeadStore<'m>,
    gates: &'m mut [i16],
}

impl<'m> Record<'m> {
    /// Carves what [`Shape::record`] counts.
    pub fn carve(shape: &Shape, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            shape: *shape,
            heads: HeadStore::take(&mut arena, shape.heads, shape.rows, shape.head_width)?,
            gates: arena.take(shape.rows * shape.width())?,
        })
    }

    /// Quantizes and stores the rows from `first` on: their queries, keys, values and gates, `[rows, 4 * width]` in activation units.
    pub fn store(&mut self, backend: &Backend, first: usize, projections: &[i32]) {
        let width = self.shape.width();
        self.heads.write(backend, first, projections, 4 * width);
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

/// The scales of all keys and values, relative to each head's largest.
#[derive(Debug)]
pub struct Related<'m> {
    key_scale: &'m mut [i16],
    value_scale: &'m mut [i16],
    /// The largest key scale of every head, then the largest value scale.
    largest: &'m mut [u32],
    gathered: &'m mut [u32],
}

impl<'m> Related<'m> {
    /// Adds its bytes to `layout`.
    pub fn layout(layout: Layout, shape: &Shape) -> Layout {
        let Shape { heads, stride, .. } = *shape;
        layout.add::<i16>(heads * stride).add::<i16>(heads * stride).add::<u32>(2 * heads).add::<u32>(stride)
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(arena: &mut Arena<'m>, shape: &Shape) -> Result<Self, ArenaError> {
        let Shape { heads, stride, .. } = *shape;
        Ok(Self {
            key_scale: arena.take(heads * stride)?,
            value_scale: arena.take(heads * stride)?,
            largest: arena.take(2 * heads)?,
            gathered: arena.take(stride)?,
        })
    }

    /// Reads the scales of all `records`.
    pub fn fill(&mut self, shape: &Shape, records: &[u8]) {
        let Shape { heads, head_width, rows, keys, stride, .. } = *shape;
        let Offsets { key_scales, value_scales, all, .. } = shape.offsets();
        let record_len = all.bytes().unwrap_or(usize::MAX).max(1);
        for head in 0..heads {
            for values in [false, true] {
                let at = if values { value_scales } else { key_scales };
                for (record, out) in
                    records.chunks(record_len).zip(self.gathered[..keys].chunks_mut(rows.max(1)))
                {
                    let scales: &[u32] = piece(record, at, rows * heads);
                    let scales = scales.get(head * rows..).unwrap_or_default();
                    out.iter_mut().zip(scales).for_each(|(out, &scale)| *out = scale);
                }
                let (out, numerator) = if values {
                    (&mut *self.value_scale, i16::MAX)
                } else {
                    (&mut *self.key_scale, key_scale_max(head_width))
                };
                let out = &mut out[head * stride..][..stride];
                let largest = pack(relative_scales(&self.gathered[..keys], numerator, out));
                self.largest[if values { heads + head } else { head }] = largest;
            }
        }
    }
}

/// A worker's memory while it attends.
#[derive(Debug)]
pub struct Attending<'m> {
    scores: &'m mut [i32],
    weights: &'m mut [i16],
    gate: &'m mut [i32],
}

impl<'m> Attending<'m> {
    /// Adds its bytes to `layout`.
    pub fn layout(layout: Layout, shape: &Shape) -> Layout {
        layout
            .add::<i32>(QUERY_TILE * shape.stride)
            .add::<i16>(QUERY_TILE * shape.stride)
            .add::<i32>(shape.width())
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(arena: &mut Arena<'m>, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            scores: arena.take(QUERY_TILE * shape.stride)?,
            weights: arena.take(QUERY_TILE * shape.stride)?,
            gate: arena.take(shape.width())?,
        })
    }
}

/// What attending rows read.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'s> {
    /// Sizes.
    pub shape: Shape,
    /// All records.
    pub records: &'s [u8],
    /// Their relative scales.
    pub related: &'s Related<'s>,
}

impl Keys<'_> {
    /// Attention of the rows from `from` on of record `record`, gated: fills `out`, `[rows, width]` in activation units. `first_bias` is
    /// the record of `biases` for the first of them.
    #[expect(clippy::too_many_arguments, reason = "one tile's inputs and outputs")]
    pub fn attend(
        &self,
        backend: &Backend,
        record: usize,
        from: usize,
        biases: &Biases,
        first_bias: usize,
        memory: &mut Attending,
        out: &mut [i32],
    ) {
        let shape = &self.shape;
        let Shape { heads, head_width, rows, keys, stride, .. } = *shape;
        let width = shape.width();
        let count = out.len() / width.max(1);
        let offsets = shape.offsets();
        let record_len = offsets.all.bytes().unwrap_or(usize::MAX);
        let own = self.records.get(record.saturating_mul(record_len)..).unwrap_or_default();
        let queries: &[i8] = piece(own, Layout::new(), rows * width);
        let query_scales: &[u32] = piece(own, offsets.query_scales, rows * heads);
        let at =
            |layout: Layout, head: usize| layout.bytes().unwrap_or(usize::MAX / 2) + head * rows * head_width;
        for index in 0..heads {
            let key_max = unpack(self.related.largest[index]);
            let head = Head {
                blocks: self.records,
                block_len: record_len,
                keys_at: at(offsets.keys, index),
                values_at: at(offsets.values, index),
                block_rows: rows,
                width: head_width,
                keys,
                key_scale: &self.related.key_scale[index * stride..][..keys],
                value_scale: &self.related.value_scale[index * stride..][..keys],
                value_max: unpack(self.related.largest[heads + index]),
            };
            for tile in (0..count).step_by(QUERY_TILE) {
                let tile_rows = QUERY_TILE.min(count - tile);
                let first = from + tile;
                let mut factors = [Multiplier { mantissa: 0, shift: 0 }; QUERY_TILE];
                let scales = query_scales.get(index * rows + first..).unwrap_or_default();
                for (factor, &scale) in factors.iter_mut().zip(scales).take(tile_rows) {
                    *factor = bias_factor(unpack(scale), key_max, shape.temperature);
                }
                let mut sums = [0; QUERY_TILE];
                let queries = queries.get((index * rows + first) * head_width..).unwrap_or_default();
                (backend.attention)(
                    &head,
                    RowTile {
                        queries: queries.get(..tile_rows * head_width).unwrap_or_default(),
                        logits: Logits::Biased {
                            factors: &factors[..tile_rows],
                            bias: biases.of(first_bias + tile, index * stride),
                            bias_stride: biases.row(),
                        },
                        scores: &mut memory.scores[..tile_rows * stride],
                        weights: &mut memory.weights[..tile_rows * stride],
                        stride,
                        sums: &mut sums[..tile_rows],
                        out: &mut out[tile * width + index * head_width..],
                        out_stride: width,
                    },
                );
            }
        }
        let gates: &[i16] = piece(own, offsets.gates, rows * width);
        let gates = gates.get(from * width..).unwrap_or_default();
        for (x, gates) in out.chunks_exact_mut(width.max(1)).zip(gates.chunks_exact(width.max(1))) {
            let wide = memory.gate.iter_mut().zip(gates);
            wide.for_each(|(wide, &gate)| *wide = i32::from(gate) << (16 - GATE_FRAC));
            (backend.gate)(x, memory.gate);
        }
    }
}
