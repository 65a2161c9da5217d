//! Products of two matrices of codes.

use super::dot::dot_rows;
use crate::kernels::linear::PANEL;

/// Rows whose accumulators stay in registers: each takes four vectors of eight lanes.
const ROWS: usize = if cfg!(target_feature = "avx512vl") { 4 } else { 2 };

/// The specification's [`product`](crate::kernels::scalar::product::product).
pub fn product(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
    let panel_len = PANEL * width.max(1);
    let columns = (panels.len() / panel_len * PANEL).max(1);
    for (index, panel) in panels.chunks_exact(panel_len).enumerate() {
        let tiles = rows.chunks(ROWS * width.max(1)).zip(out.chunks_mut(ROWS * columns));
        for (rows, out) in tiles {
            if rows.len() == ROWS * width && out.len() == ROWS * columns {
                tile::<ROWS>(rows, panel, width, out, columns, index * PANEL);
            } else {
                for (row, out) in rows.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(columns)) {
                    tile::<1>(row, panel, width, out, columns, index * PANEL);
                }
            }
        }
    }
}

/// `R` rows by one panel of sixteen columns, the first of which is `column`.
#[inline(always)]
fn tile<const R: usize>(
    rows: &[i8],
    panel: &[i8],
    width: usize,
    out: &mut [i32],
    columns: usize,
    column: usize,
) {
    let mut rows = rows.chunks_exact(width.max(1));
    let rows: [&[i8]; R] = core::array::from_fn(|_| rows.next().unwrap_or_default());
    for (dots, out) in dot_rows(rows, panel).iter().zip(out.chunks_exact_mut(columns)) {
        if let Some(out) = out.get_mut(column..column + PANEL) {
            out.copy_from_slice(dots);
        }
    }
}
