//! Attention: rows that attend to each other, plain or with a bias, gated or not.
//!
//! Queries, keys, values and gates lie in *records* of a multiple of 16 rows ([`Record`]), so that an
//! operation can make records in parallel: a block of tokens, a panel of residues, a whole row of pairs. Keys
//! and values have a scale for each row and head; once all records are written, these are made relative to
//! each head's largest ([`RelativeScales`]). Then any rows attend to all ([`Keys::attend`]).

mod record;
mod scales;

pub use record::{CODES, Record, quantize};
pub use scales::RelativeScales;

use crate::arena::{Arena, ArenaError, Counter, Reader, Source};
use crate::fixed::Multiplier;
use crate::kernels::Backend;
use crate::kernels::attention::{Head, Logits, QUERY_TILE, RowTile, Temperature, bias_factor, unpack};

/// Sizes of one kind of attention.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Heads.
    pub heads: usize,
    /// Channels of a head, a multiple of 8, at most 256.
    pub head_width: usize,
    /// Rows of a record, a multiple of 16.
    pub rows: usize,
    /// Rows that attend to each other: all keys.
    pub keys: usize,
    /// Keys rounded up to a multiple of 32.
    pub stride: usize,
    /// Whether each channel of the outputs has a gate.
    pub gated: bool,
    /// What a product of codes is worth: see [`Temperature::new`] (without a bias) and [`bias_factor`] (with
    /// one).
    pub temperature: Multiplier,
}

impl Shape {
    /// Channels of all heads.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Values of a row of projections: queries, keys, values, and gates if there are any.
    pub const fn projections(&self) -> usize {
        (3 + self.gated as usize) * self.width()
    }
}

/// What is added to the logits: that of each query lies `row` values after that of the query before, `[heads,
/// stride]` in units of 2^-16 log2.
#[derive(Clone, Copy, Debug)]
pub struct Biases<'b> {
    /// That of the first query, and all after it.
    pub values: &'b [i32],
    /// Values from one query to the next.
    pub row: usize,
}

impl<'b> Biases<'b> {
    /// The bias from value `from` of query `query` on.
    fn at(&self, query: usize, from: usize) -> &'b [i32] {
        self.values.get(query.saturating_mul(self.row).saturating_add(from)..).unwrap_or_default()
    }
}

/// A worker's memory while it attends.
#[derive(Debug)]
pub struct Scratch<S: Source> {
    /// `[QUERY_TILE, stride]`
    scores: S::Piece<i32>,
    /// `[QUERY_TILE, stride]`
    weights: S::Piece<i16>,
    /// One row's gates in activation units.
    gate: S::Piece<i32>,
}

impl<S: Source> Scratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let tile = QUERY_TILE.saturating_mul(shape.stride);
        Ok(Self {
            scores: source.take(tile)?,
            weights: source.take(tile)?,
            gate: source.take(if shape.gated { shape.width() } else { 0 })?,
        })
    }
}

/// Consecutive rows of a record.
#[derive(Clone, Copy, Debug)]
pub struct Queries {
    /// The record.
    pub record: usize,
    /// The first row within it.
    pub from: usize,
    /// How many.
    pub count: usize,
}

/// Attention weights that were just computed, for whoever wants them (contact maps do).
#[derive(Clone, Copy, Debug)]
pub struct Weights<'w> {
    /// The head.
    pub head: usize,
    /// The first query's row within its record.
    pub row: usize,
    /// Before normalisation, `[queries, stride]`, 0 to 32767. Beyond the keys nothing is meant.
    pub weights: &'w [i16],
    /// The sum of each query's weights.
    pub sums: &'w [u32],
}

/// What attending rows read.
#[derive(Debug)]
pub struct Keys<'s> {
    /// Sizes.
    pub shape: Shape,
    /// All records.
    pub records: &'s [u8],
    /// Their relative scales.
    pub scales: RelativeScales<Reader<'s>>,
}

impl Keys<'_> {
    /// Attention of some rows: fills `out`, `[count, width]` in activation units; gated if there are gates.
    /// `biases` begin with the first of them. `each` sees the attention weights tile by tile.
    ///
    /// # Errors
    /// The records are not as [`Record::take`] makes them.
    pub fn attend(
        &self,
        backend: &Backend,
        queries: Queries,
        biases: Option<Biases>,
        memory: &mut Scratch<Arena>,
        out: &mut [i32],
        mut each: impl FnMut(Weights),
    ) -> Result<(), ArenaError> {
        let Shape { heads, head_width, rows, .. } = self.shape;
        let width = self.shape.width();
        let Queries { record, from, count } = queries;
        let mut counter = Counter::default();
        let offsets = Record::take(&mut counter, &self.shape)?;
        let own = Record::take(&mut Reader::of_piece(self.records, record, counter.bytes()), &self.shape)?;
        for index in 0..heads {
            let head = self.head(index, &offsets, counter.bytes());
            for tile in (0..count).step_by(QUERY_TILE) {
                let tile_rows = QUERY_TILE.min(count - tile);
                let first = index * rows + from + tile;
                let mut sums = [0; QUERY_TILE];
                let bias = biases.map(|biases| (biases.at(tile, index * self.shape.stride), biases.row));
                let worth = Worth::new(self, index, &own.query_scales[first..][..tile_rows], bias.is_some());
                let len = tile_rows * self.shape.stride;
                (backend.attention)(
                    &head,
                    RowTile {
                        queries: &own.queries[first * head_width..][..tile_rows * head_width],
                        logits: worth.logits(tile_rows, bias),
                        scores: &mut memory.scores[..len],
                        weights: &mut memory.weights[..len],
                        stride: self.shape.stride,
                        sums: &mut sums[..tile_rows],
                        out: &mut out[tile * width + index * head_width..],
                        out_stride: width,
                    },
                );
                each(Weights {
                    head: index,
                    row: from + tile,
                    weights: &memory.weights[..len],
                    sums: &sums[..tile_rows],
                });
            }
        }
        if self.shape.gated {
            own.gate(backend, &self.shape, from, memory.gate, out);
        }
        Ok(())
    }

    /// One head's keys and values in all records, which are `record_len` bytes each.
    fn head(&self, index: usize, offsets: &Record<Counter>, record_len: usize) -> Head<'_> {
        let Shape { heads, head_width, rows, keys, stride, .. } = self.shape;
        let at = index * rows * head_width;
        Head {
            blocks: self.records,
            block_len: record_len,
            keys_at: offsets.keys + at,
            values_at: offsets.values + at,
            block_rows: rows,
            width: head_width,
            keys,
            key_scale: &self.scales.key_scale[index * stride..][..keys],
            value_scale: &self.scales.value_scale[index * stride..][..keys],
            value_max: unpack(self.scales.largest[heads + index]),
        }
    }
}

/// What the scores of a tile's queries are worth, without a bias or with one.
enum Worth {
    Plain([Temperature; QUERY_TILE]),
    Biased([Multiplier; QUERY_TILE]),
}

impl Worth {
    fn new(keys: &Keys, head: usize, query_scales: &[u32], biased: bool) -> Self {
        let (key_max, constant) = (unpack(keys.scales.largest[head]), keys.shape.temperature);
        let scales = query_scales.iter().map(|&scale| unpack(scale));
        if biased {
            let mut factors = [Multiplier { mantissa: 0, shift: 0 }; QUERY_TILE];
            factors.iter_mut().zip(scales).for_each(|(f, scale)| *f = bias_factor(scale, key_max, constant));
            Self::Biased(factors)
        } else {
            let mut temperatures = [Temperature::default(); QUERY_TILE];
            let each = temperatures.iter_mut().zip(scales);
            each.for_each(|(t, scale)| *t = Temperature::new(scale, key_max, constant));
            Self::Plain(temperatures)
        }
    }

    fn logits<'t>(&'t self, rows: usize, bias: Option<(&'t [i32], usize)>) -> Logits<'t> {
        match self {
            Self::Plain(temperatures) => Logits::Plain(&temperatures[..rows]),
            Self::Biased(factors) => {
                let (bias, bias_stride) = bias.unwrap_or_default();
                Logits::Biased { factors: &factors[..rows], bias, bias_stride }
            }
        }
    }
}
