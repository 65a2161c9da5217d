//! The pair representation on its way through a head's Linear.

use crate::arena::{Arena, ArenaError, Layout};
use crate::esmfold::config::{Config, PAIR_BINS};
use crate::esmfold::rows::{Codes, TILE, to_activation};
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, Then};

/// Decodes row `i` of the pair representation: fills `[residues, pair width]` with the pairs (i, 0) .. in pair stream units.
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
pub struct RowScratch<'m> {
    /// A decoded row, `[residues, pair width]`.
    pairs: &'m mut [i32],
    codes: Codes<'m>,
    /// `[TILE, 64]`
    logits: &'m mut [i32],
}

impl<'m> RowScratch<'m> {
    /// Its bytes.
    pub fn layout(config: &Config, residues: usize) -> Layout {
        let pairs = Layout::new().add::<i32>(residues.saturating_mul(config.pair_width));
        Codes::layout(pairs, config.pair_width).add::<i32>(TILE * PAIR_BINS)
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(config: &Config, residues: usize, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: arena.take(residues.saturating_mul(config.pair_width))?,
            codes: Codes::carve(&mut arena, config.pair_width)?,
            logits: arena.take(TILE * PAIR_BINS)?,
        })
    }

    /// Hands `each` the logits `[64]` of the pairs (i, 0), (i, 1) .. in that order.
    pub fn logits(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        frac: u32,
        row: impl FnOnce(&mut [i32]),
        mut each: impl FnMut(&[i32]),
    ) {
        let width = linear.inputs().max(1);
        row(self.pairs);
        for pairs in self.pairs.chunks(TILE * width) {
            let rows = pairs.len() / width;
            let fill = |pair: usize, row: &mut [i32]| {
                let pair = pairs.get(pair * width..).unwrap_or_default();
                row.iter_mut().zip(pair).for_each(|(out, &x)| *out = to_activation(x, frac));
            };
            self.codes.apply_with(backend, linear, rows, fill, Then::Store, self.logits);
            self.logits.chunks_exact(PAIR_BINS).take(rows).for_each(&mut each);
        }
    }
}
