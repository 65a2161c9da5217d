//! Gated rows as columns.

use super::gate::Sigmoid;
use super::lookup;
use super::transpose::transpose_square;
use crate::kernels::rows::Rows;
use crate::kernels::{lanes, scalar};

/// Values of a square's side.
const N: usize = 8;

/// The specification's [`transpose_gated`](scalar::transpose::transpose_gated), square by square.
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(rows: Rows, gates: Rows, count: usize, out: &mut [i32], stride: usize) {
    let width = rows.width.min(gates.width);
    let (rows, gates) = (Rows { width, ..rows }, Rows { width, ..gates });
    let count = count.min(rows.count()).min(gates.count());
    let end = width.saturating_sub(1).saturating_mul(stride).saturating_add(count);
    if out.len() < end || stride < count {
        return scalar::transpose::transpose_gated(rows, gates, count, out, stride);
    }
    let [whole_rows, whole_columns] = [count, width].map(|side| side - side % N);
    let sigmoid = Sigmoid::new();
    for row in (0..whole_rows).step_by(N) {
        let [from, of_gates] = [rows, gates].map(|rows| rows.values.as_ptr().wrapping_add(row * rows.stride));
        for column in (0..whole_columns).step_by(N) {
            macro_rules! square {
                ($($r:literal)*) => {
                    // SAFETY: so many rows have so many values, and gates.
                    unsafe {
                        [$(bytemuck::cast(sigmoid.share(
                            &*from.add(column + $r * rows.stride).cast(),
                            &*of_gates.add(column + $r * gates.stride).cast(),
                        ))),*]
                    }
                };
            }
            let square = transpose_square(square!(0 1 2 3 4 5 6 7));
            let to = out.as_mut_ptr().wrapping_add(column * stride + row);
            for (r, line) in square.iter().enumerate() {
                // SAFETY: there is room for so many columns of so many values.
                unsafe { *to.add(r * stride).cast() = *line };
            }
        }
    }
    lanes::transpose::transpose_gated_beyond([rows, gates], [whole_rows, whole_columns], count, out, stride);
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(rows: Rows, gates: Rows, count: usize, out: &mut [i32], stride: usize) {
    let look_up = |table: &_, indices| lookup::avx512(table, indices);
    lanes::transpose::transpose_gated(
        rows,
        gates,
        count,
        out,
        stride,
        |square| transpose_square(square),
        look_up,
    );
}
