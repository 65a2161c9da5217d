//! How the maps of attention are stored: sums over the rows of how much each residue attends to each.

use super::rows::Rows;
use crate::omegafold::config::MAP_FRAC;

/// Sums below this are stored as they are, in units of 2^-16 of one row's attention.
const FINE: u32 = 1 << 15;

/// The largest probability of a row.
const PROBABILITY_MAX: usize = 65_535;

/// Codes of sums over so many rows: exact below half of one row's attention, which is where nearly all pairs
/// are and where their normalization needs them, in steps of a power of two beyond. The sums of a single row
/// are all exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapCodec {
    /// Bits that the largest sum has too many.
    shift: u32,
}

impl MapCodec {
    /// For sums over `rows` rows.
    pub fn of_rows(rows: usize) -> Self {
        let largest = u32::try_from(rows.saturating_mul(PROBABILITY_MAX)).unwrap_or(u32::MAX);
        let fits = |shift: &u32| places(largest.saturating_sub(FINE), *shift) < FINE;
        Self { shift: (0..32).find(fits).unwrap_or(31) }
    }

    /// The code of a sum, unit 2^-16; the largest code for what is larger.
    pub fn encode(self, sum: u32) -> u16 {
        match sum.checked_sub(FINE) {
            None => sum as u16,
            Some(beyond) => (FINE + places(beyond, self.shift).min(FINE - 1)) as u16,
        }
    }

    /// The sum that a code stands for, unit 2^-16.
    pub const fn decode(self, code: u16) -> i32 {
        let code = code as u32;
        let sum = if code < FINE { code } else { FINE.wrapping_add((code - FINE) << self.shift) };
        sum as i32
    }
}

/// `beyond / 2^shift`, rounded half up.
fn places(beyond: u32, shift: u32) -> u32 {
    ((u64::from(beyond) + ((1 << shift) >> 1)) >> shift) as u32
}

/// What the codes of maps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapUnit {
    /// How sums are stored.
    pub codec: MapCodec,
    /// Epsilon of the normalization of sums, unit 2^-32.
    pub epsilon: u64,
}

impl MapUnit {
    /// For the sums over these rows. `epsilon` is that of the mean, in squares of 2^-[`MAP_FRAC`]: the mean
    /// divides by the number of rows that have keys, and so would be its deviation; what normalization
    /// divides by is the same if epsilon takes that factor. (The original adds 1e-5 to the number of rows,
    /// which changes epsilon by 2 parts in 10^5 at one row, by 1 part in 10^6 at sixteen.)
    pub fn new(rows: &Rows, epsilon: u64) -> Self {
        let with_keys = rows.with_keys() as u128;
        let places = 2 * (MAP_FRAC - 16);
        let scaled = (u128::from(epsilon) * with_keys * with_keys) >> places;
        let epsilon = u64::try_from(scaled).unwrap_or(u64::MAX);
        Self { codec: MapCodec::of_rows(rows.total()), epsilon }
    }
}

/// Maps, to read.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'m> {
    /// `[residues, layers, residues]`: of the residue that attends, of the layer, to each residue.
    pub codes: &'m [u16],
    /// What they mean.
    pub unit: MapUnit,
    /// Residues.
    pub residues: usize,
    /// Layers.
    pub layers: usize,
}

impl Maps<'_> {
    /// Fills `sums` with how much residue `i` attends in layer `layer` to those from `first` on, unit 2^-16.
    pub fn read(&self, i: usize, layer: usize, first: usize, sums: &mut [i32]) {
        let row = self.codes.chunks_exact(self.residues.max(1)).nth(i * self.layers + layer);
        let codes = row.and_then(|row| row.get(first..)).unwrap_or_default();
        sums.iter_mut().zip(codes).for_each(|(sum, &code)| *sum = self.unit.codec.decode(code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_of_one_row_are_exact_and_of_sixteen_within_half_a_step() {
        let one = MapCodec::of_rows(1);
        assert!((0..=65_535u32).all(|sum| one.decode(one.encode(sum)) == sum as i32));
        let sixteen = MapCodec::of_rows(16);
        assert_eq!(sixteen.shift, 5);
        for sum in 0..=16 * 65_535u32 {
            let error = sixteen.decode(sixteen.encode(sum)).abs_diff(sum as i32);
            assert!(error <= if sum < FINE { 0 } else { 16 }, "{sum}");
        }
    }

    #[test]
    fn sums_of_all_rows_there_may_be_are_what_normalization_takes() {
        let codec = MapCodec::of_rows(super::super::shape::ROWS_MAX);
        let largest = (super::super::shape::ROWS_MAX * PROBABILITY_MAX) as u32;
        assert!((1 << 23..=1 << 24).contains(&codec.decode(codec.encode(largest))));
        assert_eq!(MapCodec::of_rows(usize::MAX).encode(u32::MAX), 3 << 14);
        let _ = MapCodec::of_rows(usize::MAX).decode(u16::MAX);
    }

    proptest! {
        #[test]
        fn codes_are_in_the_order_of_sums(rows in 1..200usize, a: u32, b: u32, cut in 0..32u32) {
            let codec = MapCodec::of_rows(rows);
            let (a, b) = ((a >> cut).min(b), b.max(a >> cut));
            prop_assert!(codec.encode(a) <= codec.encode(b));
            let largest = rows as u32 * 65_535;
            let step = 1u32 << codec.shift;
            if a <= largest {
                prop_assert!(codec.decode(codec.encode(a)).abs_diff(a as i32) <= step / 2);
            }
        }
    }
}
