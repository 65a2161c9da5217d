//! Rows of codes as inner loops read them, and sums of their high limbs.

use super::vector::padded;
use crate::kernels::linear::{GROUP, LIMB_BITS};
use crate::kernels::portable::Codes;
use core::arch::aarch64::*;

/// The high limbs of `R` rows, or their other codes, in chunks of `N` and what is left of them.
#[derive(Clone, Copy)]
pub struct Rows<'c, const R: usize, const N: usize> {
    /// All as long as the first.
    rows: [&'c [i8]; R],
}

impl<'c, const R: usize, const N: usize> Rows<'c, R, N> {
    #[inline(always)]
    pub fn high(codes: &Codes<'c, R>) -> Self {
        Self::new(codes.codes, codes.row_len, codes.high_len)
    }

    #[inline(always)]
    pub fn low(codes: &Codes<'c, R>) -> Self {
        let len = codes.row_len.saturating_sub(codes.high_len);
        Self::new(codes.codes.get(codes.high_len..).unwrap_or_default(), codes.row_len, len)
    }

    /// The first `len` codes of rows that lie `stride` apart; empty rows where one has not as many.
    #[inline(always)]
    fn new(codes: &'c [i8], stride: usize, len: usize) -> Self {
        const { assert!(R > 0 && N > 0) }
        let last = (R - 1).checked_mul(stride).and_then(|last| codes.get(last..));
        if last.is_none_or(|last| last.len() < len) {
            return Self { rows: [&[]; R] };
        }
        // SAFETY: the last row has as many codes, and each other one lies before it.
        let row = |r: usize| unsafe { core::slice::from_raw_parts(codes.as_ptr().add(r * stride), len) };
        Self { rows: core::array::from_fn(row) }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.rows[0].len()
    }

    /// As many chunks of weights as rows have, and as many of each row as there are of weights, so that a
    /// loop need not check.
    #[inline(always)]
    pub fn beside<'w, W>(&self, weights: &'w [W]) -> (&'w [W], [&'c [[i8; N]]; R]) {
        let count = weights.len().min(self.len() / N);
        // SAFETY: a row has as many chunks.
        (&weights[..count], unsafe { self.parts(0, count) })
    }

    /// The same of the groups that are left.
    #[inline(always)]
    pub fn rest_beside<'w, W>(&self, weights: &'w [W]) -> (&'w [W], [&'c [[i8; GROUP]]; R]) {
        let from = self.len() / N * N;
        let count = weights.len().min((self.len() - from) / GROUP);
        // SAFETY: a row has as many groups from there on.
        (&weights[..count], unsafe { self.parts(from, count) })
    }

    /// The next of the codes that are left, of each row; zeros where there are no more.
    #[inline(always)]
    pub fn rest<const M: usize>(&self) -> [[i8; M]; R] {
        let from = self.len() / N * N;
        // SAFETY: a row has as many codes from there on.
        let rows = unsafe { self.parts::<1>(from, self.len() - from) };
        rows.map(|row| padded(row.as_flattened(), 0))
    }

    /// `count` times `M` codes of each row, from the code `from` on.
    ///
    /// # Safety
    /// A row has as many.
    #[inline(always)]
    unsafe fn parts<const M: usize>(&self, from: usize, count: usize) -> [&'c [[i8; M]]; R] {
        // SAFETY: the caller's, and all rows are as long.
        self.rows.map(|row| unsafe { core::slice::from_raw_parts(row.as_ptr().add(from).cast(), count) })
    }
}

/// Brings sums of high limbs' products to where those of low limbs can be added to them.
#[target_feature(enable = "neon")]
#[inline]
pub fn above_low(sums: &mut [[int32x4_t; 4]]) {
    for sum in sums.as_flattened_mut() {
        *sum = vshlq_n_s32::<{ LIMB_BITS as i32 }>(*sum);
    }
}
