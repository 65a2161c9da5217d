//! pLDDT: the expected lDDT of every atom.

use super::shares::{mean, sums};
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::esmfold::config::{ATOM_TYPES, Config, PLDDT_BINS};
use crate::esmfold::rows::Codes;
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, Then};

/// Logits of a residue.
const OUTPUTS: usize = ATOM_TYPES * PLDDT_BINS;

/// Residues that a worker takes at a time.
const ROWS: usize = 8;

/// The pLDDT head: LayerNorm, and three Linears without anything between them, which the file holds as one.
#[derive(Clone, Copy, Debug)]
pub struct Plddt<'a> {
    pub(super) norm: Norm<'a>,
    /// `structure.width` to 37 atoms of 50 bins, units of 2^-16 log2.
    pub(super) linear: Linear<'a>,
    pub(super) epsilon: u64,
}

impl<'a> Plddt<'a> {
    /// Reads `fold.heads.plddt`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let width = config.structure.width;
        Ok(Self {
            norm: Norm::load(file, "fold.heads.plddt.norm", width)?,
            linear: Linear::load(file, "fold.heads.plddt.linear", width, OUTPUTS)?,
            epsilon: config.epsilon_activation,
        })
    }

    fn scratch_layout(&self) -> Layout {
        let width = self.linear.inputs();
        Codes::layout(Layout::new(), width).add::<i32>(ROWS * OUTPUTS)
    }

    /// Bytes of working memory.
    pub fn layout(&self, workers: usize) -> Layout {
        Layout::new().repeat(self.scratch_layout(), workers.max(1))
    }

    /// pLDDT of every atom of every residue in units of 2^-16, 0 to 65535 for 1: `out` is `[residues]` in the `atom37` layout, `state`
    /// `[residues, structure.width]` in activation units.
    ///
    /// The mean of the bins' centres (k + 0.5) / 50, rounded half up. From the same logits in f64 it differs by at most 0.9 units (1.4e-5).
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`layout`](Self::layout) says.
    pub fn run(
        &self,
        state: &[i32],
        out: &mut [[u16; ATOM_TYPES]],
        memory: &mut [u8],
        backend: &Backend,
        executor: &dyn Executor,
    ) -> Result<(), ArenaError> {
        let scratch = Arena::new(memory)?.take::<u8>(self.layout(executor.workers()).bytes()?)?;
        let width = self.linear.inputs();
        let chunk = ROWS * size_of::<[u16; ATOM_TYPES]>();
        let out = bytemuck::cast_slice_mut(out.as_flattened_mut());
        executor.for_each(out, chunk, scratch, &|index, out, scratch| {
            let state = state.get(index * ROWS * width..).unwrap_or_default();
            if let Ok(out) = bytemuck::try_cast_slice_mut(out) {
                // Carving can't fail: the scratch was counted above.
                let _ = self.rows(state, out, scratch, backend);
            }
        });
        Ok(())
    }

    /// Up to [`ROWS`] residues: as many as `out`, `[residues * 37]`, holds.
    fn rows(
        &self,
        state: &[i32],
        out: &mut [u16],
        scratch: &mut [u8],
        backend: &Backend,
    ) -> Result<(), ArenaError> {
        let width = self.linear.inputs();
        let mut arena = Arena::new(scratch)?;
        let mut codes = Codes::carve(&mut arena, width)?;
        let logits = arena.take::<i32>(ROWS * OUTPUTS)?;
        let rows = out.len() / ATOM_TYPES;
        let fill = |row: usize, normed: &mut [i32]| {
            let state = state.get(row * width..).and_then(|rest| rest.get(..width)).unwrap_or_default();
            self.norm.apply(backend, self.epsilon, state, normed);
        };
        codes.apply_with(backend, &self.linear, rows, fill, Then::Store, logits);
        for (out, logits) in out.iter_mut().zip(logits.chunks_exact(PLDDT_BINS)) {
            *out = expected(logits);
        }
        Ok(())
    }
}

/// The expected lDDT, unit 2^-16, from an atom's logits, units of 2^-16 log2.
pub(super) fn expected(logits: &[i32]) -> u16 {
    // A centre is (2 k + 1) / 100.
    let ([sum], total) = sums(logits, |bin| [(2 * bin as u32 + 1) << 16]);
    mean(sum, total.saturating_mul(2 * PLDDT_BINS as u64)).min(u16::MAX.into()) as u16
}
