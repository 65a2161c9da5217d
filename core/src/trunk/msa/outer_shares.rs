//! What the outer product's sums are divided by.

use super::shape::Shape;
use crate::arena::{Arena, ArenaError, Source};
use crate::fixed::{Multiplier, reciprocal};

/// 0.001 is added to a number of rows before it divides: it is multiplied by this, and then 1 is added.
const THOUSAND: u64 = 1000;

/// What sums are divided by: for each number of rows, 0 to all.
#[derive(Debug)]
pub struct Shares<S: Source> {
    /// Mantissa and shift of `1 / (rows + 0.001)`.
    shares: S::Piece<[i32; 2]>,
    /// That times the bias, `[rows + 1, pair width]`.
    bias: S::Piece<i32>,
}

impl<S: Source> Shares<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let numbers = shape.rows.saturating_add(1);
        Ok(Self {
            shares: source.take(numbers)?,
            bias: source.take(numbers.saturating_mul(shape.trunk.pair.width))?,
        })
    }
}

impl Shares<Arena<'_>> {
    /// For sums with this bias, pair units.
    pub fn fill(&mut self, bias: &[i32]) {
        let rows = self.bias.chunks_exact_mut(bias.len().max(1));
        for (number, (share, out)) in (0..).zip(self.shares.iter_mut().zip(rows)) {
            let thousand = Multiplier { mantissa: THOUSAND as i32, shift: 0 };
            let of_one = reciprocal(THOUSAND * number + 1).then(thousand);
            *share = [of_one.mantissa, of_one.shift];
            out.iter_mut().zip(bias).for_each(|(out, &bias)| *out = of_one.apply(bias));
        }
    }

    /// What the sum over so many rows is multiplied by.
    pub fn of(&self, number: usize) -> Multiplier {
        let [mantissa, shift] = self.shares.get(number).copied().unwrap_or_default();
        Multiplier { mantissa, shift }
    }

    /// The bias of pairs of `width` channels that so many rows keep.
    pub fn bias(&self, number: usize, width: usize) -> &[i32] {
        self.bias.chunks_exact(width.max(1)).nth(number).unwrap_or_default()
    }
}
