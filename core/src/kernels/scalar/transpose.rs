//! Rows as columns.

use super::activation::gate;
use crate::kernels::rows::Rows;
use core::slice;

/// Writes the first `count` rows as columns of `out`, whose rows start every `stride` values:
/// `out[c * stride + r] = rows[r][c]`, where both exist.
pub fn transpose(rows: Rows, count: usize, out: &mut [i32], stride: usize) {
    transpose_from(rows, 0, count, out, stride);
}

/// [`transpose`] for the rows from `first` on.
#[inline(always)]
pub fn transpose_from(rows: Rows, first: usize, count: usize, out: &mut [i32], stride: usize) {
    for (r, row) in rows.iter().enumerate().take(count).skip(first) {
        let column = out.get_mut(r..).unwrap_or_default().iter_mut().step_by(stride.max(1));
        column.zip(row).for_each(|(out, &value)| *out = value);
    }
}

/// [`transpose`] for values times the sigmoids of their gates, as [`gate`] says; as far as both have rows and
/// values.
pub fn transpose_gated(rows: Rows, gates: Rows, count: usize, out: &mut [i32], stride: usize) {
    transpose_gated_from(rows, gates, 0, count, out, stride);
}

/// [`transpose_gated`] for the rows from `first` on.
#[inline(always)]
pub fn transpose_gated_from(
    rows: Rows,
    gates: Rows,
    first: usize,
    count: usize,
    out: &mut [i32],
    stride: usize,
) {
    let each = rows.iter().zip(gates.iter()).enumerate().take(count).skip(first);
    for (r, (row, gates)) in each {
        let column = out.get_mut(r..).unwrap_or_default().iter_mut().step_by(stride.max(1));
        for (out, (&value, of_value)) in column.zip(row.iter().zip(gates)) {
            *out = value;
            gate(slice::from_mut(out), slice::from_ref(of_value));
        }
    }
}
