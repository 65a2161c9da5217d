//! The pair representation on its way through a head's Linear.

use super::PAIR_BINS;
use crate::arena::{Arena, ArenaError, Source};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::nn::quantized_tile::{QuantizedTile, TILE};
use crate::nn::stream::to_activation;

/// Decodes row `i` of the pair representation: fills `[residues, pair width]` with the pairs (i, 0) .. in
/// pair stream units.
pub type PairRows<'r> = dyn Fn(usize, &mut [i32]) + Sync + 'r;

/// The pair representation of a sequence.
#[derive(Clone, Copy)]
pub struct Pairs<'r> {
    /// Residues, linkers included.
    pub residues: usize,
    /// Its rows.
    pub rows: &'r PairRows<'r>,
}

/// A worker's scratch: what a row of pairs needs on its way to logits.
#[derive(Debug)]
pub struct RowScratch<S: Source> {
    /// A decoded row, `[residues, pair width]`.
    pairs: S::Piece<i32>,
    tile: QuantizedTile<S>,
    /// `[TILE, 64]`
    logits: S::Piece<i32>,
}

impl<S: Source> RowScratch<S> {
    /// Takes its pieces, for pairs of `width` channels.
    pub fn take(source: &mut S, residues: usize, width: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            pairs: source.take(residues.saturating_mul(width))?,
            tile: QuantizedTile::take(source, width)?,
            logits: source.take(TILE * PAIR_BINS)?,
        })
    }
}

/// A head's Linear from pairs to 64 bins.
#[derive(Clone, Copy, Debug)]
pub struct ToLogits<'a> {
    /// `pair width` to 64.
    pub linear: Linear<'a>,
    /// Fractional bits of the pair representation's unit, at most 16.
    pub pair_frac: u32,
}

impl ToLogits<'_> {
    /// Hands `each` the logits `[64]` of the pairs (i, 0), (i, 1) .. in that order.
    pub fn row(
        &self,
        backend: &Backend,
        pairs: &Pairs,
        i: usize,
        scratch: RowScratch<Arena>,
        mut each: impl FnMut(&[i32]),
    ) {
        let width = self.linear.inputs().max(1);
        let RowScratch { pairs: row, mut tile, logits } = scratch;
        (pairs.rows)(i, row);
        for pairs in row.chunks(TILE * width) {
            let rows = pairs.len() / width;
            for (out, &x) in tile.rows().iter_mut().zip(pairs) {
                *out = to_activation(x, self.pair_frac);
            }
            tile.apply_made(backend, &self.linear, rows, Epilogue::Store, logits);
            logits.chunks_exact(PAIR_BINS).take(rows).for_each(&mut each);
        }
    }
}
