//! Products of two matrices of codes.

use super::loops::Loops;
use super::matrix::{Output, Rows};
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar;

/// The specification's [`product`](crate::kernels::scalar::product::product).
#[inline(always)]
pub fn product<V: Loops>(v: V, rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
    if !width.is_multiple_of(GROUP) || width == 0 {
        return scalar::product::product(rows, panels, width, out);
    }
    let groups = width / GROUP;
    let columns = panels.len() / (PANEL * width) * PANEL;
    let count = (rows.len() / width).min(out.len().checked_div(columns).unwrap_or(0));
    let (codes, _) = rows[..count * width].as_chunks();
    let (panels, _) = panels[..columns * width].as_chunks();
    v.products(
        Rows { codes, count, groups, panel_groups: groups, high: 0, outliers: &[] },
        panels,
        &mut Sums { out, columns, first: 0 },
    );
}

/// A matrix of sums.
struct Sums<'o> {
    out: &'o mut [i32],
    columns: usize,
    first: usize,
}

impl Output for Sums<'_> {
    #[inline(always)]
    fn rows(&mut self, _first: usize, _count: usize) {}

    #[inline(always)]
    fn panels(&mut self, first: usize, _count: usize) {
        self.first = first;
    }

    #[inline(always)]
    fn take(&mut self, row: usize, panel: usize, sums: &[[i32; PANEL]], excess: &[i32]) {
        let out = &mut self.out[row * self.columns + (self.first + panel) * PANEL..];
        for ((out, sums), &excess) in out.chunks_mut(self.columns).zip(sums).zip(excess) {
            out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum.wrapping_sub(excess));
        }
    }
}
