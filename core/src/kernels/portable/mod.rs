//! The drivers of linear layers and matrix products for instruction sets that sum the products of a few rows with one panel in their
//! registers: portable SIMD, 64-bit ARM and WebAssembly. What differs between them is in [`Products`].

mod gemm;
mod product;

use super::lanes;
use super::lanes::multiply::upper_each;
use super::linear::{LIMB_BITS, PANEL, Panel};
use super::scalar;
use crate::fixed::TokenScale;
use crate::quant::Site;

pub(in crate::kernels) use gemm::gemm;
pub(in crate::kernels) use product::product;

/// Whether vectors shift each lane by its own number of places. Where they don't, compilers do it with floats, or one by one.
pub(in crate::kernels) const SHIFTS_LANES: bool = cfg!(any(target_feature = "avx2", target_feature = "neon"));

/// How a residual stream is encoded.
pub(in crate::kernels) const ENCODE: fn(&Site, &[i32], &mut [u8], usize) = if SHIFTS_LANES {
    |site, x, codes, code_row| lanes::residual::encode(site, x, codes, code_row, upper_each::<8>)
} else {
    scalar::residual::encode
};

/// What an instruction set does with `R` rows and a panel. A value is the proof that the machine has the instructions.
pub(in crate::kernels) trait Products: Copy {
    /// Dot products of rows with the sixteen columns of a packed part: the specification's `dot_panel` for each row.
    fn dots<const R: usize>(self, rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R];

    /// Dot products of channels of two limbs, high and low ones, with a part whose columns serve both: `high * 128 + low`, modulo 2^32.
    #[inline(always)]
    fn dots_of_limbs<const R: usize>(
        self,
        high: [&[i8]; R],
        low: [&[i8]; R],
        weight: &[i8],
    ) -> [[i32; PANEL]; R] {
        let mut sums = self.dots(low, weight);
        add_high(&mut sums, self.dots(high, weight));
        sums
    }

    /// The specification's [`finish`](scalar::gemm::finish) for each row. No sum loses anything if it is shifted left by `room` places.
    #[inline(always)]
    fn finish<const R: usize>(
        self,
        panel: &Panel,
        _room: u32,
        sums: &[[i32; PANEL]; R],
        scales: &[TokenScale; R],
        y: &mut [[i32; PANEL]; R],
    ) {
        for ((sums, &scale), y) in sums.iter().zip(scales).zip(y) {
            if SHIFTS_LANES {
                lanes::epilogue::finish(panel, sums, scale, y);
            } else {
                scalar::gemm::finish(panel, sums, scale, y);
            }
        }
    }
}

/// Adds sums of high limbs' products to those of low limbs.
#[inline(always)]
fn add_high<const R: usize>(sums: &mut [[i32; PANEL]; R], high: [[i32; PANEL]; R]) {
    for (sum, high) in sums.as_flattened_mut().iter_mut().zip(high.as_flattened()) {
        *sum = sum.wrapping_add(high << LIMB_BITS);
    }
}

/// Rows in groups of `N` codes, as many as the shortest has: of one length, so that a loop over it need not check.
#[inline(always)]
pub(in crate::kernels) fn groups<const N: usize, const R: usize>(rows: [&[i8]; R]) -> [&[[i8; N]]; R] {
    let rows = rows.map(|row| row.as_chunks().0);
    let count = rows.iter().fold(usize::MAX, |count, row| count.min(row.len()));
    rows.map(|row| row.get(..count).unwrap_or_default())
}
