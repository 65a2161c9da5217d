//! The drivers of linear layers and matrix products for instruction sets that sum the products of a few rows
//! with one panel in their registers: portable SIMD, 64-bit ARM and WebAssembly. What differs between them is
//! in [`Products`].

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

/// Whether vectors shift each lane by its own number of places. Where they don't, compilers do it with
/// floats, or one by one.
pub(in crate::kernels) const SHIFTS_LANES: bool = cfg!(any(target_feature = "avx2", target_feature = "neon"));

/// How a residual stream is encoded.
pub(in crate::kernels) const ENCODE: fn(&Site, &[i32], &mut [u8], usize) = if SHIFTS_LANES {
    |site, x, codes, code_row| lanes::residual::encode(site, x, codes, code_row, upper_each::<8>)
} else {
    scalar::residual::encode
};

/// Panels that the rows of a tile, once found, are multiplied with.
pub(in crate::kernels) const PANELS: usize = 4;

/// What an instruction set does with some rows and some panels. A value is the proof that the machine has the
/// instructions.
pub(in crate::kernels) trait Products: Copy {
    /// A panel's epilogues, ready for [`finish`](Self::finish).
    type Channels<'p>;

    /// The scales of some rows, ready for [`finish`](Self::finish).
    type Scales<'s, const R: usize>;

    /// Writes the sums of products of rows with the sixteen columns of each panel: the specification's
    /// `dot_panel` for each row, with high limbs' sums shifted to where they belong, modulo 2^32.
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]);

    /// Makes a panel's epilogues ready. No sum loses anything if it is shifted left by `room` places.
    fn channels<'p>(self, panel: &Panel<'p>, room: u32) -> Self::Channels<'p>;

    /// Makes rows' scales ready; `room` as for [`channels`](Self::channels).
    fn scales<const R: usize>(self, scales: &[TokenScale; R], room: u32) -> Self::Scales<'_, R>;

    /// The specification's [`finish`](scalar::gemm::finish) of each row's sums; a row's outputs are the first
    /// sixteen of `out`, `stride` from those of the one before, or as many as there are of them. What is
    /// beyond a panel's channels may be anything.
    fn finish<const R: usize>(
        self,
        channels: &Self::Channels<'_>,
        sums: &[[i32; PANEL]; R],
        scales: &Self::Scales<'_, R>,
        out: &mut [i32],
        stride: usize,
    );
}

/// The codes of `R` rows, one after another: of each the high limbs of outlier channels, then codes of all
/// channels. Where they end before the last row does, sums mean nothing.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Codes<'c, const R: usize> {
    pub codes: &'c [i8],
    /// Codes of a row, and how many of them are high limbs.
    pub row_len: usize,
    pub high_len: usize,
    /// Whether all channels are outliers, and one column of each serves both limbs.
    pub shared: bool,
}

impl<'c, const R: usize> Codes<'c, R> {
    /// Rows without high limbs.
    #[inline(always)]
    pub const fn of(codes: &'c [i8], row_len: usize) -> Self {
        Self { codes, row_len, high_len: 0, shared: false }
    }

    /// Each row's high limbs, and each row's codes of all channels.
    #[inline(always)]
    pub fn limbs(&self) -> [[&'c [i8]; R]; 2] {
        let mut rows = self.codes.chunks_exact(self.row_len.max(1));
        let rows: [(&[i8], &[i8]); R] = core::array::from_fn(|_| {
            rows.next().unwrap_or_default().split_at_checked(self.high_len).unwrap_or_default()
        });
        [rows.map(|(high, _)| high), rows.map(|(_, low)| low)]
    }
}

/// The packed columns of a panel.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Columns<'p> {
    /// Those of high limbs, `[groups, 16, 4]`.
    pub high: &'p [i8],
    /// Those of all channels, `[groups, 16, 4]`.
    pub low: &'p [i8],
}

impl<'p> Columns<'p> {
    /// Columns for rows without high limbs.
    #[inline(always)]
    pub const fn of(low: &'p [i8]) -> Self {
        Self { high: &[], low }
    }
}

/// [`Products::sums`] by `dots`, products of rows with one part, and `dots_of_limbs`, products of both limbs
/// (high, low) with a part that serves both.
#[inline(always)]
pub(in crate::kernels) fn sums<const R: usize>(
    codes: &Codes<R>,
    panels: &[Columns],
    sums: &mut [[[i32; PANEL]; R]],
    dots: impl Fn([&[i8]; R], &[i8]) -> [[i32; PANEL]; R],
    dots_of_limbs: impl Fn([&[i8]; R], [&[i8]; R], &[i8]) -> [[i32; PANEL]; R],
) {
    let [high, low] = codes.limbs();
    for (panel, sums) in panels.iter().zip(sums) {
        if codes.shared {
            *sums = dots_of_limbs(high, low, panel.low);
            continue;
        }
        *sums = dots(low, panel.low);
        if !panel.high.is_empty() {
            let high = dots(high, panel.high);
            for (sum, high) in sums.as_flattened_mut().iter_mut().zip(high.as_flattened()) {
                *sum = sum.wrapping_add(high << LIMB_BITS);
            }
        }
    }
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

/// Rows in groups of `N` codes, as many as the shortest has: of one length, so that a loop over it need not
/// check.
#[inline(always)]
pub(in crate::kernels) fn groups<const N: usize, const R: usize>(rows: [&[i8]; R]) -> [&[[i8; N]]; R] {
    let rows = rows.map(|row| row.as_chunks().0);
    let count = rows.iter().fold(usize::MAX, |count, row| count.min(row.len()));
    rows.map(|row| row.get(..count).unwrap_or_default())
}
