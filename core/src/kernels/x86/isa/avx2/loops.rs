//! The loops: weights and keys are widened once for many rows.

use super::{Avx2, attention, matrix};
use crate::kernels::x86::generic::loops::Loops;
use crate::kernels::x86::generic::matrix::{Output, Rows, products};
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::{self, Pair};

/// Fewer rows are not worth weights that are widened for all of them.
const MANY_ROWS: usize = 4;

impl Loops for Avx2 {
    /// Pairs of channels, of which every lane has its own column's, so that no sums of neighbours are to be added.
    #[inline(always)]
    fn dots<const R: usize, const P: usize>(
        self,
        rows: Rows,
        panels: &[Group],
        _excess: &[i32; R],
    ) -> [[Pair; P]; R] {
        // SAFETY: the machine has the features.
        let mut dots = [[unsafe { ymm::zero() }; P]; R];
        let panels = panels.chunks_exact(rows.panel_groups.max(1));
        for (panel, part) in panels.take(P).enumerate() {
            // SAFETY: the machine has the features.
            let of_panel: [Pair; R] = unsafe { attention::dots(rows, part) };
            for (dots, of_row) in dots.iter_mut().zip(of_panel) {
                dots[panel] = of_row;
            }
        }
        dots
    }

    #[inline(always)]
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[Pair; W]; R]) {
        if !R.is_multiple_of(attention::ROWS) {
            return pairs.add(self, sums);
        }
        for (tile, sums) in sums.as_chunks_mut::<{ attention::ROWS }>().0.iter_mut().enumerate() {
            let weights = pairs.weights.get(tile * attention::ROWS * pairs.stride..).unwrap_or_default();
            let pairs = Pairs { weights, ..pairs };
            let done = match <&mut [Pair; attention::ROWS]>::try_from(sums.as_flattened_mut()) {
                // SAFETY: the machine has the features.
                Ok(sums) => unsafe { attention::add_pairs(pairs, sums) },
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

    ymm::loops_without_codes!();
}
