//! Rows of a pseudo-MSA, and which of their residues are attended to.

use super::error::RunError;
use super::shape::{ROWS_MAX, Shape};
use crate::fixed::saturate::to_i32;
use crate::fixed::{Divisor, LOG2_FRAC, Multiplier, log2};
use crate::kernels::attention::KEYS_MAX;
use crate::omegafold::config::{MASK, RESIDUES};

/// Rows of a sequence's pseudo-MSA that are run together, each with some residues masked.
///
/// The sequence itself, of which nothing is masked, comes out the same with every pseudo-MSA. So it can be
/// run once by itself; its maps then go `before` those of other rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'r> {
    /// Type of each residue in AlphaFold's order, 0 to 20.
    pub types: &'r [u8],
    /// Whether each residue of each row is kept (1) or masked (0), `[rows, residues]`.
    pub kept: &'r [u8],
    /// The maps that a run of the sequence alone left, to which those of these rows are added.
    pub before: Option<&'r [u16]>,
}

impl Rows<'_> {
    /// Refuses what does not fit the sizes.
    pub fn check(&self, shape: &Shape) -> Result<(), RunError> {
        let (residues, rows) = (shape.residues, shape.rows);
        if residues == 0 {
            return Err(RunError::EmptyInput);
        }
        if residues > KEYS_MAX {
            return Err(RunError::TooLong { residues, limit: KEYS_MAX });
        }
        let maps = residues.checked_mul(shape.maps_of_residue());
        if self.types.len() != residues
            || residues.checked_mul(rows) != Some(self.kept.len())
            || self.before.is_some_and(|before| Some(before.len()) != maps)
        {
            return Err(RunError::WrongLengths {
                residues: self.types.len(),
                kept: self.kept.len(),
                before: self.before.map_or(0, <[u16]>::len),
            });
        }
        if self.total() > ROWS_MAX {
            return Err(RunError::TooManyRows { rows: self.total(), limit: ROWS_MAX });
        }
        match self.types.iter().position(|&residue| usize::from(residue) >= RESIDUES) {
            Some(index) => Err(RunError::NoResidue { index }),
            None => Ok(()),
        }
    }

    /// The masks of each row.
    fn masks(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.chunks_exact(self.types.len().max(1))
    }

    /// How many rows the maps are summed over.
    pub fn total(&self) -> usize {
        self.masks().count() + usize::from(self.before.is_some())
    }

    /// How many of them keep a residue.
    pub fn with_keys(&self) -> usize {
        let with_keys = self.masks().filter(|mask| mask.iter().any(|&kept| kept != 0)).count();
        with_keys + usize::from(self.before.is_some())
    }

    /// The token of a residue in a row.
    pub fn token(&self, row: usize, residue: usize) -> u8 {
        match self.kept.get(row * self.types.len() + residue) {
            Some(0) | None => MASK,
            Some(_) => self.types.get(residue).copied().unwrap_or(MASK),
        }
    }

    /// Lists the residues that are kept in each row, and counts them; all where none is, with a count of 0.
    pub fn list(&self, lists: &mut [u16], counts: &mut [u32]) {
        let residues = self.types.len().max(1);
        for ((mask, list), count) in self.masks().zip(lists.chunks_exact_mut(residues)).zip(counts) {
            let mut places = list.iter_mut();
            for (residue, _) in (0..).zip(mask).filter(|(_, kept)| **kept != 0) {
                places.next().into_iter().for_each(|place| *place = residue);
            }
            *count = (residues - places.len()) as u32;
            if *count == 0 {
                (0..).zip(list).for_each(|(residue, place)| *place = residue);
            }
        }
    }
}

/// The keys of every row.
#[derive(Clone, Copy, Debug)]
pub struct KeyLists<'k> {
    /// Residues of a row.
    pub residues: usize,
    /// `[rows, residues]`, as [`Rows::list`] makes them.
    pub lists: &'k [u16],
    /// Of every row.
    pub counts: &'k [u32],
}

/// The keys of one row.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'k> {
    /// The residues that are attended to, ascending.
    pub at: &'k [u16],
    /// How many residues are kept; where none is, all are attended to alike.
    pub kept: u32,
}

impl<'k> KeyLists<'k> {
    /// Those of row `row`.
    pub fn of(&self, row: usize) -> Keys<'k> {
        let kept = self.counts.get(row).copied().unwrap_or(0);
        let list = self.lists.get(row * self.residues..).unwrap_or_default();
        let count = if kept == 0 { self.residues } else { kept as usize };
        Keys { at: list.get(..count.min(self.residues)).unwrap_or_default(), kept }
    }
}

impl Keys<'_> {
    /// The base-2 logarithm of their number, 0 where all are attended to alike.
    pub fn log2(&self) -> Multiplier {
        Multiplier { mantissa: log2(self.kept), shift: LOG2_FRAC as i32 }
    }
}

/// What every embedding of a row is multiplied with, a fraction: 0.88 / (1 - m / n) for m masked and n kept
/// residues, which is 0.88 n / (n - m).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    numerator: u64,
    denominator: Divisor,
    negative: bool,
}

impl Factor {
    /// Of a row that keeps `kept` of `residues` residues: negative where more are masked, 88 where as many
    /// are, 0 where all are.
    pub fn new(kept: usize, residues: usize) -> Self {
        let (kept, masked) = (kept as u64, residues.saturating_sub(kept) as u64);
        let denominator = match kept.abs_diff(masked) {
            // The original takes 0.99 for a share of 1.
            0 if kept > 0 => return Self { numerator: 88, denominator: Divisor::new(1), negative: false },
            difference => Divisor::new(difference.saturating_mul(100)),
        };
        Self { numerator: kept.saturating_mul(88), denominator, negative: masked > kept }
    }

    /// `x` times the factor, to nearest, half away from zero, saturating.
    pub fn apply(self, x: i32) -> i32 {
        let half = self.denominator.get() / 2;
        // Below 2^32 * 2^32: rows have fewer than 2^24 residues.
        let product = u64::from(x.unsigned_abs()).saturating_mul(self.numerator).saturating_add(half);
        let scaled = i64::try_from(self.denominator.divide(product)).unwrap_or(i64::MAX);
        to_i32(if (x < 0) != self.negative { -scaled } else { scaled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn factors_are_the_originals() {
        let applied = |kept: usize, residues: usize| Factor::new(kept, residues).apply(1_000_000);
        // Nothing masked; 12 of 100; as many as kept; more than kept; all.
        assert_eq!(applied(1, 1), 880_000);
        assert_eq!(applied(88, 100), 1_018_947);
        assert_eq!([applied(1, 2), applied(6, 12)], [88_000_000; 2]);
        assert_eq!(applied(4, 9), -3_520_000);
        assert_eq!([applied(0, 1), applied(0, 3)], [0; 2]);
        assert_eq!(Factor::new(4, 9).apply(-1), 4);
        for (kept, residues) in [(0, 0), (5, 3), (usize::MAX, usize::MAX), (1, usize::MAX), (3, 5)] {
            for x in [i32::MIN, -1, 0, 1, i32::MAX] {
                let _ = Factor::new(kept, residues).apply(x);
            }
        }
        let ends = [Factor::new(3, 5).apply(i32::MIN), Factor::new(2, 5).apply(i32::MIN)];
        assert_eq!(ends, [i32::MIN, i32::MAX]);
    }

    #[test]
    fn keys_are_the_kept_residues_or_all() {
        let kept = [1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1];
        let rows = Rows { types: &[0, 5, 20, 7], kept: &kept, before: None };
        let (mut lists, mut counts) = (vec![9; 12], vec![9; 3]);
        rows.list(&mut lists, &mut counts);
        let lists = KeyLists { residues: 4, lists: &lists, counts: &counts };
        let keys: Vec<(&[u16], u32)> = (0..3).map(|row| (lists.of(row).at, lists.of(row).kept)).collect();
        assert_eq!(keys, [(&[0, 2, 3][..], 3), (&[0, 1, 2, 3], 0), (&[0, 1, 2, 3], 4)]);
        assert_eq!((rows.total(), rows.with_keys()), (3, 2));
        assert_eq!([rows.token(0, 0), rows.token(0, 1), rows.token(2, 1), rows.token(9, 9)], [0, 21, 5, 21]);
        assert_eq!((lists.of(1).log2().mantissa, lists.of(2).log2().mantissa), (0, 2 << LOG2_FRAC));
        assert!(lists.of(77).at.is_empty());
    }
}
