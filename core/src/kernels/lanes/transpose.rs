//! Rows as columns.

use super::activation::gate;
use crate::kernels::rows::Rows;
use crate::kernels::scalar;

/// Values of a square's side.
const SIDE: usize = 8;

/// Values that are transposed at a time.
pub type Square = [[i32; SIDE]; SIDE];

/// A square whose rows are another's columns, for any instructions.
#[inline(always)]
pub fn transpose_square(square: Square) -> Square {
    let mut transposed = [[0; SIDE]; SIDE];
    for (r, row) in square.iter().enumerate() {
        transposed.iter_mut().zip(row).for_each(|(transposed, &value)| transposed[r] = value);
    }
    transposed
}

/// The specification's [`transpose`](scalar::transpose::transpose), square by square.
#[inline(always)]
pub fn transpose(
    rows: Rows,
    count: usize,
    out: &mut [i32],
    stride: usize,
    transpose_square: impl Fn(Square) -> Square,
) {
    let (width, count) = (rows.width, count.min(rows.count()));
    let end = width.saturating_sub(1).saturating_mul(stride).saturating_add(count);
    if out.len() < end || stride < count {
        return scalar::transpose::transpose(rows, count, out, stride);
    }
    let [whole_rows, whole_columns] = [count, width].map(|side| side - side % SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(SIDE) {
            let mut square = [[0; SIDE]; SIDE];
            for (line, r) in square.iter_mut().zip(row..) {
                *line = line_of(rows, r, column);
            }
            for (line, c) in transpose_square(square).iter().zip(column..) {
                let place = out.get_mut(c * stride + row..).unwrap_or_default();
                place.first_chunk_mut().into_iter().for_each(|place| *place = *line);
            }
        }
    }
    if whole_columns < width {
        let beyond = rows.values.get(whole_columns..).unwrap_or_default();
        let beyond = Rows { values: beyond, width: width - whole_columns, ..rows };
        let below = out.get_mut(whole_columns * stride..).unwrap_or_default();
        scalar::transpose::transpose(beyond, whole_rows, below, stride);
    }
    if whole_rows < count {
        scalar::transpose::transpose_from(rows, whole_rows, count, out, stride);
    }
}

/// The specification's [`transpose_gated`](scalar::transpose::transpose_gated), two squares side by side at a
/// time. `look_up` as for [`gate`].
#[inline(always)]
pub fn transpose_gated<const N: usize>(
    rows: Rows,
    gates: Rows,
    count: usize,
    out: &mut [i32],
    stride: usize,
    transpose_square: impl Fn(Square) -> Square,
    look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
) {
    const COLUMNS: usize = 2 * SIDE;
    let width = rows.width.min(gates.width);
    let (rows, gates) = (Rows { width, ..rows }, Rows { width, ..gates });
    let count = count.min(rows.count()).min(gates.count());
    let end = width.saturating_sub(1).saturating_mul(stride).saturating_add(count);
    if out.len() < end || stride < count {
        return scalar::transpose::transpose_gated(rows, gates, count, out, stride);
    }
    let (whole_rows, whole_columns) = (count - count % SIDE, width - width % COLUMNS);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(COLUMNS) {
            let (mut values, mut of_values) = ([[0; COLUMNS]; SIDE], [[0; COLUMNS]; SIDE]);
            for ((values, of_values), r) in values.iter_mut().zip(&mut of_values).zip(row..) {
                (*values, *of_values) = (line_of(rows, r, column), line_of(gates, r, column));
            }
            gate(values.as_flattened_mut(), of_values.as_flattened(), &look_up);
            let place = out.get_mut(column * stride + row..).unwrap_or_default();
            transpose(Rows::new(values.as_flattened(), COLUMNS), SIDE, place, stride, &transpose_square);
        }
    }
    transpose_gated_beyond([rows, gates], [whole_rows, whole_columns], count, out, stride);
}

/// [`transpose_gated`] for what squares leave: rows of values and of gates from `whole[0]` on, and columns
/// from `whole[1]` on.
#[inline(always)]
pub fn transpose_gated_beyond(
    [rows, gates]: [Rows; 2],
    whole: [usize; 2],
    count: usize,
    out: &mut [i32],
    stride: usize,
) {
    let [whole_rows, whole_columns] = whole;
    if whole_columns < rows.width {
        let [beyond, gates_beyond] = [rows, gates].map(|rows| {
            let values = rows.values.get(whole_columns..).unwrap_or_default();
            Rows { values, width: rows.width - whole_columns, ..rows }
        });
        let below = out.get_mut(whole_columns * stride..).unwrap_or_default();
        scalar::transpose::transpose_gated(beyond, gates_beyond, whole_rows, below, stride);
    }
    if whole_rows < count {
        scalar::transpose::transpose_gated_from(rows, gates, whole_rows, count, out, stride);
    }
}

/// Values of row `r` from a column on, which has so many.
#[inline(always)]
fn line_of<const N: usize>(rows: Rows<'_>, r: usize, column: usize) -> [i32; N] {
    let values = rows.values.get(r * rows.stride + column..).unwrap_or_default();
    values.first_chunk().copied().unwrap_or([0; N])
}
