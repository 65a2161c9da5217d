//! Matrix products of codes, in tiles whose sums stay in registers.

use super::vectors::{Group, Vectors};
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
use core::ops::Range;

/// Most sums of a tile, in rows by panels.
const SUMS_MAX: usize = 28;

/// Most rows that are few: they are multiplied with more panels at a time, so that sums don't wait for each
/// other.
const FEW_ROWS: usize = 3;

/// Most rows that one pass over the panels is for: whole tiles.
pub const PASS_ROWS: usize = 126;

/// Most rows whose sums are taken at a time.
pub const TAKEN_ROWS: usize = 32;

/// Bytes of codes that one pass may read again for every panel: they stay in the second level cache.
const PASS_BYTES: usize = 1 << 20;

/// Rows of codes.
#[derive(Clone, Copy)]
pub struct Rows<'c> {
    /// `[count, groups * 4]`
    pub codes: &'c [[i8; GROUP]],
    /// How many.
    pub count: usize,
    /// Groups of one row.
    pub groups: usize,
    /// Groups of one panel: as many as of a row, or those of the low limbs, which serve the high limbs too.
    pub panel_groups: usize,
    /// Groups of high limbs, which come first.
    pub high: usize,
    /// The channels whose high limbs these are, ascending; the others in those groups stand for none.
    pub outliers: &'c [u16],
}

/// What becomes of sums.
pub trait Output {
    /// Sees the rows from `first` on, at most [`PASS_ROWS`], before their sums.
    fn rows(&mut self, first: usize, count: usize);

    /// Sees the panels `first..first + count` before their sums.
    fn panels(&mut self, first: usize, count: usize);

    /// Takes the sums of the rows from `row` on, at most [`TAKEN_ROWS`], with one of the panels that it saw
    /// last; each row's are too large by its excess.
    fn take(&mut self, row: usize, panel: usize, sums: &[[i32; PANEL]], excess: &[i32]);
}

/// Products of all rows with all panels, `[panels, panel_groups, 16, 4]`.
#[inline(always)]
pub fn products<V: Vectors>(v: V, rows: Rows, panels: &[Group], output: &mut impl Output) {
    let count = panels.len().checked_div(rows.panel_groups).unwrap_or(0);
    let whole = (PASS_BYTES / (rows.groups * GROUP).max(1)).clamp(V::ROWS, PASS_ROWS) / V::ROWS * V::ROWS;
    let mut sums = [[0; PANEL]; SUMS_MAX];
    for first in (0..rows.count).step_by(whole) {
        let pass = rows.part(first, first + whole);
        let mut excess = [0; PASS_ROWS];
        for (row, excess) in excess.iter_mut().enumerate().take(pass.count) {
            *excess = pass.excess(v, row);
        }
        output.rows(first, pass.count);
        let tiles = pass.count.div_ceil(V::ROWS);
        let wide = if pass.count <= FEW_ROWS { V::PANELS_OF_FEW_ROWS } else { V::PANELS };
        let mut panel = 0;
        while panel < count {
            let together = if count - panel < wide { 1 } else { wide };
            let next = &panels[(panel + together) * rows.panel_groups..];
            let panels = &panels[panel * rows.panel_groups..][..together * rows.panel_groups];
            output.panels(panel, together);
            for tile in 0..tiles {
                let (from, end) = (tile * pass.count / tiles, (tile + 1) * pass.count / tiles);
                // The last tile prefetches the next panels; for the others that is done.
                let ahead = if tile + 1 == tiles { next } else { panels };
                multiply(v, pass.part(from, end), panels, together, ahead.as_ptr(), &mut sums);
                for (panel, sums) in sums.chunks_exact(end - from).take(together).enumerate() {
                    output.take(first + from, panel, sums, &excess[from..end]);
                }
            }
            panel += together;
        }
    }
}

impl Rows<'_> {
    /// Rows `from..end`, as far as there are such.
    #[inline(always)]
    fn part(self, from: usize, end: usize) -> Self {
        let (from, end) = (from.min(self.count), end.min(self.count));
        Self { codes: &self.codes[from * self.groups..end * self.groups], count: end - from, ..self }
    }

    /// What the sums of a row are too large by.
    #[inline(always)]
    fn excess<V: Vectors>(self, v: V, row: usize) -> i32 {
        let (high, low) = self.codes[row * self.groups..][..self.groups].split_at(self.high);
        let high = v.excess(high.as_flattened()).wrapping_shl(LIMB_BITS);
        high.wrapping_add(v.excess(low.as_flattened()))
    }
}

/// Sums of the products of a tile's rows with `together` panels, `[together, rows]`.
#[inline(always)]
fn multiply<V: Vectors>(
    v: V,
    rows: Rows,
    panels: &[Group],
    together: usize,
    ahead: *const Group,
    sums: &mut [[i32; PANEL]; SUMS_MAX],
) {
    macro_rules! by_rows {
        ($($count:literal)*) => {
            match rows.count {
                $($count if $count <= FEW_ROWS && V::PANELS_OF_FEW_ROWS == 4 && together == 4 => {
                    multiply_tile::<V, { if $count <= FEW_ROWS { $count } else { 1 } }, 4>(v, rows, panels, ahead, sums);
                }
                $count if $count <= V::ROWS && V::PANELS.max(V::PANELS_OF_FEW_ROWS) > 1 && together == 2 => {
                    multiply_tile::<V, $count, 2>(v, rows, panels, ahead, sums);
                }
                $count if $count <= V::ROWS => multiply_tile::<V, $count, 1>(v, rows, panels, ahead, sums),)*
                _ => {}
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// [`multiply`] for exactly `R` rows and `P` panels.
#[inline(always)]
fn multiply_tile<V: Vectors, const R: usize, const P: usize>(
    v: V,
    rows: Rows,
    panels: &[Group],
    ahead: *const Group,
    out: &mut [[i32; PANEL]; SUMS_MAX],
) {
    // Either the low limbs' columns come after those of the high limbs, or they are the same.
    let low = rows.high + rows.panel_groups - rows.groups;
    let mut sums = [[v.zero(); P]; R];
    if rows.high > 0 {
        sums = add_groups(v, rows, panels, 0..rows.high, 0, None, sums);
        for sums in sums.as_flattened_mut() {
            *sums = v.shift_limb(*sums);
        }
    }
    sums = add_groups(v, rows, panels, rows.high..rows.groups, low, Some(ahead), sums);
    for (row, sums) in sums.into_iter().enumerate() {
        for (panel, sums) in sums.into_iter().enumerate() {
            out[panel * R + row] = v.finish(sums);
        }
    }
}

/// `acc`, and the products of some groups of `R` rows and as many groups, from `first` on, of `P` panels. As
/// many groups at `ahead` are prefetched meanwhile: prefetchers of hardware stop at the end of a page.
#[inline(always)]
fn add_groups<V: Vectors, const R: usize, const P: usize>(
    v: V,
    rows: Rows,
    panels: &[Group],
    range: Range<usize>,
    first: usize,
    ahead: Option<*const Group>,
    mut acc: [[V::Sums; P]; R],
) -> [[V::Sums; P]; R] {
    let (groups, panel_groups) = (rows.groups, rows.panel_groups);
    let fits = rows.codes.len() >= R * groups && range.end <= groups;
    let panels_fit = panels.len() >= P * panel_groups && range.len() <= panel_groups.saturating_sub(first);
    if !(fits && panels_fit) {
        return acc;
    }
    for (group, column) in range.zip(first..) {
        // SAFETY: a row has as many groups as `range` is in, a panel those that are as far from `first` as
        // `group` is from the range's start, and there are R rows and P panels.
        let (codes, panel) = unsafe { (rows.codes.as_ptr().add(group), panels.as_ptr().add(column)) };
        if let Some(ahead) = ahead {
            for index in P * column..P * (column + 1) {
                prefetch(ahead.wrapping_add(index));
            }
        }
        // SAFETY: as above.
        let mut columns = [v.columns(unsafe { &*panel }); P];
        for (index, columns) in columns.iter_mut().enumerate().skip(1) {
            // SAFETY: as above.
            *columns = v.columns(unsafe { &*panel.add(index * panel_groups) });
        }
        for (row, acc) in acc.iter_mut().enumerate() {
            // SAFETY: as above.
            let codes = unsafe { &*codes.add(row * groups) };
            if let ([first, second], &[columns, others]) = (&mut acc[..], &columns[..]) {
                [*first, *second] = v.add_to_both([*first, *second], [columns, others], codes);
            } else {
                let codes = v.codes(*codes);
                for (acc, &columns) in acc.iter_mut().zip(&columns) {
                    *acc = v.add(*acc, columns, codes);
                }
            }
        }
    }
    acc
}

/// [`Loops::dots`](super::loops::Loops::dots) in whatever instructions.
#[inline(always)]
pub fn dots<V: Vectors, const R: usize, const P: usize>(
    v: V,
    rows: Rows,
    panels: &[Group],
    excess: &[i32; R],
) -> [[V::Sums; P]; R] {
    let mut sums = [[v.zero(); P]; R];
    for (sums, &excess) in sums.iter_mut().zip(excess) {
        *sums = [v.less(excess); P];
    }
    add_groups(v, rows, panels, 0..rows.groups, 0, None, sums)
}

/// Brings a group to the L2 cache.
#[inline(always)]
pub fn prefetch(group: *const Group) {
    // SAFETY: a hint, for which any address will do.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(group.cast()) }
}
