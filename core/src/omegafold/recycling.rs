//! What a cycle starts from: what the language model says, the residues and where they stand in the chain,
//! and the cycle before.

use super::config::{Config, DISTANCE_BINS, RESIDUES};
use super::distances;
use crate::arena::{ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::geometry::Residue;
use crate::kernels::linear::PANEL;
use crate::kernels::scalar::activation::add;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{StreamFormat, to_unit};
use crate::nn::{Context, Norm};
use crate::quant::STREAM_MAX;

/// Writes what the language model says of the residues of a row, or of a residue's pairs, from a number on:
/// `(row, first, out, scratch)`, as many as `out` holds and at most [`TILE`], in units of the representation.
pub type Features<'f> = dyn Fn(usize, usize, &mut [i32], &mut [u8]) -> Result<(), ArenaError> + Sync + 'f;

/// Where a representation is stored, and what is at hand to make it.
pub struct Work<'w> {
    /// What the language model says.
    pub features: &'w Features<'w>,
    /// Bytes of its scratch.
    pub features_bytes: usize,
    /// The representation's codes.
    pub codes: &'w mut [u8],
    /// [`Recycling::bytes`] of them.
    pub scratch: &'w mut [u8],
}

/// A representation, and the LayerNorm of what it was in the cycle before.
#[derive(Clone, Copy, Debug)]
struct Recycled<'a> {
    norm: Norm<'a>,
    /// Fractional bits of its unit.
    frac: u32,
    /// LayerNorm's epsilon in squares of its unit.
    epsilon: u64,
}

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Recycling<'a> {
    node: Recycled<'a>,
    pair: Recycled<'a>,
    /// `[16, pair_width]`, pair units, as all tables.
    distances: &'a [i32],
    /// `[21, pair_width]`: of the pair's first residue.
    row_types: &'a [i32],
    /// `[21, pair_width]`: of its second.
    column_types: &'a [i32],
    /// `[2 * position_bins + 1, pair_width]`
    positions: &'a [i32],
    position_bins: usize,
}

/// How a representation is stored after the cycle before, if there was one, and at the start of this one.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'s> {
    /// As the last block left it.
    pub before: Option<StreamFormat<'s>>,
    /// As the first block finds it.
    pub after: StreamFormat<'s>,
}

/// What pairs start from besides the cycle before.
#[derive(Clone, Copy, Debug)]
pub struct Geometry<'g> {
    /// The residues.
    pub residues: &'g [Residue],
    /// Where the structure before has them: as many.
    pub places: &'g [[i32; 3]],
}

/// A worker's scratch.
#[derive(Debug)]
struct Scratch<S: Source> {
    /// `[TILE, width]`
    stream: S::Piece<i32>,
    /// `[TILE, width]`
    update: S::Piece<i32>,
    /// For [`Features`].
    features: S::Piece<u8>,
}

impl<S: Source> Scratch<S> {
    fn take(source: &mut S, width: usize, features_bytes: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            stream: source.take(TILE * width)?,
            update: source.take(TILE * width)?,
            features: source.take(features_bytes)?,
        })
    }
}

impl<'a> Recycling<'a> {
    /// Reads the tensors.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let table = |name, rows: usize| {
            let table = file.i32s(name, &[rows, config.pair_width])?;
            if table.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
                return Err(FormatError::bad_value(name, "a value exceeds 2^23 units"));
            }
            Ok(table)
        };
        Ok(Self {
            node: Recycled {
                norm: Norm::load(file, "fold.recycling.node_norm", config.node_width)?,
                frac: config.node_frac,
                epsilon: config.epsilon_node,
            },
            pair: Recycled {
                norm: Norm::load(file, "fold.recycling.pair_norm", config.pair_width)?,
                frac: config.pair_frac,
                epsilon: config.epsilon_pair,
            },
            distances: table("fold.recycling.distances", DISTANCE_BINS)?,
            row_types: table("fold.embedding.row_types", RESIDUES)?,
            column_types: table("fold.embedding.column_types", RESIDUES)?,
            positions: table("fold.embedding.positions", config.positions())?,
            position_bins: config.position_bins,
        })
    }

    /// Bytes of working memory for `workers` workers; `features_bytes` are those that [`Features`] needs.
    ///
    /// # Errors
    /// They exceed the address width.
    pub fn bytes(&self, features_bytes: usize, workers: usize) -> Result<usize, ArenaError> {
        let width = self.node.width().max(self.pair.width());
        Ok(bytes_of(|counter| Scratch::take(counter, width, features_bytes))?.saturating_mul(workers))
    }

    /// Stores the node representation, `[residues, rows]`: what the language model says, in row 0, that of
    /// the sequence itself, with the LayerNorm of that row in the cycle before (of zeros in the first cycle).
    /// Residues are computed in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn node(
        &self,
        context: &Context,
        rows: usize,
        turn: &Turn,
        Work { features, features_bytes, codes, scratch }: Work,
    ) -> Result<(), ArenaError> {
        let (width, code_row) = (self.node.width(), turn.after.code_row);
        let column = rows.saturating_mul(code_row);
        let chunk = PANEL.saturating_mul(column);
        // One row of all residues.
        let (before, after) = (turn.before.map(|format| format.each(column)), turn.after.each(column));
        context.for_each(codes, chunk, scratch, |index, codes, mut scratch| {
            let scratch = Scratch::take(&mut scratch, width, features_bytes)?;
            let values = codes.len().div_ceil(column.max(1)) * width;
            let (stream, update) = (&mut scratch.stream[..values], &mut scratch.update[..values]);
            for row in 0..rows {
                let codes = codes.get_mut(row * code_row..).ok_or(ArenaError::WrongChunk)?;
                match row {
                    0 => self.node.recycle(context, before, codes, stream, update),
                    _ => update.fill(0),
                }
                features(row, index * PANEL, stream, scratch.features)?;
                add(stream, update);
                after.encode(context.backend, stream, codes);
            }
            Ok(())
        })
    }

    /// Stores the pair representation, `[residues, residues]`: what the language model says, both residues,
    /// the offset from the first to the second, the bin of the distance that they have in the structure
    /// before (bin 0 in the first cycle), and the LayerNorm of the pair in the cycle before (of zeros in the
    /// first cycle). Rows are computed in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn pair(
        &self,
        context: &Context,
        geometry: &Geometry,
        turn: &Turn,
        Work { features, features_bytes, codes, scratch }: Work,
    ) -> Result<(), ArenaError> {
        let (width, code_row) = (self.pair.width(), turn.after.code_row);
        let residues = geometry.residues.len();
        context.for_each(codes, residues.saturating_mul(code_row), scratch, |i, codes, mut scratch| {
            let scratch = Scratch::take(&mut scratch, width, features_bytes)?;
            for first in (0..residues).step_by(TILE) {
                let values = TILE.min(residues - first) * width;
                let codes = codes.get_mut(first * code_row..).ok_or(ArenaError::WrongChunk)?;
                let (stream, update) = (&mut scratch.stream[..values], &mut scratch.update[..values]);
                self.pair.recycle(context, turn.before, codes, stream, update);
                for (j, sum) in (first..).zip(update.chunks_exact_mut(width)) {
                    self.tables(geometry, turn.before.is_some(), i, j).for_each(|row| add(sum, row));
                }
                features(i, first, stream, scratch.features)?;
                add(stream, update);
                turn.after.encode(context.backend, stream, codes);
            }
            Ok(())
        })
    }

    /// What a pair adds to itself from each table.
    fn tables(
        &self,
        &Geometry { residues, places }: &Geometry,
        again: bool,
        i: usize,
        j: usize,
    ) -> impl Iterator<Item = &'a [i32]> {
        let kind = |index: usize| residues.get(index).map_or(Residue::X.index(), |residue| residue.index());
        let bin = match (places.get(i), places.get(j)) {
            (Some(&a), Some(&b)) if again => distances::bin(a, b),
            _ => 0,
        };
        let width = self.pair.width();
        [
            (self.distances, bin.into()),
            (self.row_types, kind(i)),
            (self.column_types, kind(j)),
            (self.positions, position(i, j, self.position_bins)),
        ]
        .into_iter()
        .map(move |(table, row)| table.get(row * width..(row + 1) * width).unwrap_or_default())
    }
}

impl Recycled<'_> {
    /// Channels.
    const fn width(&self) -> usize {
        self.norm.gain.len()
    }

    /// Writes to `update` what rows add to those of the next cycle, in units of the representation. `codes`
    /// are theirs, stored as `before` says; without it they are zeros. `stream` holds as many values.
    fn recycle(
        &self,
        context: &Context,
        before: Option<StreamFormat>,
        codes: &[u8],
        stream: &mut [i32],
        update: &mut [i32],
    ) {
        match before {
            Some(before) => before.decode(context.backend, codes, stream),
            None => stream.fill(0),
        }
        self.norm.apply(context.backend, self.epsilon, stream, update);
        update.iter_mut().for_each(|y| *y = to_unit(*y, self.frac));
    }
}

/// The row of the position's embedding for the pair (i, j): of j - i, clamped to `bins`.
fn position(i: usize, j: usize, bins: usize) -> usize {
    (j + bins).saturating_sub(i).min(2 * bins)
}

#[cfg(test)]
mod tests;
