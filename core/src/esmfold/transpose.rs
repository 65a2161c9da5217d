//! The pair representation transposed in place, so that what works on rows works on columns; and copies that turn rows to columns.

/// Swaps the pairs (i, j) and (j, i) of `pair`, `[residues, residues]` pieces of `piece` bytes.
pub fn transpose(pair: &mut [u8], residues: usize, piece: usize) {
    let row_len = residues * piece;
    for i in 0..residues {
        let Some((above, below)) = pair.split_at_mut_checked((i + 1) * row_len) else { return };
        let row = &mut above[i * row_len..];
        // Row j = i + 1 + r has its piece of column i there.
        for (r, other) in below.chunks_exact_mut(row_len).enumerate() {
            let j = i + 1 + r;
            row[j * piece..][..piece].swap_with_slice(&mut other[i * piece..][..piece]);
        }
    }
}

/// Rows and columns that are turned at a time: a cache line of each.
const SIDE: usize = 16;

/// Writes `rows` rows of `columns` values, which start every `from_row` values, as columns of `to`, whose rows start every `to_row`.
pub fn turn(from: &[i32], from_row: usize, to: &mut [i32], to_row: usize, [rows, columns]: [usize; 2]) {
    for row in (0..rows).step_by(SIDE) {
        let height = SIDE.min(rows - row);
        for first in (0..columns).step_by(SIDE) {
            for column in first..columns.min(first + SIDE) {
                let out = &mut to[column * to_row + row..][..height];
                let values = from[row * from_row + column..].iter().step_by(from_row);
                out.iter_mut().zip(values).for_each(|(out, &value)| *out = value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{transpose, turn};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn rows_become_columns() {
        for [rows, columns] in [[0, 3], [1, 1], [5, 40], [16, 16], [33, 17]] {
            let (from_row, to_row) = (columns + 3, rows + 2);
            let from: Vec<i32> = (0..(rows * from_row) as i32).collect();
            let mut to = vec![-1; columns * to_row];
            turn(&from, from_row, &mut to, to_row, [rows, columns]);
            for (at, &value) in to.iter().enumerate() {
                let (column, row) = (at / to_row, at % to_row);
                let expected = if row < rows { from[row * from_row + column] } else { -1 };
                assert_eq!(value, expected);
            }
        }
    }

    #[test]
    fn swaps_rows_and_columns_of_any_size() {
        for residues in 0..9usize {
            for piece in 1..4usize {
                let at = |i: usize, j: usize, b: usize| (i * 31 + j * 7 + b * 3) as u8;
                let square = |turned: bool| -> Vec<u8> {
                    (0..residues)
                        .flat_map(|i| (0..residues).map(move |j| if turned { (j, i) } else { (i, j) }))
                        .flat_map(|(i, j)| (0..piece).map(move |b| at(i, j, b)))
                        .collect()
                };
                let mut pair = square(false);
                transpose(&mut pair, residues, piece);
                assert_eq!(pair, square(true));
            }
        }
    }
}
