//! Random operands of the kernels.

use fastrand::Rng;
use foldpoint_core::AlignedBytes;
use foldpoint_core::alphabet::{RESIDUES, STANDARD};
use foldpoint_core::fixed::TokenScale;
use foldpoint_core::kernels::attention::{Head, QUERY_TILE, Temperature};
use foldpoint_core::kernels::linear::{GROUP, Linear, PANEL, panel_groups, row_len};

const SEED: u64 = 1;

/// A linear layer and quantized input rows for it.
pub struct LinearInput {
    weight: AlignedBytes,
    bias: Vec<i32>,
    mantissa: Vec<u16>,
    shift: Vec<i8>,
    row_sum: Vec<i32>,
    outliers: Vec<u16>,
    inputs: usize,
    /// `[rows, row_len]`
    pub codes: Vec<i8>,
    /// One a row.
    pub scales: Vec<TokenScale>,
}

impl LinearInput {
    /// `rows` rows of `inputs` channels, some of them `outliers`, for a layer of `outputs` channels.
    pub fn new(rows: usize, outputs: usize, inputs: usize, outliers: Vec<u16>) -> Self {
        let mut random = Rng::with_seed(SEED);
        let row_len = row_len(inputs, outliers.len());
        let weights = outputs.div_ceil(PANEL) * PANEL * panel_groups(inputs, outliers.len()) * GROUP;
        let mut weight = AlignedBytes::zeroed(weights);
        weight.bytes_mut().fill_with(|| random.i8(-127..) as u8);
        // A row of outliers alone has no other channel for its scale to cover.
        let ordinary_max = if outliers.len() < inputs { 1 << 16 } else { 0 };
        Self {
            weight,
            bias: vec![1; outputs],
            mantissa: vec![1 << 15; outputs],
            shift: vec![20; outputs],
            row_sum: vec![0; outputs],
            codes: (0..rows * row_len).map(|_| random.i8(-127..)).collect(),
            scales: vec![TokenScale::covering(ordinary_max, 1 << 16); rows],
            outliers,
            inputs,
        }
    }

    /// The layer.
    ///
    /// # Panics
    /// Never: the parts have the sizes that they must have.
    pub fn layer(&self) -> Linear<'_> {
        Linear::from_parts(
            bytemuck::cast_slice(self.weight.bytes()),
            &self.bias,
            &self.mantissa,
            &self.shift,
            &self.row_sum,
            &self.outliers,
            self.inputs,
        )
        .expect("sizes are right")
    }

    /// Products that one pass over all rows needs.
    pub fn products(&self) -> u64 {
        (self.scales.len() * self.layer().outputs() * self.layer().row_len()) as u64
    }
}

/// Keys and values of one head and a tile of queries.
pub struct HeadInput {
    blocks: Vec<u8>,
    key_scale: Vec<i16>,
    value_scale: Vec<i16>,
    width: usize,
    /// `[QUERY_TILE, width]`
    pub queries: Vec<i8>,
    /// One a query.
    pub temperatures: [Temperature; QUERY_TILE],
}

/// Rows of a block, as for long sequences.
const BLOCK_ROWS: usize = 96;

impl HeadInput {
    /// `keys` keys of `width` channels.
    pub fn new(keys: usize, width: usize) -> Self {
        let mut random = Rng::with_seed(SEED);
        let bytes = keys.div_ceil(BLOCK_ROWS) * 2 * BLOCK_ROWS * width;
        Self {
            blocks: (0..bytes).map(|_| random.u8(..)).collect(),
            key_scale: (0..keys).map(|_| random.i16(1..512)).collect(),
            value_scale: (0..keys).map(|_| random.i16(0..)).collect(),
            width,
            queries: (0..QUERY_TILE * width).map(|_| random.i8(-127..)).collect(),
            temperatures: [Temperature { factor: 40_000, shift: 7 }; QUERY_TILE],
        }
    }

    /// The head.
    pub fn head(&self) -> Head<'_> {
        Head {
            blocks: &self.blocks,
            block_len: 2 * BLOCK_ROWS * self.width,
            keys_at: 0,
            values_at: BLOCK_ROWS * self.width,
            block_rows: BLOCK_ROWS,
            width: self.width,
            keys: self.key_scale.len(),
            key_scale: &self.key_scale,
            value_scale: &self.value_scale,
            value_max: TokenScale::covering(1 << 16, 0),
        }
    }

    /// Products that the tile needs: queries by keys, weights by values.
    pub fn products(&self) -> u64 {
        (2 * QUERY_TILE * self.key_scale.len() * self.width) as u64
    }
}

/// `count` numbers of a bell shape with standard deviation about `size`.
pub fn bell(count: usize, size: i32) -> Vec<i32> {
    let mut random = Rng::with_seed(SEED);
    (0..count).map(|_| (0..12).map(|_| random.i32(-size..=size)).sum::<i32>() / 2).collect()
}

/// Every `step`-th of so many channels.
pub fn every(step: usize, channels: usize) -> Vec<u16> {
    (0..channels as u16).step_by(step).collect()
}

/// A sequence, the same one every time.
pub fn residues(length: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(SEED);
    (0..length).map(|_| RESIDUES[random.usize(..STANDARD)]).collect()
}
