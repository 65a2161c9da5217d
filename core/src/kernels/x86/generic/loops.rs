//! The loops of which kernels are made: over any primitives, or an instruction set's own.

use super::matrix::{Output, Rows, products};
use super::pairs::Pairs;
use super::softmax::SoftmaxRows;
use super::vectors::{Group, Vectors};
use crate::kernels::attention::{Head, Temperature};
use crate::kernels::linear::PANEL;

/// An instruction set with its loops, for which compilers often keep sums in memory.
pub trait Loops: Vectors {
    /// Products of all rows with all panels: [`products`].
    #[inline(always)]
    fn products(self, rows: Rows, panels: &[Group], output: &mut impl Output) {
        products(self, rows, panels, output);
    }

    /// The scores of `R` queries, `[R, head.width]`, with all keys: products times the key's scale, `[R,
    /// stride]`.
    fn score<const R: usize>(self, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]);

    /// Adds the products of some pairs of keys with the weights of `R` rows, for `W` vectors of sixteen
    /// channels.
    #[inline(always)]
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[Self::Context; W]; R]) {
        pairs.add(self, sums);
    }

    /// The weights of `R` rows of scores (or, without temperatures, of logits), of which those that are no
    /// key's are the least there is; returns their sums. A temperature's shift is at least 1.
    fn softmax<const R: usize>(self, rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R];
}

/// Products of a few queries with one panel of keys or two: what [`score`](super::score::score) is made of.
pub trait Dots: Vectors {
    /// Sums of one row with the sixteen columns of a panel.
    type Dots: Copy;

    /// The products of `R` rows, all of them low limbs, with as many groups of `P` panels, less each row's
    /// excess. Groups are an even number.
    fn dots<const R: usize, const P: usize>(
        self,
        rows: Rows,
        panels: &[Group],
        excess: &[i32; R],
    ) -> [[Self::Dots; P]; R];

    /// Products of one row times a scale for each column.
    fn scaled(self, dots: Self::Dots, scales: &[i32; PANEL]) -> [i32; PANEL];
}
