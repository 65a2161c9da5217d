//! Products of two matrices of codes.

use super::gemm::dot_panel;
use crate::kernels::linear::PANEL;

/// `out[m][n] = sum over k of rows[m][k] * columns[n][k]`, exact for a `width` of at most 131,071 and
/// wrapping beyond.
///
/// `rows` is `[M, width]`, `out` `[M, N]`. `panels` holds the columns as keys are packed, `[N / 16, width /
/// 4, 16, 4]`; `width` is a multiple of 4 and N of 16. Where `width` or N is 0, `out` is left alone.
pub fn product(rows: &[i8], panels: &[i8], width: usize, out: &mut [i32]) {
    let panel_len = PANEL * width.max(1);
    let columns = panels.len() / panel_len * PANEL;
    let rows = rows.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(columns.max(1)));
    for (row, out) in rows {
        for (panel, out) in panels.chunks_exact(panel_len).zip(out.chunks_exact_mut(PANEL)) {
            out.copy_from_slice(&dot_panel(row, panel));
        }
    }
}
