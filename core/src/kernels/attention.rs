//! What an attention kernel reads and writes.
//!
//! Keys and values of a sequence lie in blocks of rows (records: `nn::attention`). In a block, a head's keys
//! are packed like weights (`[rows / 16, head_width / 4, 16, 4]`, so that scores are a gemm) and its values
//! in pairs of rows (`[rows / 2, head_width, 2]`, so that a dot product of 16-bit pairs sums over keys).

use super::linear::{GROUP, PANEL};
use crate::fixed::{Divisor, Multiplier, TokenScale};
use wide::{u8x16, u32x4};

/// Query rows that a kernel works on at a time.
pub const QUERY_TILE: usize = 8;

/// The largest number of keys: sums of 15-bit weights then fit 31 bits.
pub const KEYS_MAX: usize = 65_535;

/// The relative key scale of the loudest key, for heads of `width` channels: as large as lets a score, at
/// most `width * 127^2` times this, fit an i32. Finer key scales mean finer scores.
pub const fn key_scale_max(width: usize) -> i16 {
    let width = if width == 0 { 1 } else { width as u64 };
    let largest = i32::MAX as u64 / width.saturating_mul(127 * 127);
    if largest > i16::MAX as u64 { i16::MAX } else { largest as i16 }
}

/// One head's keys and values over all blocks.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// All blocks, one after another.
    pub blocks: &'a [u8],
    /// Bytes from one block to the next.
    pub block_len: usize,
    /// Where this head's keys start within a block.
    pub keys_at: usize,
    /// Where this head's values start within a block.
    pub values_at: usize,
    /// Rows of a block, a multiple of 16.
    pub block_rows: usize,
    /// Channels of a head, a multiple of 8.
    pub width: usize,
    /// Keys in all.
    pub keys: usize,
    /// Relative key scales, 0 to [`key_scale_max`], one a key.
    pub key_scale: &'a [i16],
    /// Relative value scales, 0 to 32767, one a key.
    pub value_scale: &'a [i16],
    /// The largest value scale, in activation units.
    pub value_max: TokenScale,
}

/// One block's part of a [`Head`].
#[derive(Clone, Copy, Debug)]
pub struct HeadBlock<'a> {
    /// `[rows / 16, width / 4, 16, 4]`
    pub keys: &'a [i8],
    /// `[rows / 2, width, 2]`
    pub values: &'a [i8],
    /// The index of the first key.
    pub first: usize,
    /// Keys that exist; rows beyond are padding.
    pub count: usize,
}

impl HeadBlock<'_> {
    /// This block's part of something that every key has one of.
    pub fn of<'s, T>(&self, all: &'s [T]) -> &'s [T] {
        all.get(self.first..self.first + self.count).unwrap_or_default()
    }

    /// As [`of`](Self::of), to write.
    pub fn of_mut<'s, T>(&self, all: &'s mut [T]) -> &'s mut [T] {
        all.get_mut(self.first..self.first + self.count).unwrap_or_default()
    }
}

impl<'a> Head<'a> {
    /// The blocks in order.
    pub fn blocks(&self) -> impl Iterator<Item = HeadBlock<'a>> + use<'a> {
        let Head { blocks, block_len, keys_at, values_at, block_rows, width, keys, .. } = *self;
        let len = block_rows * width;
        blocks.chunks(block_len.max(1)).enumerate().map_while(move |(index, block)| {
            let first = index * block_rows;
            let part = |at: usize| block.get(at..at + len).map(bytemuck::cast_slice);
            let count = keys.checked_sub(first).filter(|&left| left > 0)?.min(block_rows);
            Some(HeadBlock { keys: part(keys_at)?, values: part(values_at)?, first, count })
        })
    }
}

/// How differences of scores become exponents: `t = (min((d >> shift) + 1, 65535) * factor) >> 16`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Temperature {
    /// At most 65535.
    pub factor: u16,
    /// At most 31.
    pub shift: u8,
}

impl Temperature {
    /// From the query's scale, the largest key scale, and the model's constant `log2(e) * 2^11 * 2^-32 /
    /// (key_scale_max(width) * sqrt(width))`. A row whose scores are too coarse for the fixed-point exponent
    /// (one key code worth over 2^-11) takes the sharpest temperature there is.
    pub fn new(query: TokenScale, key_max: TokenScale, constant: Multiplier) -> Self {
        let mantissas = u64::from(query.mantissa) * u64::from(key_max.mantissa);
        let product = mantissas * u64::from(constant.mantissa.unsigned_abs());
        let excess = (48 - product.leading_zeros() as i32).max(0);
        let factor = product.checked_shr(excess as u32).unwrap_or(0).min(65_535) as u16;
        let exponents = i32::from(query.exponent) + i32::from(key_max.exponent);
        let shift = constant.shift.saturating_sub(excess + exponents + 16);
        if shift < 0 {
            Self { factor: u16::MAX, shift: 0 }
        } else {
            Self { factor, shift: shift.min(31) as u8 }
        }
    }
}

/// What a score is worth in a logit with a bias: `constant` times both scales, rounded once. `constant` is
/// `log2(e) * 2^-16 / (key_scale_max(width) * sqrt(width))` ([`Config::sequence_temperature`] and
/// `pair_temperature`): times a score it gives units of 2^-16 log2.
///
/// [`Config::sequence_temperature`]: crate::esmfold::Config::sequence_temperature
pub const fn bias_factor(query: TokenScale, key_max: TokenScale, constant: Multiplier) -> Multiplier {
    // Mantissas have 15 bits, so their product is exact.
    let mantissa = (query.mantissa & 0x7fff) as i32 * (key_max.mantissa & 0x7fff) as i32;
    let shift = -(query.exponent as i32 + key_max.exponent as i32);
    constant.then(Multiplier { mantissa, shift })
}

/// How the scores of a tile become exponents.
#[derive(Clone, Copy, Debug)]
pub enum Logits<'t> {
    /// Differences of scores times the row's temperature.
    Plain(&'t [Temperature]),
    /// Scores times the row's factor, in units of 2^-16 log2, plus a bias.
    Biased {
        /// One factor a row: [`bias_factor`].
        factors: &'t [Multiplier],
        /// In units of 2^-16 log2; that of key j of row r lies at `r * bias_stride + j`. Where the slice
        /// ends, the bias is 0.
        bias: &'t [i32],
        /// Values from one row of `bias` to the next.
        bias_stride: usize,
    },
}

/// One row's part of [`Logits`].
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) enum RowLogits<'t> {
    Plain(Temperature),
    Biased { factor: Multiplier, bias: &'t [i32] },
}

impl<'t> Logits<'t> {
    /// Rows that have a temperature or a factor.
    pub const fn rows(&self) -> usize {
        match self {
            Self::Plain(temperatures) => temperatures.len(),
            Self::Biased { factors, .. } => factors.len(),
        }
    }

    /// The rows from `first` on.
    pub fn starting_at(self, first: usize) -> Self {
        match self {
            Self::Plain(temperatures) => Self::Plain(temperatures.get(first..).unwrap_or_default()),
            Self::Biased { factors, bias, bias_stride } => Self::Biased {
                factors: factors.get(first..).unwrap_or_default(),
                bias: bias.get(first.saturating_mul(bias_stride)..).unwrap_or_default(),
                bias_stride,
            },
        }
    }

    /// The rows in order.
    pub(in crate::kernels) fn each(self) -> impl Iterator<Item = RowLogits<'t>> {
        (0..self.rows()).map_while(move |row| match self.starting_at(row) {
            Self::Plain(temperatures) => temperatures.first().copied().map(RowLogits::Plain),
            Self::Biased { factors, bias, .. } => {
                factors.first().map(|&factor| RowLogits::Biased { factor, bias })
            }
        })
    }
}

/// A tile of query rows of one head, with the kernel's outputs.
#[derive(Debug)]
pub struct RowTile<'t> {
    /// Query codes, `[rows, width]`.
    pub queries: &'t [i8],
    /// How the rows' scores become exponents; at most [`QUERY_TILE`] rows.
    pub logits: Logits<'t>,
    /// Working memory for scores, `[rows, stride]`.
    pub scores: &'t mut [i32],
    /// Out: attention weights before normalisation, `[rows, stride]`, 0 to 32767. Beyond the keys nothing is
    /// meant.
    pub weights: &'t mut [i16],
    /// Keys rounded up to a multiple of 32: the rows of `scores` and `weights`.
    pub stride: usize,
    /// Out: the sum of each row's weights.
    pub sums: &'t mut [u32],
    /// Out: each row's context vector, in activation units; row r starts at `r * out_stride`.
    pub out: &'t mut [i32],
    /// Values from one row of `out` to the next.
    pub out_stride: usize,
}

impl RowTile<'_> {
    /// Rows that have everything, for a head of `width` channels.
    pub fn rows(&self, width: usize) -> usize {
        let stride = self.stride.max(1);
        let counts = [
            self.queries.len() / width.max(1),
            self.logits.rows(),
            self.scores.len() / stride,
            self.weights.len() / stride,
            self.sums.len(),
            self.out.len().div_ceil(self.out_stride.max(1)),
        ];
        counts.into_iter().min().unwrap_or(0)
    }

    /// The rows from `row` on.
    pub fn starting_at(&mut self, row: usize, width: usize) -> RowTile<'_> {
        let at = |len: usize| row.saturating_mul(len);
        RowTile {
            queries: self.queries.get(at(width)..).unwrap_or_default(),
            logits: self.logits.starting_at(row),
            scores: self.scores.get_mut(at(self.stride)..).unwrap_or_default(),
            weights: self.weights.get_mut(at(self.stride)..).unwrap_or_default(),
            stride: self.stride,
            sums: self.sums.get_mut(row..).unwrap_or_default(),
            out: self.out.get_mut(at(self.out_stride)..).unwrap_or_default(),
            out_stride: self.out_stride,
        }
    }
}

/// The largest magnitude of a [`ContactWeight`].
pub const CONTACT_WEIGHT_MAX: i16 = 1 << 14;

/// What contact maps need of a head: its logistic regression weight times 2^`shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactWeight {
    /// The weight, at most [`CONTACT_WEIGHT_MAX`] in magnitude.
    pub weight: i16,
    /// `(probability * weight) >> shift` is in contact logit units; 1 to 30.
    pub shift: u32,
}

/// `numerator * scale / largest scale` for every key, rounded; the largest scale itself.
pub fn relative_scales(scales: &[u32], numerator: i16, out: &mut [i16]) -> TokenScale {
    // A scale's word is in the order of its exponent, then its mantissa, once the exponent's sign is the
    // other way round.
    let ordered = |word: &u32| (word & 0xff_ffff) ^ 0x80_0000;
    let Some(largest) = scales.iter().map(ordered).max() else { return TokenScale::covering(0, 0) };
    let largest = unpack(ordered(&largest));
    let mantissa = Divisor::new(largest.mantissa.into());
    for (out, scale) in out.iter_mut().zip(scales.iter().copied().map(unpack)) {
        let below = (i32::from(largest.exponent) - i32::from(scale.exponent)).clamp(0, 40);
        let half = (mantissa.get() << below) / 2;
        let value = numerator.unsigned_abs() as u64 * u64::from(scale.mantissa);
        *out = mantissa.divide((value + half) >> below).min(numerator as u64) as i16;
    }
    largest
}

/// A token scale as one word, for arrays in the arena.
pub const fn pack(scale: TokenScale) -> u32 {
    scale.mantissa as u32 | ((scale.exponent as u8 as u32) << 16)
}

/// The reverse of [`pack`].
pub const fn unpack(word: u32) -> TokenScale {
    TokenScale { mantissa: word as u16, exponent: (word >> 16) as u8 as i8 }
}

/// Puts one row's codes into a head's packed keys.
pub(crate) fn store_key(codes: &[i8], row: usize, keys: &mut [i8]) {
    let places = keys.get_mut(key_place(row, 0, codes.len())..).unwrap_or_default();
    for (place, codes) in places.chunks_mut(PANEL * GROUP).zip(codes.as_chunks::<GROUP>().0) {
        if let Some(place) = place.first_chunk_mut() {
            *place = *codes;
        }
    }
}

/// Puts rows' codes, `width` a row, into a head's packed keys as rows `first` on.
pub(crate) fn store_keys(codes: &[i8], width: usize, first: usize, keys: &mut [i8]) {
    // A whole panel is written by squares: four groups of four rows are sixteen words.
    let whole = first.is_multiple_of(PANEL) && codes.len() == PANEL * width && width.is_multiple_of(SQUARE);
    if whole && width > 0 {
        let panel = keys.get_mut(key_place(first, 0, width)..).unwrap_or_default();
        let groups = panel.as_chunks_mut::<GROUP>().0.as_chunks_mut::<PANEL>().0;
        for (at, groups) in (0..width).step_by(SQUARE).zip(groups.as_chunks_mut::<4>().0) {
            for (row, rows) in (0..PANEL).step_by(4).zip(codes.chunks_exact(4 * width)) {
                store_square(rows, width, at, groups, row);
            }
        }
        return;
    }
    for (row, codes) in codes.chunks_exact(width.max(1)).enumerate() {
        store_key(codes, first + row, keys);
    }
}

/// Channels of four groups.
const SQUARE: usize = 4 * GROUP;

/// Puts four groups of four rows, from channel `at` on, into the groups' rows from `row` on.
fn store_square(codes: &[i8], width: usize, at: usize, groups: &mut [[[i8; GROUP]; PANEL]; 4], row: usize) {
    let mut square = [u32x4::ZERO; 4];
    for (words, codes) in square.iter_mut().zip(codes.chunks_exact(width)) {
        if let Some(codes) = codes.get(at..).and_then(|codes| codes.first_chunk::<SQUARE>()) {
            *words = bytemuck::cast(*codes);
        }
    }
    for (group, words) in groups.iter_mut().zip(u32x4::transpose(square)) {
        if let Some(place) = group.get_mut(row..).and_then(|places| places.first_chunk_mut::<4>()) {
            *place = bytemuck::cast(words);
        }
    }
}

/// Puts rows' codes, `width` a row, into a head's packed values as rows `first` on.
pub(crate) fn store_values(codes: &[i8], width: usize, first: usize, values: &mut [i8]) {
    let pair = 2 * width.max(1);
    // Rows whose other row comes along are written with it.
    let whole = if first.is_multiple_of(2) { codes.len() - codes.len() % pair } else { 0 };
    let (pairs, rest) = codes.split_at(whole);
    let places = values.get_mut(value_place(first & !1, 0, width)..).unwrap_or_default();
    for (codes, places) in pairs.chunks_exact(pair).zip(places.chunks_exact_mut(pair)) {
        let (even, odd) = codes.split_at(width);
        let ((even, even_rest), (odd, odd_rest)) = (even.as_chunks(), odd.as_chunks());
        let (places, places_rest) = places.as_chunks_mut::<2>().0.as_chunks_mut();
        for ((places, even), odd) in places.iter_mut().zip(even).zip(odd) {
            *places = interleaved(*even, *odd);
        }
        for ((place, &even), &odd) in places_rest.iter_mut().zip(even_rest).zip(odd_rest) {
            *place = [even, odd];
        }
    }
    let first = first + 2 * (whole / pair);
    for (row, codes) in rest.chunks_exact(width.max(1)).enumerate() {
        store_value(codes, first + row, values);
    }
}

/// The codes of two rows in pairs.
fn interleaved(even: [i8; 16], odd: [i8; 16]) -> [[i8; 2]; 16] {
    let [even, odd] = [even, odd].map(bytemuck::cast::<_, u8x16>);
    bytemuck::cast([u8x16::unpack_low(even, odd), u8x16::unpack_high(even, odd)])
}

/// Puts one row's codes into a head's packed values.
fn store_value(codes: &[i8], row: usize, values: &mut [i8]) {
    let pairs = values.get_mut(value_place(row & !1, 0, codes.len())..).unwrap_or_default();
    // Whole pairs are written, so that compilers write whole vectors.
    let (place, keep) = if row.is_multiple_of(2) { (0, 0xff00) } else { (8, 0x00ff) };
    for (pair, &code) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
        let other = u16::from_le_bytes(pair.map(i8::cast_unsigned)) & keep;
        let both = other | u16::from(code.cast_unsigned()) << place;
        *pair = both.to_le_bytes().map(u8::cast_signed);
    }
}

/// Place of channel `c` of row `r` in a head's packed keys, `[rows / 16, width / 4, 16, 4]`.
pub(crate) const fn key_place(r: usize, c: usize, width: usize) -> usize {
    (r / PANEL) * PANEL * width + (c / GROUP) * PANEL * GROUP + (r % PANEL) * GROUP + c % GROUP
}

/// Place of channel `c` of row `r` in a head's packed values, `[rows / 2, width, 2]`.
pub(crate) const fn value_place(r: usize, c: usize, width: usize) -> usize {
    (r / 2) * 2 * width + c * 2 + r % 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_stored_where_they_belong() {
        let code = |row: usize, channel: usize| (row * 31 + channel * 7) as i8;
        // As many rows at a time, the last ones first; whole panels and pairs, and rows that begin or end
        // within them.
        for (width, at_a_time) in [8, 16, 24, 32, 64].into_iter().flat_map(|w| [1, 2, 3, 16].map(|n| (w, n)))
        {
            let (mut keys, mut values) = (std::vec![9; 48 * width], std::vec![9; 48 * width]);
            for first in (0..48).step_by(at_a_time).rev() {
                let rows = first..first + at_a_time;
                let codes: std::vec::Vec<i8> =
                    rows.flat_map(|row| (0..width).map(move |channel| code(row, channel))).collect();
                store_keys(&codes, width, first, &mut keys);
                store_values(&codes, width, first, &mut values);
            }
            for (row, channel) in (0..48).flat_map(|row| (0..width).map(move |channel| (row, channel))) {
                assert_eq!(keys[key_place(row, channel, width)], code(row, channel));
                assert_eq!(values[value_place(row, channel, width)], code(row, channel));
            }
        }
    }
}
