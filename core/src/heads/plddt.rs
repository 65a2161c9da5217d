//! pLDDT: the expected lDDT of every atom.

use super::shares::mean_of_bins;
use super::{ATOM_TYPES, PLDDT_BINS};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::{Epilogue, Linear};
use crate::nn::quantized_tile::QuantizedTile;
use crate::nn::{Context, Norm};

/// Logits of a residue.
const OUTPUTS: usize = ATOM_TYPES * PLDDT_BINS;

/// Residues that a worker takes at a time.
const ROWS: usize = 8;

/// The pLDDT head: LayerNorm, and three Linears without anything between them, which the file holds as one.
#[derive(Clone, Copy, Debug)]
pub struct Plddt<'a> {
    pub(super) norm: Norm<'a>,
    /// `width` to 37 atoms of 50 bins, units of 2^-16 log2.
    pub(super) linear: Linear<'a>,
    /// LayerNorm's epsilon in squares of the activation unit.
    pub(super) epsilon: u64,
}

/// A worker's scratch.
#[derive(Debug)]
struct Scratch<S: Source> {
    tile: QuantizedTile<S>,
    /// `[ROWS, 37, 50]`
    logits: S::Piece<i32>,
}

impl<S: Source> Scratch<S> {
    fn take(source: &mut S, width: usize) -> Result<Self, ArenaError> {
        Ok(Self { tile: QuantizedTile::take(source, width)?, logits: source.take(ROWS * OUTPUTS)? })
    }
}

impl<'a> Plddt<'a> {
    /// Reads `fold.heads.plddt`, for a state of `width` channels; `epsilon` is LayerNorm's, in squares of the
    /// activation unit.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, width: usize, epsilon: u64) -> Result<Self, FormatError> {
        let norm = Norm::load(file, "fold.heads.plddt.norm", width)?;
        let linear = Linear::load(file, "fold.heads.plddt.linear", width, OUTPUTS)?;
        Ok(Self { norm, linear, epsilon })
    }

    /// Bytes of working memory.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn bytes(&self, workers: usize) -> Result<usize, ArenaError> {
        let scratch = bytes_of(|counter| Scratch::take(counter, self.linear.inputs()))?;
        bytes_of(|counter| counter.take::<u8>(scratch.saturating_mul(workers.max(1))))
    }

    /// pLDDT of every atom of every residue in units of 2^-16, 0 to 65535 for 1: `out` is `[residues]` in the
    /// `atom37` layout, `state` `[residues, width]` in activation units.
    ///
    /// The mean of the bins' centres (k + 0.5) / 50, rounded half up. From the same logits in f64 it differs
    /// by at most 0.9 units (1.4e-5).
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`bytes`](Self::bytes) says, or `state` has fewer rows than
    /// `out`.
    pub fn run(
        &self,
        state: &[i32],
        out: &mut [[u16; ATOM_TYPES]],
        memory: &mut [u8],
        context: &Context,
    ) -> Result<(), ArenaError> {
        let needed = self.bytes(context.workers())?;
        let scratch = Arena::of_size(needed, memory)?.take(needed)?;
        let width = self.linear.inputs();
        let chunk = ROWS * ATOM_TYPES;
        context.for_each(out.as_flattened_mut(), chunk, scratch, |index, out, mut scratch| {
            let scratch = Scratch::take(&mut scratch, width)?;
            let rows = out.len() / ATOM_TYPES;
            let state = state.get(index * ROWS * width..).and_then(|rest| rest.get(..rows * width));
            self.rows(context, state.ok_or(ArenaError::WrongChunk)?, out, scratch);
            Ok(())
        })
    }

    /// Up to [`ROWS`] residues: `state` is `[residues, width]`, `out` `[residues, 37]`.
    fn rows(&self, context: &Context, state: &[i32], out: &mut [u16], scratch: Scratch<Arena>) {
        let Scratch { mut tile, logits } = scratch;
        tile.make_norm(context.backend, &self.norm, self.epsilon, state);
        tile.apply_made(context.backend, &self.linear, out.len() / ATOM_TYPES, Epilogue::Store, logits);
        for (out, logits) in out.iter_mut().zip(logits.chunks_exact(PLDDT_BINS)) {
            *out = mean_of_bins(logits);
        }
    }
}
