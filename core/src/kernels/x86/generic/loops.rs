//! The loops of which kernels are made: over any primitives, or an instruction set's own.

use super::matrix::{Output, Rows, dots, products};
use super::pairs::Pairs;
use super::score::{Keys, Scores, score};
use super::vectors::{Group, Vectors};
use super::weigh::Weighing;
use crate::kernels::attention::Temperature;

/// An instruction set with its loops, for which compilers often keep sums in memory.
pub trait Loops: Vectors {
    /// Products of all rows with all panels: [`products`].
    #[inline(always)]
    fn products(self, rows: Rows, panels: &[Group], output: &mut impl Output) {
        products(self, rows, panels, output);
    }

    /// The scores of `R` queries, all of them low limbs, with a block of keys: [`score`].
    #[inline(always)]
    fn score<const R: usize>(self, queries: Rows, excess: &[i32; R], keys: Keys, scores: Scores) {
        score(self, queries, excess, keys, scores);
    }

    /// The products of `R` rows, all of them low limbs, with as many groups of `P` panels, less each row's excess: [`dots`].
    #[inline(always)]
    fn dots<const R: usize, const P: usize>(
        self,
        rows: Rows,
        panels: &[Group],
        excess: &[i32; R],
    ) -> [[Self::Sums; P]; R] {
        dots(self, rows, panels, excess)
    }

    /// Adds the products of some pairs of keys with the weights of `R` rows, for `W` vectors of sixteen channels.
    #[inline(always)]
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[Self::Context; W]; R]) {
        pairs.add(self, sums);
    }

    /// The weights of `R` rows of scores (or, without temperatures, of logits), of which those that are no key's are the least there is; returns
    /// their sums. A temperature's shift is at least 1.
    fn weigh<const R: usize>(self, rows: Weighing, temperatures: Option<&[Temperature; R]>) -> [u32; R];
}
