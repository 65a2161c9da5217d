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

/// What an instruction set does with some rows and a panel. A value is the proof that the machine has the instructions.
pub(in crate::kernels) trait Products: Copy {
    /// A panel's epilogues, ready for [`finish`](Self::finish).
    type Channels<'p>;

    /// The scales of some rows, ready for [`finish`](Self::finish).
    type Scales<'s, const R: usize>;

    /// Writes dot products of rows with the sixteen columns of a packed part: the specification's `dot_panel` for each row.
    fn dots<const R: usize>(self, rows: [&[i8]; R], weight: &[i8], sums: &mut [[i32; PANEL]; R]);

    /// Writes dot products of channels of two limbs, high and low ones, with a part whose columns serve both: `high * 128 + low`, modulo
    /// 2^32.
    #[inline(always)]
    fn dots_of_limbs<const R: usize>(
        self,
        high: [&[i8]; R],
        low: [&[i8]; R],
        weight: &[i8],
        sums: &mut [[i32; PANEL]; R],
    ) {
        let mut of_high = [[0; PANEL]; R];
        self.dots(high, weight, &mut of_high);
        self.dots(low, weight, sums);
        add_high(sums, &of_high);
    }

    /// Makes a panel's epilogues ready. No sum loses anything if it is shifted left by `room` places.
    fn channels<'p>(self, panel: &Panel<'p>, room: u32) -> Self::Channels<'p>;

    /// Makes rows' scales ready; `room` as for [`channels`](Self::channels).
    fn scales<const R: usize>(self, scales: &[TokenScale; R], room: u32) -> Self::Scales<'_, R>;

    /// The specification's [`finish`](scalar::gemm::finish) of each row's sums; a row's outputs are the first sixteen of `out`, `stride` from
    /// those of the one before, or as many as there are of them. What is beyond a panel's channels may be anything.
    fn finish<const R: usize>(
        self,
        channels: &Self::Channels<'_>,
        sums: &[[i32; PANEL]; R],
        scales: &Self::Scales<'_, R>,
        out: &mut [i32],
        stride: usize,
    );
}

/// [`Products::finish`] in loops for any instructions.
#[inline(always)]
pub(in crate::kernels) fn finish<const R: usize>(
    panel: &Panel,
    sums: &[[i32; PANEL]; R],
    scales: &[TokenScale; R],
    out: &mut [i32],
    stride: usize,
) {
    for ((sums, &scale), out) in sums.iter().zip(scales).zip(out.chunks_mut(stride.max(1))) {
        if SHIFTS_LANES {
            lanes::epilogue::finish(panel, sums, scale, out);
        } else {
            scalar::gemm::finish(panel, sums, scale, out);
        }
    }
}

/// Adds sums of high limbs' products to those of low limbs.
#[inline(always)]
fn add_high<const R: usize>(sums: &mut [[i32; PANEL]; R], high: &[[i32; PANEL]; R]) {
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
