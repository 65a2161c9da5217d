//! What a caller sees of the trunk while it runs.

use crate::kernels::Backend;
use crate::nn::stream::Stream;

/// The sequence and the pair representation between two blocks of the trunk, to read.
#[derive(Clone, Copy)]
pub struct Representations<'s> {
    pub(crate) backend: &'s Backend,
    pub(crate) sequence: Stream<'s>,
    pub(crate) pair: Stream<'s>,
}

impl Representations<'_> {
    /// Reads as many residues of the sequence representation, from number `first` on, as `x` holds: `[rows,
    /// channels]`, channels and unit as the model's configuration says. What is not a whole row, or beyond the
    /// last one, stays as it is.
    pub fn sequence(&self, first: usize, x: &mut [i32]) {
        self.sequence.decode(self.backend, first, x);
    }

    /// Reads as many pairs of residues, from number `first` on, as `x` holds: `[rows, channels]`, channels and
    /// unit as the model's configuration says. The pair (i, j) of L residues has number `L * i + j`. What is
    /// not a whole row, or beyond the last one, stays as it is.
    pub fn pair(&self, first: usize, x: &mut [i32]) {
        self.pair.decode(self.backend, first, x);
    }
}

impl core::fmt::Debug for Representations<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Representations").finish_non_exhaustive()
    }
}
