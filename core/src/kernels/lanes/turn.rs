//! Rows as columns.

use crate::kernels::rows::Rows;
use crate::kernels::scalar;

/// Values of a square's side.
const SIDE: usize = 8;

/// Values that are turned at a time.
pub type Square = [[i32; SIDE]; SIDE];

/// A square whose rows are another's columns, for any instructions.
#[inline(always)]
pub fn turn_square(square: Square) -> Square {
    let mut turned = [[0; SIDE]; SIDE];
    for (r, row) in square.iter().enumerate() {
        turned.iter_mut().zip(row).for_each(|(turned, &value)| turned[r] = value);
    }
    turned
}

/// The specification's [`turn`](scalar::turn::turn), square by square.
#[inline(always)]
pub fn turn(
    rows: Rows,
    count: usize,
    out: &mut [i32],
    stride: usize,
    turn_square: impl Fn(Square) -> Square,
) {
    let (width, count) = (rows.width, count.min(rows.count()));
    let end = width.saturating_sub(1).saturating_mul(stride).saturating_add(count);
    if out.len() < end || stride < count {
        return scalar::turn::turn(rows, count, out, stride);
    }
    let [whole_rows, whole_columns] = [count, width].map(|side| side - side % SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(SIDE) {
            let mut square = [[0; SIDE]; SIDE];
            for (line, r) in square.iter_mut().zip(row..) {
                let values = rows.values.get(r * rows.stride + column..).unwrap_or_default();
                *line = values.first_chunk().copied().unwrap_or_default();
            }
            for (line, c) in turn_square(square).iter().zip(column..) {
                let place = out.get_mut(c * stride + row..).unwrap_or_default();
                place.first_chunk_mut().into_iter().for_each(|place| *place = *line);
            }
        }
    }
    let beyond = rows.values.get(whole_columns..).unwrap_or_default();
    let beyond = Rows { values: beyond, width: width - whole_columns, ..rows };
    let below = out.get_mut(whole_columns * stride..).unwrap_or_default();
    scalar::turn::turn(beyond, whole_rows, below, stride);
    scalar::turn::turn_from(rows, whole_rows, count, out, stride);
}
