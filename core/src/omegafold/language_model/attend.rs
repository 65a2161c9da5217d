//! Attention within a row: one head, whose values are many times as wide as its queries and keys.
//!
//! The kernel has heads whose queries, keys and values are equally wide; so the values are cut into slices as
//! wide as queries, and each slice is a head of the same queries and keys. Their weights are the same every
//! time, and the maps take those of the first.

use super::records::{KeyRecord, RowScales};
use super::rows::{KeyLists, Keys};
use super::shape::Shape;
use crate::arena::{Arena, ArenaError, Counter, Reader, Source, bytes_of};
use crate::fixed::{Multiplier, TokenScale};
use crate::kernels::Backend;
use crate::kernels::attention::{ContactWeight, Head, Logits, QUERY_TILE, RowTile, bias_factor, unpack};

/// What adds a probability to a map as it is.
const WHOLE: ContactWeight = ContactWeight { weight: 1 << 14, shift: 14 };

/// What attending tokens read.
#[derive(Debug)]
pub struct Attention<'s> {
    /// Sizes.
    pub shape: &'s Shape,
    /// Keys and values of all rows.
    pub records: &'s [u8],
    /// Their relative scales.
    pub scales: &'s [u8],
    /// Which residues they are of.
    pub keys: KeyLists<'s>,
    /// What a score is worth per base-2 logarithm of the number of keys:
    /// [`stream_temperature`](crate::omegafold::Config::stream_temperature).
    pub temperature: Multiplier,
    /// What is added to the logits at each offset from query to key, from the lowest on.
    pub offsets: &'s [i32],
}

/// Queries of consecutive residues of one row, at most [`QUERY_TILE`].
#[derive(Clone, Copy, Debug)]
pub struct Queries<'q> {
    /// The row.
    pub row: usize,
    /// The first residue.
    pub residue: usize,
    /// `[queries, query_width]`
    pub codes: &'q [i8],
    /// One scale a query.
    pub scales: &'q [TokenScale],
}

/// A worker's memory while it attends.
#[derive(Debug)]
pub struct Scratch<S: Source> {
    /// `[QUERY_TILE, stride]`
    scores: S::Piece<i32>,
    /// `[QUERY_TILE, stride]`
    weights: S::Piece<i16>,
    /// `[QUERY_TILE, stride]`
    bias: S::Piece<i32>,
    /// One query's probabilities, key by key.
    probabilities: S::Piece<i32>,
    /// What the kernel sums over queries, which nobody reads.
    columns: S::Piece<u32>,
}

impl<S: Source> Scratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let stride = shape.stride();
        let tile = QUERY_TILE.saturating_mul(stride);
        Ok(Self {
            scores: source.take(tile)?,
            weights: source.take(tile)?,
            bias: source.take(tile)?,
            probabilities: source.take(stride)?,
            columns: source.take(stride)?,
        })
    }
}

impl Attention<'_> {
    /// Fills `out`, `[queries, value_width]` in activation units, and adds the queries' attention to their
    /// maps, `sums`, `[queries, stride]` in units of 2^-16.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn attend(
        &self,
        backend: &Backend,
        queries: Queries,
        memory: &mut Scratch<Arena>,
        out: &mut [i32],
        sums: &mut [i32],
    ) -> Result<(), ArenaError> {
        let Shape { query_width: width, value_width, .. } = *self.shape;
        let (stride, count) = (self.shape.stride(), queries.scales.len().min(QUERY_TILE));
        let keys = self.keys.of(queries.row);
        let record = bytes_of(|counter| RowScales::take(counter, self.shape))?;
        let scales = RowScales::take(&mut Reader::of_piece(self.scales, queries.row, record), self.shape)?;
        let key_max = unpack(scales.largest.first().copied().unwrap_or(0));
        let constant = self.temperature.then(keys.log2());
        let mut factors = [Multiplier::default(); QUERY_TILE];
        for (factor, &scale) in factors.iter_mut().zip(queries.scales) {
            *factor = bias_factor(scale, key_max, constant);
        }
        let len = count * stride;
        let bias = &mut memory.bias[..len];
        for (residue, bias) in (queries.residue..).zip(bias.chunks_exact_mut(stride)) {
            fill_bias(residue, &keys, self.offsets, bias);
        }
        for (slice, &value_max) in scales.largest.iter().skip(1).enumerate() {
            let head = self.head(queries.row, slice, &keys, &scales, unpack(value_max))?;
            let mut of_queries = [0; QUERY_TILE];
            let tile = RowTile {
                queries: queries.codes,
                logits: Logits::Biased {
                    factors: &factors[..count],
                    bias: &memory.bias[..len],
                    bias_stride: stride,
                },
                scores: &mut memory.scores[..len],
                weights: &mut memory.weights[..len],
                stride,
                sums: &mut of_queries[..count],
                out: out.get_mut(slice * width..).unwrap_or_default(),
                out_stride: value_width,
            };
            (backend.attention)(&head, tile);
            if slice == 0 {
                let rows = memory.weights[..len].chunks_exact(stride).zip(of_queries);
                for ((weights, sum), map) in rows.zip(sums.chunks_exact_mut(stride)) {
                    let probabilities = (&mut *memory.probabilities, &mut *memory.columns);
                    add_map(backend, (weights, sum), &keys, probabilities, &mut map[..self.shape.residues]);
                }
            }
        }
        Ok(())
    }

    /// One slice of a row's values, with its keys.
    fn head<'h>(
        &'h self,
        row: usize,
        slice: usize,
        keys: &Keys,
        scales: &RowScales<Reader<'h>>,
        value_max: TokenScale,
    ) -> Result<Head<'h>, ArenaError> {
        let Shape { query_width: width, key_block, .. } = *self.shape;
        let mut counter = Counter::default();
        let offsets = KeyRecord::take(&mut counter, self.shape)?;
        let (block_len, count) = (counter.bytes(), keys.at.len());
        let len = block_len * self.shape.key_blocks();
        let values = scales.values.get(slice * self.shape.stride()..).unwrap_or_default();
        Ok(Head {
            blocks: self.records.get(row * len..(row + 1) * len).unwrap_or_default(),
            block_len,
            keys_at: offsets.keys,
            values_at: offsets.values + slice * key_block * width,
            block_rows: key_block,
            width,
            keys: count,
            key_scale: scales.keys.get(..count).unwrap_or_default(),
            value_scale: values.get(..count).unwrap_or_default(),
            value_max,
        })
    }
}

/// Fills `bias` with what is added to the logits of the query of `residue`, key by key: nothing where all are
/// attended to alike.
fn fill_bias(residue: usize, keys: &Keys, offsets: &[i32], bias: &mut [i32]) {
    let bias = &mut bias[..keys.at.len()];
    if keys.kept == 0 {
        return bias.fill(0);
    }
    let farthest = offsets.len() / 2;
    let [lowest, highest] = [offsets.first(), offsets.last()].map(|end| end.copied().unwrap_or(0));
    // Keys are ascending: those too far before, those near, those too far after.
    let near = keys.at.partition_point(|&key| usize::from(key) + farthest < residue);
    let after = keys.at.partition_point(|&key| usize::from(key) <= residue + farthest);
    bias[..near].fill(lowest);
    for (bias, &key) in bias[near..after].iter_mut().zip(&keys.at[near..after]) {
        *bias = offsets.get(usize::from(key) + farthest - residue).copied().unwrap_or(0);
    }
    bias[after..].fill(highest);
}

/// Adds a query's attention, whose weights are given with their sum, to its map.
fn add_map(
    backend: &Backend,
    (weights, sum): (&[i16], u32),
    keys: &Keys,
    (probabilities, columns): (&mut [i32], &mut [u32]),
    map: &mut [i32],
) {
    let weights = &weights[..keys.at.len()];
    if weights.len() == map.len() {
        (backend.contact)(weights, sum, WHOLE, map, columns);
        return;
    }
    let probabilities = &mut probabilities[..weights.len()];
    probabilities.fill(0);
    (backend.contact)(weights, sum, WHOLE, probabilities, columns);
    for (&key, &probability) in keys.at.iter().zip(&*probabilities) {
        if let Some(total) = map.get_mut(usize::from(key)) {
            *total = total.wrapping_add(probability);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn each_key_has_the_bias_of_its_offset() {
        let offsets: Vec<i32> = (-3..=3).collect();
        let at: Vec<u16> = (0..20).filter(|at| at % 3 != 1).collect();
        let keys = Keys { at: &at, kept: at.len() as u32 };
        for residue in 0..20 {
            let mut bias = vec![99; 32];
            fill_bias(residue, &keys, &offsets, &mut bias);
            let expected = at.iter().map(|&key| (i32::from(key) - residue as i32).clamp(-3, 3));
            assert!(bias.iter().copied().zip(expected).all(|(found, expected)| found == expected));
            assert!(bias[at.len()..].iter().all(|&bias| bias == 99));
            fill_bias(residue, &Keys { at: &at, kept: 0 }, &offsets, &mut bias);
            assert!(bias[..at.len()].iter().all(|&bias| bias == 0));
        }
    }
}
