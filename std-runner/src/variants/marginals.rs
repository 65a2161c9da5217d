//! What a language model says of every residue at each place of a sequence.

use std::collections::BTreeSet;

use foldpoint_core::alphabet::token;

use super::mutation::Mutation;
use super::pass::Pass;
use super::window::{self, optimal, overlapping};

/// How log probabilities of a place come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// From one run over the sequence as it is, whole.
    WildType,
    /// From windows over it.
    WildTypeInWindows,
    /// From a run for each place, in which it is masked; in the window around it where the sequence is longer.
    Masked,
}

impl Strategy {
    /// The runs over `residues` residues that tell of the places `at` (from 0), which for all but
    /// [`Masked`](Self::Masked) are those that tell of all places.
    pub fn passes(self, residues: usize, at: &BTreeSet<usize>) -> Vec<Pass> {
        let tokens = residues + 2;
        let whole = |window| Pass { window, mask: None };
        match self {
            Self::WildType => vec![whole(0..tokens)],
            Self::WildTypeInWindows => overlapping(tokens).into_iter().map(whole).collect(),
            Self::Masked => {
                let masked = |&at: &usize| Pass { window: optimal(at + 1, tokens), mask: Some(at + 1) };
                at.iter().map(masked).collect()
            }
        }
    }
}

/// Log probabilities of tokens at places of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marginals {
    vocab: usize,
    /// `[residues + 2, vocabulary]`, weighted.
    sums: Vec<i64>,
    /// `[residues + 2]`; 0 where nothing is known.
    weights: Vec<u32>,
}

impl Marginals {
    /// Nothing yet, of `residues` residues.
    pub fn new(residues: usize, vocab: usize) -> Self {
        Self { vocab, sums: vec![0; (residues + 2) * vocab], weights: vec![0; residues + 2] }
    }

    /// Adds what a run of [`Strategy::passes`] said, in any order.
    pub fn add(&mut self, pass: &Pass, said: &[i32]) {
        let first = pass.mask.unwrap_or(pass.window.start);
        let in_windows = pass.mask.is_none() && pass.window.len() < self.weights.len();
        for (place, row) in said.chunks_exact(self.vocab).enumerate() {
            let weight = if in_windows { window::weight(place) } else { 1 };
            self.weights[first + place] += weight;
            let sums = &mut self.sums[(first + place) * self.vocab..][..self.vocab];
            sums.iter_mut().zip(row).for_each(|(sum, &log)| *sum += i64::from(weight) * i64::from(log));
        }
    }

    /// The log probability of a letter at place `at` from 0, unit 2^-16; none where no run told of it.
    pub fn log_probability(&self, at: usize, letter: u8) -> Option<i64> {
        let weight = i64::from(*self.weights.get(at + 1)?);
        let sum = self.sums.get((at + 1) * self.vocab + usize::from(token(letter)?))?;
        // To the nearest; halves away from 0, of what is never above it.
        (weight > 0).then(|| (sum - weight / 2) / weight)
    }

    /// The score of a variant, unit 2^-16: over its mutations, how much more probable the new residue is than
    /// the wild type's.
    pub fn score(&self, mutations: &[Mutation]) -> Option<i64> {
        let one = |mutation: &Mutation| {
            let of = |letter| self.log_probability(mutation.at, letter);
            Some(of(mutation.to)? - of(mutation.from)?)
        };
        mutations.iter().map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB: usize = 33;

    #[test]
    fn a_variants_score_is_the_sum_of_its_mutations() {
        let mut marginals = Marginals::new(3, VOCAB);
        let strategy = Strategy::Masked;
        let passes = strategy.passes(3, &BTreeSet::from([0, 2]));
        assert_eq!(passes.iter().map(|pass| pass.mask).collect::<Vec<_>>(), [Some(1), Some(3)]);
        for (pass, scale) in passes.iter().zip([-1, -100]) {
            let said: Vec<i32> = (0..VOCAB as i32).map(|token| token * scale).collect();
            marginals.add(pass, &said);
        }
        // L is token 4, A 5, G 6.
        let mutation = |from, at, to| Mutation { from, at, to };
        assert_eq!(marginals.score(&[mutation(b'L', 0, b'G')]), Some(-2));
        assert_eq!(marginals.score(&[mutation(b'L', 0, b'G'), mutation(b'G', 2, b'A')]), Some(98));
        assert_eq!(marginals.score(&[mutation(b'L', 1, b'G')]), None, "no run told of it");
        assert_eq!(marginals.score(&[mutation(b'L', 9, b'G')]), None);
    }

    #[test]
    fn windows_are_averaged_by_their_weights() {
        let residues = 1100;
        let mut marginals = Marginals::new(residues, VOCAB);
        let passes = Strategy::WildTypeInWindows.passes(residues, &BTreeSet::new());
        assert_eq!(passes.len(), 2);
        for (pass, value) in passes.iter().zip([-1000, -3000]) {
            marginals.add(pass, &vec![value; pass.window.len() * VOCAB]);
        }
        // Far from either window's ends both count alike; near the end of one the other one counts.
        assert_eq!(marginals.log_probability(550, b'A'), Some(-2000));
        assert_eq!(marginals.log_probability(10, b'A'), Some(-1000));
        assert_eq!(marginals.log_probability(79, b'A'), Some(-1016));
        assert_eq!(marginals.log_probability(1090, b'A'), Some(-3000));
    }
}
