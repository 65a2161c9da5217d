//! The sequences that are calibrated on if a user gives no others.

use fasta::Batch;

/// What a model file says that it was calibrated on.
pub const NAME: &str = "built in";

const FASTA: &str = include_str!("../../calibration.fasta");

/// The natural proteins of `calibration.fasta` that have at most `max_len` residues. Longer ones are left out
/// without a word: nobody gave them.
pub fn sequences(max_len: usize) -> Batch {
    Batch { rejected: Vec::new(), ..fasta::read(FASTA.as_bytes(), NAME, max_len) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHORTEST: usize = 30;
    const LONGEST: usize = 500;
    const BINS: usize = 5;

    /// How many sequences are in each fifth of the lengths.
    fn bins(sequences: &[fasta::Sequence]) -> [usize; BINS] {
        let mut bins = [0; BINS];
        for sequence in sequences {
            bins[(sequence.residues.len() - SHORTEST) * BINS / (LONGEST - SHORTEST + 1)] += 1;
        }
        bins
    }

    #[test]
    fn the_sequences_are_whole_natural_and_different() {
        let batch = sequences(usize::MAX).single_chains().without_masks();
        assert!(batch.warnings.is_empty() && batch.failures.is_empty());
        assert_eq!(batch.sequences.len(), 66);
        let mut different = BTreeSet::new();
        for sequence in &batch.sequences {
            // An entry of the Protein Data Bank and a chain, the organism, the protein.
            let (entry, chain) = sequence.id.split_once('_').unwrap();
            assert!(entry.len() == 4 && entry.starts_with(|c: char| c.is_ascii_digit()), "{}", sequence.id);
            assert!(chain.len() == 1 && sequence.header.contains(", "), "{}", sequence.header);
            let natural = sequence.residues.iter().all(|residue| b"ACDEFGHIKLMNPQRSTVWY".contains(residue));
            assert!(natural, "{}", sequence.id);
            assert!((SHORTEST..=LONGEST).contains(&sequence.residues.len()), "{}", sequence.id);
            assert!(different.insert(&sequence.residues), "{}", sequence.id);
        }
    }

    #[test]
    fn lengths_are_about_uniform_in_the_file_and_in_its_beginning() {
        let sequences = super::sequences(usize::MAX).sequences;
        let all = bins(&sequences);
        assert!(all.iter().all(|count| (10..=17).contains(count)), "{all:?}");
        let first = bins(&sequences[..16]);
        assert!(first.iter().all(|count| (2..=5).contains(count)), "{first:?}");
    }

    #[test]
    fn enough_of_them_are_short_enough_to_fold() {
        let short = sequences(128);
        assert!(short.sequences.len() >= 14, "{}", short.sequences.len());
        assert!(short.rejected.is_empty());
    }
}
