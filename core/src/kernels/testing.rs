//! Inputs for tests of kernels: a generator of numbers and the packers of weights, keys and values.

use super::attention::{Head, Logits, QUERY_TILE, RowTile, key_scale_max, relative_scales};
use super::linear::{GROUP, Linear, PANEL};
use super::packing::{packed, row_sums};
use crate::fixed::{Multiplier, TokenScale};
use std::vec;
use std::vec::Vec;

/// SplitMix64: the same numbers from the same seed on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// `count` of whatever `one` makes.
    pub fn many<T>(&mut self, count: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }

    /// A roughly normal number of standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        let uniform = |random: &mut Self| random.next() as f64 / u64::MAX as f64 - 0.5;
        (0..12).map(|_| uniform(self)).sum()
    }

    /// `count` distinct numbers below `end` (all of them if there are fewer), ascending.
    pub fn channels(&mut self, count: usize, end: usize) -> Vec<u16> {
        let mut all: Vec<u16> = (0..end as u16).collect();
        while all.len() > count {
            all.remove(self.below(all.len()));
        }
        all
    }
}

/// How codes are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    Any,
    AllLow,
    AllHigh,
    Extremes,
    Zero,
}

pub const CODES: [Codes; 5] = [Codes::Any, Codes::AllLow, Codes::AllHigh, Codes::Extremes, Codes::Zero];

impl Codes {
    pub fn draw(self, random: &mut Random) -> i8 {
        match self {
            Self::Any => random.next() as i8,
            Self::AllLow => -128,
            Self::AllHigh => 127,
            Self::Extremes => [-128, -127, 127][random.below(3)],
            Self::Zero => 0,
        }
    }
}

/// Any i32, every magnitude equally likely.
pub fn any_magnitude(random: &mut Random) -> i32 {
    (random.next() as i32) >> random.below(32)
}

/// The temperature constant of a model with heads of this width.
pub fn temperature_constant(width: usize) -> Multiplier {
    let value = core::f64::consts::LOG2_E * libm::exp2(11.0 - 32.0)
        / (f64::from(key_scale_max(width)) * libm::sqrt(width as f64));
    let shift = 30 - libm::ilogb(value);
    Multiplier { mantissa: libm::ldexp(value, shift) as i32, shift }
}

/// An owned [`Linear`].
#[derive(Clone, Debug)]
pub struct Layer {
    pub weight: Vec<i8>,
    pub bias: Vec<i32>,
    pub mantissa: Vec<u16>,
    pub shift: Vec<i8>,
    pub row_sum: Vec<i32>,
    pub outliers: Vec<u16>,
    pub inputs: usize,
}

impl Layer {
    /// Packs a row-major `[outputs, inputs]` matrix.
    pub fn pack(matrix: &[i8], inputs: usize, outputs: usize, outliers: &[u16]) -> Self {
        let shape = [outputs, inputs];
        Self {
            weight: packed(matrix, shape, outliers).collect(),
            bias: vec![0; outputs],
            mantissa: vec![1 << 15; outputs],
            shift: vec![15; outputs],
            row_sum: row_sums(matrix, shape, outliers).collect(),
            outliers: outliers.to_vec(),
            inputs,
        }
    }

    pub fn view(&self) -> Linear<'_> {
        Linear::from_parts(
            &self.weight,
            &self.bias,
            &self.mantissa,
            &self.shift,
            &self.row_sum,
            &self.outliers,
            self.inputs,
        )
        .expect("packed by the rules")
    }
}

/// Keys and values of one head, packed into blocks.
#[derive(Clone, Debug)]
pub struct HeadData {
    pub width: usize,
    pub block_rows: usize,
    pub blocks: Vec<u8>,
    pub keys: usize,
    pub key_scale: Vec<i16>,
    pub value_scale: Vec<i16>,
    pub value_max: TokenScale,
}

impl HeadData {
    /// Packs `[keys, width]` codes into blocks of `block_rows` rows with something before, between and after;
    /// what is no key or value is drawn from `padding`.
    pub fn pack(
        keys: &[i8],
        values: &[i8],
        width: usize,
        block_rows: usize,
        mut padding: impl FnMut() -> u8,
    ) -> Self {
        let count = keys.len() / width;
        let len = Self::block_len(width, block_rows);
        let mut blocks: Vec<u8> = (0..count.div_ceil(block_rows) * len).map(|_| padding()).collect();
        for (row, (keys, values)) in keys.chunks(width).zip(values.chunks(width)).enumerate() {
            let (block, row) = (row / block_rows * len, row % block_rows);
            for (c, (&key, &value)) in keys.iter().zip(values).enumerate() {
                let key_at = (row / PANEL) * PANEL * width
                    + (c / GROUP) * PANEL * GROUP
                    + row % PANEL * GROUP
                    + c % GROUP;
                blocks[block + Self::KEYS_AT + key_at] = key as u8;
                blocks[block + Self::values_at(width, block_rows) + row / 2 * 2 * width + 2 * c + row % 2] =
                    value as u8;
            }
        }
        Self {
            width,
            block_rows,
            blocks,
            keys: count,
            key_scale: vec![key_scale_max(width); count],
            value_scale: vec![i16::MAX; count],
            value_max: TokenScale { mantissa: 1 << 14, exponent: -7 },
        }
    }

    /// Sets the scales from token scales, as a pass does; returns the largest key scale.
    pub fn relate(&mut self, keys: &[u32], values: &[u32]) -> TokenScale {
        self.value_max = relative_scales(values, i16::MAX, &mut self.value_scale);
        relative_scales(keys, key_scale_max(self.width), &mut self.key_scale)
    }

    const KEYS_AT: usize = 64;

    fn values_at(width: usize, block_rows: usize) -> usize {
        2 * Self::KEYS_AT + width * block_rows
    }

    fn block_len(width: usize, block_rows: usize) -> usize {
        Self::values_at(width, block_rows) + width * block_rows + 64
    }

    pub fn view(&self) -> Head<'_> {
        Head {
            blocks: &self.blocks,
            block_len: Self::block_len(self.width, self.block_rows),
            keys_at: Self::KEYS_AT,
            values_at: Self::values_at(self.width, self.block_rows),
            block_rows: self.block_rows,
            width: self.width,
            keys: self.keys,
            key_scale: &self.key_scale,
            value_scale: &self.value_scale,
            value_max: self.value_max,
        }
    }
}

/// What an attention kernel leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionOutput {
    pub weights: Vec<i16>,
    pub sums: Vec<u32>,
    pub out: Vec<i32>,
    pub stride: usize,
    pub out_stride: usize,
}

impl AttentionOutput {
    /// Runs `kernel` on at most [`QUERY_TILE`] query rows, in memory that holds garbage.
    pub fn by(
        kernel: fn(&Head, RowTile),
        head: &HeadData,
        queries: &[i8],
        logits: Logits,
        garbage: u64,
    ) -> Self {
        let (rows, stride, out_stride) = (logits.rows(), head.keys.next_multiple_of(32), head.width + 3);
        assert!(rows <= QUERY_TILE);
        let mut random = Random(garbage);
        let mut scores = random.many(rows * stride, |r| r.next() as i32);
        let mut attended = Self {
            weights: random.many(rows * stride, |r| r.next() as i16),
            sums: vec![7; rows],
            out: vec![-5; rows * out_stride],
            stride,
            out_stride,
        };
        kernel(
            &head.view(),
            RowTile {
                queries,
                logits,
                scores: &mut scores,
                weights: &mut attended.weights,
                stride,
                sums: &mut attended.sums,
                out: &mut attended.out,
                out_stride,
            },
        );
        attended.weights.chunks_exact_mut(stride).for_each(|weights| weights[head.keys..].fill(0));
        attended
    }

    pub fn row(&self, row: usize, width: usize) -> &[i32] {
        &self.out[row * self.out_stride..][..width]
    }
}
