//! The pair representation transposed in place, so that what works on rows works on columns.

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

#[cfg(test)]
mod tests {
    use super::transpose;
    use std::vec::Vec;

    #[test]
    fn swaps_rows_and_columns_of_any_size() {
        for residues in 0..9usize {
            for piece in 1..4usize {
                let at = |i: usize, j: usize, b: usize| (i * 31 + j * 7 + b * 3) as u8;
                let square = |transposed: bool| -> Vec<u8> {
                    (0..residues)
                        .flat_map(|i| (0..residues).map(move |j| if transposed { (j, i) } else { (i, j) }))
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
