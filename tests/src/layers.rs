//! Tensors of one operation with random values of a realistic size.

use quantizer::writer::{ModelWriter, WriteError};

use crate::random::Random;
use foldpoint_core::kernels::linear::{GROUP, PANEL, panel_groups};
use foldpoint_core::kernels::packing::{packed, row_sums};
use foldpoint_core::quant::Codec;

/// Fractional bits of every stored stream.
pub const STREAM_FRAC: u32 = 12;

/// Input channels of a random linear layer, and how many of them are outliers.
#[derive(Clone, Copy)]
pub struct Inputs {
    pub channels: usize,
    pub outliers: usize,
}

/// Adds linear layer `name`; its outputs have `frac` fractional bits and about the inputs' size.
pub fn add_linear(
    writer: &mut ModelWriter,
    random: &mut Random,
    name: &str,
    inputs: Inputs,
    outputs: usize,
    frac: u32,
) -> Result<(), WriteError> {
    let matrix = random.codes(outputs * inputs.channels);
    let outliers = outlier_channels(random, inputs);
    let shape = [outputs, inputs.channels];
    writer.add_i32(&format!("{name}.rowsum"), &[outputs], row_sums(&matrix, shape, &outliers).collect())?;

    let weight = packed(&matrix, shape, &outliers).collect();
    let groups = panel_groups(inputs.channels, outliers.len());
    writer.add_i8(&format!("{name}.weight"), &[outputs.div_ceil(PANEL), groups, PANEL, GROUP], weight)?;

    // Codes up to 127 are about 2^6 in size: a row of K of them has norm 2^6 sqrt(K). Activations have 16
    // fractional bits, outputs `frac`; a mantissa is about 2^15.5.
    let half_log = inputs.channels.ilog2() as i32 / 2;
    let shift = 15 + 6 + half_log + (16 - frac as i32);
    writer.add_i8(&format!("{name}.shift"), &[outputs], vec![shift as i8; outputs])?;
    let mantissa = (0..outputs).map(|_| random.between(1 << 15, (1 << 16) - 1) as u16);
    writer.add_u16(&format!("{name}.mantissa"), &[outputs], mantissa.collect())?;
    writer.add_i32(&format!("{name}.bias"), &[outputs], random.values(outputs, 1 << (frac - 3)))?;
    writer.add_u16(&format!("{name}.outliers"), &[outliers.len()], outliers)
}

/// Adds the gain (around 1) and bias of a LayerNorm.
pub fn add_norm(
    writer: &mut ModelWriter,
    random: &mut Random,
    name: &str,
    channels: usize,
) -> Result<(), WriteError> {
    let gain = (0..channels).map(|_| random.between(1 << 19, 3 << 19) as i32);
    writer.add_i32(&format!("{name}.gain"), &[channels], gain.collect())?;
    writer.add_i32(&format!("{name}.bias"), &[channels], random.values(channels, 1 << 13))
}

/// Adds a site of a stored stream whose codes have `bits` bits (1 to 8, or 16): about ±8, with tails to about
/// ±60 where the bits allow.
pub fn add_site(
    writer: &mut ModelWriter,
    random: &mut Random,
    name: &str,
    width: usize,
    bits: i32,
) -> Result<(), WriteError> {
    let one = 1 << STREAM_FRAC;
    let record = match bits {
        16 => [16, 0, 0, 0, 0, 0, 4, 0],
        bits => {
            let levels = 1 << bits;
            let tail = levels / 16;
            let dense = (levels - 1 - 2 * tail) / 2;
            let (step, tail_step) = (8 * one / dense.max(1), 50 * one / tail.max(1));
            [bits, tail, dense, dense, tail, tail_step, step, tail_step]
        }
    };
    writer.add_i32(name, &[Codec::RECORD_LEN], record.to_vec())?;
    let exponents = (0..width).map(|_| random.between(0, 2) as u8);
    writer.add_u8(&format!("{name}.exponent"), &[width], exponents.collect())
}

fn outlier_channels(random: &mut Random, inputs: Inputs) -> Vec<u16> {
    let mut channels: Vec<u16> = (0..inputs.channels as u16).collect();
    while channels.len() > inputs.outliers {
        let index = random.between(0, channels.len() as i64 - 1) as usize;
        channels.swap_remove(index);
    }
    channels.sort_unstable();
    channels
}
