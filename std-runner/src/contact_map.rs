//! Contact probabilities as other tools expect them.

use std::io::{self, Write};

use crate::engine::decode_probability;

/// Pairs nearer in sequence than this are trivially in contact and not counted.
pub const MIN_SEPARATION: usize = 6;

/// Probabilities `[L, L]` in units of 2^-16 as floats.
pub fn decode(contacts: &[u16]) -> Vec<f32> {
    contacts.iter().map(|&p| decode_probability(p)).collect()
}

/// Pairs (i, j, p), i < j from 0, at least `separation` apart and with p above `threshold`, in order of (i, j).
pub fn pairs_above(
    probabilities: &[f32],
    length: usize,
    separation: usize,
    threshold: f32,
) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
    let pair = move |i: usize, j: usize| (i, j, probabilities[i * length + j]);
    let row = move |i: usize| (i.saturating_add(separation.max(1))..length).map(move |j| pair(i, j));
    (0..length).flat_map(row).filter(move |&(_, _, p)| p > threshold)
}

/// Writes the pairs of [`pairs_above`] as a table: `i`, `j` (from 1) and the probability.
///
/// # Errors
/// The writer's.
pub fn write_tsv(
    out: &mut dyn Write,
    probabilities: &[f32],
    length: usize,
    separation: usize,
    threshold: f32,
) -> io::Result<()> {
    writeln!(out, "i\tj\tprobability")?;
    for (i, j, p) in pairs_above(probabilities, length, separation, threshold) {
        writeln!(out, "{}\t{}\t{p:.4}", i + 1, j + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_once() {
        let n = 8;
        let mut codes = vec![0u16; n * n];
        for (i, j, p) in [(0, 6, 40000), (1, 7, 32768), (0, 7, 32769), (0, 2, 65535)] {
            codes[i * n + j] = p;
            codes[j * n + i] = p;
        }
        let map = decode(&codes);
        let found: Vec<_> = pairs_above(&map, n, MIN_SEPARATION, 0.5).map(|(i, j, _)| (i, j)).collect();
        assert_eq!(found, [(0, 6), (0, 7)]);
        let mut table = Vec::new();
        write_tsv(&mut table, &map, n, 1, 0.6).expect("in memory");
        assert_eq!(
            String::from_utf8(table).expect("text"),
            "i\tj\tprobability\n1\t3\t1.0000\n1\t7\t0.6104\n"
        );
        assert_eq!(pairs_above(&map, n, usize::MAX, 0.0).count(), 0);
    }
}
