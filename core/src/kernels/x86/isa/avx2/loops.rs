//! The loops: weights and keys are widened once for many rows.

use super::{Avx2, matrix, pairs as tiles, score};
use crate::kernels::attention::{Head, Temperature};
use crate::kernels::x86::generic::loops::Loops;
use crate::kernels::x86::generic::matrix::{Output, Rows, products};
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::softmax::SoftmaxRows;
use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::{self, Pair};

/// Fewer rows are not worth weights that are widened for all of them.
const MANY_ROWS: usize = 4;

impl Loops for Avx2 {
    #[inline(always)]
    fn score<const R: usize>(self, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
        // SAFETY: the machine has the features.
        unsafe { score::score(head, &queries[..R * head.width], stride, scores) }
    }

    #[inline(always)]
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[Pair; W]; R]) {
        if !R.is_multiple_of(tiles::ROWS) {
            return pairs.add(self, sums);
        }
        for (tile, sums) in sums.as_chunks_mut::<{ tiles::ROWS }>().0.iter_mut().enumerate() {
            let weights = pairs.weights.get(tile * tiles::ROWS * pairs.stride..).unwrap_or_default();
            let pairs = Pairs { weights, ..pairs };
            let done = match <&mut [Pair; tiles::ROWS]>::try_from(sums.as_flattened_mut()) {
                // SAFETY: the machine has the features.
                Ok(sums) => unsafe { tiles::add_pairs(pairs, sums) },
                Err(_) => false,
            };
            if !done {
                pairs.add(self, sums);
            }
        }
    }

    #[inline(always)]
    fn products(self, rows: Rows, panels: &[Group], output: &mut impl Output) {
        // SAFETY: the machine has the features.
        let done = rows.count >= MANY_ROWS && unsafe { matrix::products(rows, panels, output) };
        if !done {
            products(self, rows, panels, output);
        }
    }

    #[inline(always)]
    fn softmax<const R: usize>(self, rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
        // SAFETY: the machine has the features.
        unsafe { ymm::softmax(rows, temperatures) }
    }
}
