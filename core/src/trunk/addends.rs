//! What an operation on pairs adds to: the pairs that it reads, or others.

use super::shape::Shape;
use crate::kernels::Backend;
use crate::nn::stream::{Formats, Stream};

/// The pairs that an operation adds to. They needn't be those that it reads, so that several operations can
/// read the same pairs and add to one sum.
#[derive(Clone, Copy, Debug)]
pub struct Addends<'s> {
    /// How the pairs are stored, and how their sums are.
    pub formats: &'s Formats<'s>,
    /// Where the pairs lie; none: where their sums are stored, so that these take their place.
    pub codes: Option<&'s [u8]>,
}

impl Addends<'_> {
    /// Bytes of the sums of one residue with all others.
    pub const fn sums_row(&self, shape: &Shape) -> usize {
        shape.residues.saturating_mul(self.formats.after.code_row)
    }

    /// Decodes as many pairs from number `first` on as `x` holds; `sums` is where their sums are stored.
    pub fn decode(&self, backend: &Backend, first: usize, sums: &[u8], x: &mut [i32]) {
        let format = self.formats.before;
        match self.codes {
            Some(codes) => Stream { codes, format }.decode(backend, first, x),
            None => format.decode(backend, sums, x),
        }
    }
}
