//! What one worker of an operation on an MSA representation works in.

use super::shape::{Setting, Shape};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::PANEL;
use crate::nn::attention::{self, Record, RelativeScales};
use crate::nn::quantized_tile::{QuantizedTile, TILE};
use crate::nn::stream::Stream;

/// Rows whose left sides the outer product multiplies at a time.
pub const LEFT_ROWS: usize = 8;

/// A worker's scratch for some entries.
#[derive(Debug)]
pub struct EntryScratch<S: Source> {
    /// Decoded entries, `[TILE, width]`.
    pub stream: S::Piece<i32>,
    /// Context, `[TILE, width]`.
    pub update: S::Piece<i32>,
    /// Quantized entries.
    pub tile: QuantizedTile<S>,
    /// Outputs of the widest linear layer, `[TILE, 4 * width]`, or both sides of the outer product.
    pub outputs: S::Piece<i32>,
}

impl<S: Source> EntryScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let width = shape.width();
        Ok(Self {
            stream: source.take(TILE * width)?,
            update: source.take(TILE * width)?,
            tile: QuantizedTile::take(source, 4 * width)?,
            outputs: source.take(TILE * (4 * width).max(2 * shape.outer_width))?,
        })
    }
}

impl EntryScratch<Arena<'_>> {
    /// Decodes the entries with these numbers, one after another; returns how many they are.
    pub fn gather(&mut self, on: &Setting, from: &Stream, entries: impl Iterator<Item = usize>) -> usize {
        let mut count = 0;
        for (x, entry) in self.stream.chunks_exact_mut(on.shape.width().max(1)).zip(entries) {
            from.decode(on.context.backend, entry, x);
            count += 1;
        }
        count
    }
}

/// A worker's scratch for attention within a row.
#[derive(Debug)]
pub struct RowScratch<S: Source> {
    /// For the queries.
    pub entries: EntryScratch<S>,
    /// For attention.
    pub attention: attention::Scratch<S>,
    /// What the pairs of some queries with the residues that are kept add to their logits,
    /// `[QUERY_TILE, heads, stride]`.
    pub bias: S::Piece<i32>,
}

impl<S: Source> RowScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let sizes = shape.row_attention(0);
        Ok(Self {
            entries: EntryScratch::take(source, shape)?,
            attention: attention::Scratch::take(source, &sizes)?,
            bias: source.take(QUERY_TILE.saturating_mul(sizes.heads.saturating_mul(sizes.stride)))?,
        })
    }
}

/// A worker's scratch for a column.
#[derive(Debug)]
pub struct ColumnScratch<S: Source> {
    /// For some of its entries.
    pub entries: EntryScratch<S>,
    /// The column's record.
    pub record: S::Piece<u8>,
    /// Its relative scales.
    pub scales: RelativeScales<S>,
    /// For attention.
    pub attention: attention::Scratch<S>,
    /// The rows that keep the residue, and where each has it.
    pub members: S::Piece<[u32; 2]>,
}

impl<S: Source> ColumnScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let sizes = shape.column_attention(0);
        Ok(Self {
            entries: EntryScratch::take(source, shape)?,
            record: source.take(bytes_of(|counter| Record::take(counter, &sizes))?)?,
            scales: RelativeScales::take(source, &sizes)?,
            attention: attention::Scratch::take(source, &sizes)?,
            members: source.take(shape.rows)?,
        })
    }
}

/// A worker's scratch for the outer product's pairs of a residue.
#[derive(Debug)]
pub struct ProductScratch<S: Source> {
    /// Left sides, quantized.
    pub tile: QuantizedTile<S>,
    /// The matrices of some rows, `[LEFT_ROWS, outer width, pair width]`, activation units.
    pub products: S::Piece<i32>,
    /// Those of all rows, transposed: `[pair width, outer row]`.
    pub matrix: S::Piece<i32>,
    /// Codes of some of its rows, `[16, outer row]`.
    pub codes: S::Piece<i8>,
    /// The parts of the linear layer that they make: its weight, packed ...
    pub weight: S::Piece<i8>,
    /// ... its bias, zeros ...
    pub bias: S::Piece<i32>,
    /// ... mantissas ...
    pub mantissa: S::Piece<u16>,
    /// ... and shifts of its scales ...
    pub shift: S::Piece<i8>,
    /// ... and its sums of weights, each `[pair width]`.
    pub row_sum: S::Piece<i32>,
    /// Decoded pairs, `[TILE, pair width]`.
    pub stream: S::Piece<i32>,
}

impl<S: Source> ProductScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let width = shape.trunk.pair.width;
        let row = shape.outer_row();
        Ok(Self {
            tile: QuantizedTile::of_rows(source, LEFT_ROWS, shape.outer_width, 0)?,
            products: source.take(LEFT_ROWS.saturating_mul(shape.outer_width.saturating_mul(width)))?,
            matrix: source.take(width.saturating_mul(row))?,
            codes: source.take(PANEL.saturating_mul(row))?,
            weight: source.take(width.next_multiple_of(PANEL).saturating_mul(row))?,
            bias: source.take(width)?,
            mantissa: source.take(width)?,
            shift: source.take(width)?,
            row_sum: source.take(width)?,
            stream: source.take(TILE.saturating_mul(width))?,
        })
    }
}
