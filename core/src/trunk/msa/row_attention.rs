//! Attention within the rows of an MSA, with a bias from the pairs.

use super::attention_weights::AttentionWeights;
use super::kept::{Kept, Tile};
use super::memory::Memory;
use super::scratch::{EntryScratch, RowScratch};
use super::shape::{Setting, Shape};
use crate::arena::{Arena, ArenaError, Reader, bytes_of};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::Linear;
use crate::nn::Norm;
use crate::nn::attention::{Biases, Keys, Queries, Record, RelativeScales};
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{Formats, Stream};
use crate::trunk::pair_bias::{self, BiasWeights, PairBiases};

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct RowAttention<'a> {
    pair_norm: Norm<'a>,
    /// Pair width to heads.
    pair_bias: Linear<'a>,
    weights: AttentionWeights<'a>,
}

impl<'a> RowAttention<'a> {
    /// Reads the tensors of the block `name`, for `heads` heads and representations of so many channels.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        heads: usize,
        [width, pair_width]: [usize; 2],
    ) -> Result<Self, FormatError> {
        let pair_norm = Norm::load(file, &join(name, "pair_bias.norm"), pair_width)?;
        let pair_bias = Linear::load(file, &join(name, "pair_bias.linear"), pair_width, heads)?;
        let weights = AttentionWeights::load(file, &join(name, "row_attention"), width)?;
        Ok(Self { pair_norm, pair_bias, weights })
    }

    /// Fills `memory.updated` with the kept entries of all rows after the attention, whose residues it lists;
    /// `msa` is as it was before.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        formats: &Formats,
        msa: &[u8],
        pair: &Stream,
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        let Setting { context, shape, .. } = *on;
        let Memory { kept, biases, records, scales, updated, scratch, .. } = memory;
        kept.fill(on);
        let kept = kept.read(shape);
        let weights = BiasWeights { norm: &self.pair_norm, linear: &self.pair_bias };
        let bias = pair_bias::Shape::of_sequence(shape.trunk);
        let biases = weights.run(&on.trunk(), bias, pair, biases, scratch)?;

        let stream = Stream { codes: msa, format: formats.before };
        let record = bytes_of(|counter| Record::take(counter, &shape.row_attention(0)))?;
        let all_records = record.saturating_mul(shape.tiles()).saturating_mul(shape.rows);
        let records = records.get_mut(..all_records).unwrap_or_default();
        context.for_each(records, record, scratch, |index, chunk, mut scratch| {
            let tile = kept.tile(index);
            if tile.residues.is_empty() {
                return Ok(());
            }
            let sizes = shape.row_attention(kept.of(tile.row).len());
            let mut record = Record::take(&mut Arena::new(chunk)?, &sizes)?;
            let mut scratch = EntryScratch::take(&mut scratch, shape)?;
            let count = scratch.gather(on, &stream, entries_of(shape, &tile));
            self.weights.project(on, count, &mut scratch, (&sizes, &mut record), 0);
            Ok(())
        })?;

        let row = record.saturating_mul(shape.tiles());
        let scales_of_row = bytes_of(|counter| RelativeScales::take(counter, &shape.row_attention(0)))?;
        let records = &*records;
        context.for_each(scales, scales_of_row, scratch, |index, chunk, _| {
            let sizes = shape.row_attention(kept.of(index).len());
            RelativeScales::take(&mut Arena::new(chunk)?, &sizes)?.fill(&sizes, piece(records, index, row))
        })?;

        let chunk = TILE * shape.trunk.sequence.code_row;
        context.for_each(updated, chunk, scratch, |index, codes, mut scratch| {
            let tile = kept.tile(index);
            if tile.residues.is_empty() {
                return Ok(());
            }
            let sizes = shape.row_attention(kept.of(tile.row).len());
            let mut scales = Reader::of_piece(scales, tile.row, scales_of_row);
            let scales = RelativeScales::take(&mut scales, &sizes)?;
            let keys = Keys { shape: sizes, records: piece(records, tile.row, row), scales };
            let mut scratch = RowScratch::take(&mut scratch, shape)?;
            attend(on, &kept, &tile, (&keys, &biases), &mut scratch)?;
            let entries = &mut scratch.entries;
            let count = entries.gather(on, &stream, entries_of(shape, &tile));
            self.weights.add(on, count, entries, formats.after.epilogue(codes));
            Ok(())
        })
    }
}

/// Attention of a tile's residues to all that their row keeps: fills `scratch.entries.update`.
fn attend(
    on: &Setting,
    kept: &Kept,
    tile: &Tile,
    (keys, biases): (&Keys, &PairBiases),
    scratch: &mut RowScratch<Arena>,
) -> Result<(), ArenaError> {
    let RowScratch { entries, attention, bias } = scratch;
    let stride = keys.shape.stride;
    let (width, row) = (on.shape.width(), keys.shape.heads * stride);
    let from = (0..).step_by(QUERY_TILE);
    let parts = tile.residues.chunks(QUERY_TILE).zip(entries.update.chunks_mut(QUERY_TILE * width));
    for (from, (queries, attended)) in from.zip(parts) {
        for (bias, &query) in bias.chunks_exact_mut(row).zip(queries) {
            let pairs = biases.of(query as usize).values.chunks_exact(stride);
            for (bias, pairs) in bias.chunks_exact_mut(stride).zip(pairs) {
                let each = bias.iter_mut().zip(kept.of(tile.row));
                each.for_each(|(bias, &key)| *bias = pairs.get(key as usize).copied().unwrap_or_default());
            }
        }
        let biases = Biases { values: bias, row };
        let attended = &mut attended[..queries.len() * width];
        let queries = Queries { record: tile.number, from, count: queries.len() };
        keys.attend(on.context.backend, queries, Some(biases), attention, attended, |_| ())?;
    }
    Ok(())
}

/// The numbers of a tile's entries in the stored representation.
fn entries_of<'t>(shape: &Shape, tile: &Tile<'t>) -> impl Iterator<Item = usize> + use<'t> {
    let (rows, row) = (shape.rows, tile.row);
    tile.residues.iter().map(move |&residue| (residue as usize).saturating_mul(rows).saturating_add(row))
}

/// All from piece number `index` on, of pieces of `len` bytes each.
fn piece(all: &[u8], index: usize, len: usize) -> &[u8] {
    all.get(index.saturating_mul(len)..).unwrap_or_default()
}
