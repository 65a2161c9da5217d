//! Contact probabilities as other tools expect them.

use std::io::{self, Write};

use crate::engine::decode_probability;
use crate::output::structure::chain_name;

/// Pairs nearer in sequence than this are trivially in contact and not counted.
pub const MIN_SEPARATION: usize = 6;

/// Probabilities `[L, L]` in units of 2^-16 as floats.
pub fn decode(contacts: &[u16]) -> Vec<f32> {
    contacts.iter().map(|&p| decode_probability(p)).collect()
}

/// Pairs (i, j, p), i < j from 0, with p above `threshold`, in order of (i, j). Residues of one chain are at
/// least `separation` apart; those of two chains have no distance in sequence, and count always. `chains` has
/// the chains' lengths, which add up to the map's.
pub fn pairs_above<'m>(
    probabilities: &'m [f32],
    chains: &[usize],
    separation: usize,
    threshold: f32,
) -> impl Iterator<Item = (usize, usize, f32)> + use<'m> {
    let chain_of: Vec<usize> = numbered(chains).map(|(chain, _)| chain).collect();
    let length = chain_of.len();
    let pairs = (0..length).flat_map(move |i| (i + 1..length).map(move |j| (i, j)));
    pairs
        .filter(move |&(i, j)| chain_of[i] != chain_of[j] || j - i >= separation)
        .map(move |(i, j)| (i, j, probabilities[i * length + j]))
        .filter(move |&(_, _, p)| p > threshold)
}

/// The chain of each residue, from 0, and its number there, from 1.
fn numbered(chains: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    chains.iter().enumerate().flat_map(|(chain, &length)| (1..=length).map(move |number| (chain, number)))
}

/// Writes the pairs of [`pairs_above`] as a table: `i` and `j`, rows and columns of the map from 1, and the
/// probability. If there are several chains, the names that they have in structures and the residues' numbers
/// in them follow.
///
/// # Errors
/// The writer's.
pub fn write_tsv(
    out: &mut dyn Write,
    probabilities: &[f32],
    chains: &[usize],
    separation: usize,
    threshold: f32,
) -> io::Result<()> {
    let several = chains.len() > 1;
    writeln!(
        out,
        "i\tj\tprobability{}",
        if several { "\tchain_i\tresidue_i\tchain_j\tresidue_j" } else { "" }
    )?;
    let names: Vec<String> = (0..chains.len()).map(chain_name).collect();
    let place = |(chain, number): (usize, usize)| format!("\t{}\t{number}", names[chain]);
    let places: Vec<String> = numbered(chains).map(place).collect();
    for (i, j, p) in pairs_above(probabilities, chains, separation, threshold) {
        write!(out, "{}\t{}\t{p:.4}", i + 1, j + 1)?;
        if several {
            write!(out, "{}{}", places[i], places[j])?;
        }
        writeln!(out)?;
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
        let found: Vec<_> = pairs_above(&map, &[n], MIN_SEPARATION, 0.5).map(|(i, j, _)| (i, j)).collect();
        assert_eq!(found, [(0, 6), (0, 7)]);
        let mut table = Vec::new();
        write_tsv(&mut table, &map, &[n], 1, 0.6).expect("in memory");
        assert_eq!(
            String::from_utf8(table).expect("text"),
            "i\tj\tprobability\n1\t3\t1.0000\n1\t7\t0.6104\n"
        );
        assert_eq!(pairs_above(&map, &[n], usize::MAX, 0.0).count(), 0);
    }

    #[test]
    fn pairs_of_two_chains_count_at_any_distance() {
        // Chains of 2, 1 and 2 residues; all pairs are as probable.
        let map = vec![0.75; 25];
        let chains = [2, 1, 2];
        let found: Vec<_> = pairs_above(&map, &chains, 6, 0.5).map(|(i, j, _)| (i, j)).collect();
        assert_eq!(found, [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4)]);
        let mut table = Vec::new();
        write_tsv(&mut table, &map, &chains, 1, 0.5).expect("in memory");
        let table = String::from_utf8(table).expect("text");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], "i\tj\tprobability\tchain_i\tresidue_i\tchain_j\tresidue_j");
        assert_eq!(lines[1], "1\t2\t0.7500\tA\t1\tA\t2");
        assert_eq!(lines[6], "2\t4\t0.7500\tA\t2\tC\t1");
        assert_eq!(lines[10], "4\t5\t0.7500\tC\t1\tC\t2");
    }
}
