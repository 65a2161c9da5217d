//! Rows as columns.

use crate::kernels::rows::Rows;

/// Writes the first `count` rows as columns of `out`, whose rows start every `stride` values: `out[c * stride + r] = rows[r][c]`, where both
/// exist.
pub fn turn(rows: Rows, count: usize, out: &mut [i32], stride: usize) {
    turn_from(rows, 0, count, out, stride);
}

/// [`turn`] for the rows from `first` on.
#[inline(always)]
pub fn turn_from(rows: Rows, first: usize, count: usize, out: &mut [i32], stride: usize) {
    for (r, row) in rows.iter().enumerate().take(count).skip(first) {
        let column = out.get_mut(r..).unwrap_or_default().iter_mut().step_by(stride.max(1));
        column.zip(row).for_each(|(out, &value)| *out = value);
    }
}
