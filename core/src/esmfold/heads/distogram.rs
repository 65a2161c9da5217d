//! Distogram: logits of the distance between two residues' CB atoms.

use super::pairs::{Pairs, RowScratch};
use crate::arena::{Arena, ArenaError, Layout};
use crate::esmfold::config::{Config, PAIR_BINS};
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::Linear;

/// The distogram head.
#[derive(Clone, Copy, Debug)]
pub struct Distogram<'a> {
    /// `pair_width` to 64 bins, activation units.
    pub(super) linear: Linear<'a>,
    pub(super) config: Config,
}

impl<'a> Distogram<'a> {
    /// Reads `fold.heads.distogram`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let linear = Linear::load(file, "fold.heads.distogram", config.pair_width, PAIR_BINS)?;
        Ok(Self { linear, config: *config })
    }

    /// Bytes of working memory.
    pub fn layout(&self, residues: usize, workers: usize) -> Layout {
        Layout::new().repeat(RowScratch::layout(&self.config, residues), workers.max(1))
    }

    /// Fills `out`, `[residues, residues, 64]`, with natural logits in activation units: the mean of those of (i, j) and of (j, i), rounded
    /// half up.
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`layout`](Self::layout) says.
    pub fn run(
        &self,
        pairs: &Pairs,
        out: &mut [i32],
        memory: &mut [u8],
        backend: &Backend,
        executor: &dyn Executor,
    ) -> Result<(), ArenaError> {
        let residues = pairs.residues;
        let scratch = Arena::new(memory)?.take::<u8>(self.layout(residues, executor.workers()).bytes()?)?;
        let row = residues.saturating_mul(PAIR_BINS);
        let chunk = row.saturating_mul(size_of::<i32>());
        executor.for_each(bytemuck::cast_slice_mut(out), chunk, scratch, &|i, out, scratch| {
            let Ok(out) = bytemuck::try_cast_slice_mut::<_, i32>(out) else { return };
            // Carving can't fail: the scratch was counted above.
            let Ok(mut scratch) = RowScratch::carve(&self.config, residues, scratch) else { return };
            let mut out = out.chunks_exact_mut(PAIR_BINS);
            let decode = |row: &mut [i32]| (pairs.rows)(i, row);
            scratch.logits(backend, &self.linear, self.config.pair_frac, decode, |logits| {
                if let Some(out) = out.next() {
                    out.copy_from_slice(logits);
                }
            });
        });
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
