//! The primitives of an instruction set, of which the kernels are made.

use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, PANEL};
use core::ops::RangeInclusive;

/// A group of four inputs of a packed panel: `[16, 4]`.
pub type Group = [i8; GROUP * PANEL];

/// An instruction set, as a value that exists only where the machine has it: its functions need no further
/// proof.
///
/// All of them are inlined into a function that enables the features.
pub trait Vectors: Copy {
    /// Rows whose sums stay in registers while [`PANELS`](Self::PANELS) panels are multiplied.
    const ROWS: usize;
    /// Panels that are multiplied at a time: one or two.
    const PANELS: usize;
    /// Panels that up to three rows are multiplied with at a time: one, two or four.
    const PANELS_OF_FEW_ROWS: usize;
    /// Vectors of sixteen channels whose values are summed at a time: one or two.
    const VALUES: usize;
    /// Sums of products of one row with the sixteen columns of a panel.
    type Sums: Copy;
    /// A group of a panel, ready to be multiplied.
    type Columns: Copy;
    /// Four codes of a row, for every column.
    type Codes: Copy;

    /// Two keys' values of sixteen channels, ready to be multiplied.
    type Values: Copy;
    /// Sums of products of weights and values for sixteen channels.
    type Context: Copy;

    /// No products.
    fn zero(self) -> Self::Sums;

    /// No products, less what those to come are too large by ([`excess`](Self::excess)).
    fn less(self, excess: i32) -> Self::Sums;

    /// Makes a group ready.
    fn columns(self, group: &Group) -> Self::Columns;

    /// Makes four codes ready.
    fn codes(self, codes: [i8; GROUP]) -> Self::Codes;

    /// Adds the products of four codes with sixteen columns, and what [`excess`](Self::excess) says for these
    /// codes.
    fn add(self, sums: Self::Sums, columns: Self::Columns, codes: Self::Codes) -> Self::Sums;

    /// [`add`](Self::add) for two panels. Where registers are just enough, it sees to it that few are taken
    /// for codes.
    #[inline(always)]
    fn add_to_both(
        self,
        sums: [Self::Sums; 2],
        columns: [Self::Columns; 2],
        codes: &[i8; GROUP],
    ) -> [Self::Sums; 2] {
        let codes = self.codes(*codes);
        [self.add(sums[0], columns[0], codes), self.add(sums[1], columns[1], codes)]
    }

    /// What products with these codes are too large by: 128 times the codes' sum where columns are taken as
    /// unsigned.
    fn excess(self, codes: &[i8]) -> i32;

    /// Sums times 128, the unit of the high limbs.
    fn shift_limb(self, sums: Self::Sums) -> Self::Sums;

    /// The sums of the columns, [`excess`](Self::excess) included.
    fn finish(self, sums: Self::Sums) -> [i32; PANEL];

    /// `requantize(acc - excess, mantissa, shift) + bias` for sixteen columns, for shifts of 2 to 62. False
    /// where a column exceeds its lanes; its output is another then.
    ///
    /// As in [`lanes`](crate::kernels::lanes), sums are shifted left by up to 31 places, and the upper halves
    /// of their products right by what is left of the shift, for which `RIGHT` says that there may be one
    /// above 33.
    fn requantize<const RIGHT: bool>(
        self,
        acc: &[i32; PANEL],
        excess: i32,
        channels: &Channels,
        row: RowScale,
        out: &mut [i32; PANEL],
    ) -> bool;

    /// Two keys' values of sixteen channels (the first eight from eight) in pairs.
    fn values(self, values: &[i8]) -> Self::Values;

    /// No products of weights and values.
    fn no_values(self) -> Self::Context;

    /// Adds the products of a pair of weights with sixteen channels' pairs of values.
    fn add_values(self, context: Self::Context, values: Self::Values, weights: [i16; 2]) -> Self::Context;

    /// The sums of the channels.
    fn context(self, context: Self::Context) -> [i32; PANEL];
}

/// The shifts that [`Vectors::requantize`] does.
pub const SHIFTS: RangeInclusive<i32> = 2..=62;

/// Places of a product that its upper half is without, and one that rounds: up to here, nothing is shifted
/// right.
pub const UPPER: i32 = 33;

/// A [`TokenScale`], ready for vectors.
#[derive(Clone, Copy, Default)]
pub struct RowScale {
    /// Below 2^15.
    pub mantissa: i32,
    /// The exponent.
    pub exponent: i32,
}

impl From<TokenScale> for RowScale {
    #[inline(always)]
    fn from(scale: TokenScale) -> Self {
        Self { mantissa: i32::from(scale.mantissa & 0x7fff), exponent: scale.exponent.into() }
    }
}

/// The epilogue of a panel's channels.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Channels {
    /// Weight scale mantissas, below 2^16.
    pub mantissa: [i32; PANEL],
    /// Weight scale shifts.
    pub shift: [i32; PANEL],
    /// Twice the bias in output units, and 1, which rounds. Biases are below 2^29 in magnitude.
    pub bias: [i32; PANEL],
}
