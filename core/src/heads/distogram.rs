//! Distogram: logits of the distance between two residues' CB atoms.

use super::PAIR_BINS;
use super::pairs::{Pairs, RowScratch, ToLogits};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::Linear;
use crate::nn::Context;

/// The distogram head.
#[derive(Clone, Copy, Debug)]
pub struct Distogram<'a> {
    /// Activation units.
    pub(super) to_logits: ToLogits<'a>,
}

impl<'a> Distogram<'a> {
    /// Reads `fold.heads.distogram`, for pairs of `pair_width` channels in units of `2^-pair_frac`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, pair_width: usize, pair_frac: u32) -> Result<Self, FormatError> {
        let linear = Linear::load(file, "fold.heads.distogram", pair_width, PAIR_BINS)?;
        Ok(Self { to_logits: ToLogits { linear, pair_frac } })
    }

    /// Bytes of one worker's scratch.
    fn scratch(&self, residues: usize) -> Result<usize, ArenaError> {
        bytes_of(|counter| RowScratch::take(counter, residues, self.to_logits.linear.inputs()))
    }

    /// Bytes of working memory.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn bytes(&self, residues: usize, workers: usize) -> Result<usize, ArenaError> {
        let scratch = self.scratch(residues)?.saturating_mul(workers.max(1));
        bytes_of(|counter| counter.take::<u8>(scratch))
    }

    /// Fills `out`, `[residues, residues, 64]`, with natural logits in activation units: the mean of those of
    /// (i, j) and of (j, i), rounded half up.
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`bytes`](Self::bytes) says.
    pub fn run(
        &self,
        pairs: &Pairs,
        out: &mut [i32],
        memory: &mut [u8],
        context: &Context,
    ) -> Result<(), ArenaError> {
        let residues = pairs.residues;
        let needed = self.bytes(residues, context.workers())?;
        let scratch = Arena::of_size(needed, memory)?.take(needed)?;
        context.for_each(out, residues.saturating_mul(PAIR_BINS), scratch, |i, out, mut scratch| {
            let scratch = RowScratch::take(&mut scratch, residues, self.to_logits.linear.inputs())?;
            let mut out = out.chunks_exact_mut(PAIR_BINS);
            self.to_logits.row(context.backend, pairs, i, scratch, |logits| {
                if let Some(out) = out.next() {
                    out.copy_from_slice(logits);
                }
            });
            Ok(())
        })?;
        symmetrise(out, residues);
        Ok(())
    }
}

/// Gives (i, j) and (j, i) of `[residues, residues, 64]` their mean, rounded half up.
pub(super) fn symmetrise(logits: &mut [i32], residues: usize) {
    let row = residues.saturating_mul(PAIR_BINS).max(1);
    for i in 0..residues {
        let Some((above, below)) = logits.split_at_mut_checked((i + 1) * row) else { return };
        let of_i = above.get_mut(i * row + (i + 1) * PAIR_BINS..).unwrap_or_default();
        // Row i from column i + 1 on against column i of the rows from i + 1 on.
        for (a, row) in of_i.chunks_exact_mut(PAIR_BINS).zip(below.chunks_exact_mut(row)) {
            let b = row.get_mut(i * PAIR_BINS..).unwrap_or_default();
            for (a, b) in a.iter_mut().zip(b) {
                let mean = (i64::from(*a) + i64::from(*b) + 1) >> 1;
                (*a, *b) = (mean as i32, mean as i32);
            }
        }
    }
}
