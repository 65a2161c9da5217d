//! Tensors of one operation with random values of a realistic size.

use quantizer::writer::{ModelWriter, WriteError};

use crate::random::Random;
use crate::random_model::multiplier;
use foldpoint_core::esmfold::StructureConfig;
use foldpoint_core::kernels::linear::{GROUP, PANEL, panel_groups};
use foldpoint_core::kernels::packing::{packed, row_sums};
use foldpoint_core::quant::Codec;

/// Fractional bits of activations, and of logits in units of log2.
pub const ACT: u32 = 16;

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

/// A model file in the making: what its operations are made of, drawn from one stream.
pub struct Tensors {
    pub writer: ModelWriter,
    pub random: Random,
    /// Outlier channels of most Linears.
    pub outliers: usize,
}

impl Tensors {
    /// A Linear with as many outliers as most.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, frac: u32) -> Result<(), WriteError> {
        let inputs = Inputs { channels: inputs, outliers: self.outliers.min(inputs) };
        add_linear(&mut self.writer, &mut self.random, name, inputs, outputs, frac)
    }

    /// A Linear as many of whose channels have two limbs as its sums can hold.
    pub fn precise(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        frac: u32,
    ) -> Result<(), WriteError> {
        let inputs = Inputs { channels: inputs, outliers: inputs.min((131_071 - inputs) / 128) };
        add_linear(&mut self.writer, &mut self.random, name, inputs, outputs, frac)
    }

    /// Two Linears that read the same rows: with the same outliers, none.
    pub fn pair(&mut self, names: [(String, usize); 2], inputs: usize) -> Result<(), WriteError> {
        let inputs = Inputs { channels: inputs, outliers: 0 };
        names.into_iter().try_for_each(|(name, outputs)| {
            add_linear(&mut self.writer, &mut self.random, &name, inputs, outputs, ACT)
        })
    }

    /// A LayerNorm.
    pub fn norm(&mut self, name: &str, width: usize) -> Result<(), WriteError> {
        add_norm(&mut self.writer, &mut self.random, name, width)
    }

    /// A structure module over representations of these widths.
    pub fn structure(&mut self, s: &StructureConfig, sequence: usize, pair: usize) -> Result<(), WriteError> {
        self.precise("fold.structure.sequence_input", sequence, s.width, ACT)?;
        if s.pair_input {
            self.precise("fold.structure.pair_input", pair, s.pair_width, ACT)?;
        }
        self.norm("fold.structure.sequence_norm", s.width)?;
        self.norm("fold.structure.pair_norm", s.pair_width)?;
        self.precise("fold.structure.initial", s.width, s.width, ACT)?;
        if s.own_weights {
            (0..s.iterations).try_for_each(|i| self.iteration(s, &format!("fold.structure.{i}")))?;
        } else {
            self.iteration(s, "fold.structure")?;
        }
        let resnet = "fold.structure.angle_resnet";
        self.precise(&format!("{resnet}.input"), s.width, s.resnet_width, ACT)?;
        self.precise(&format!("{resnet}.initial"), s.width, s.resnet_width, ACT)?;
        self.precise(&format!("{resnet}.0.first"), s.resnet_width, s.resnet_width, ACT)?;
        self.precise(&format!("{resnet}.0.second"), s.resnet_width, s.resnet_width, ACT)?;
        self.precise(&format!("{resnet}.output"), s.resnet_width, 14, ACT)
    }

    fn iteration(&mut self, s: &StructureConfig, name: &str) -> Result<(), WriteError> {
        let name = |part: &str| format!("{name}.{part}");
        self.precise(&name("attention.projections"), s.width, s.projections(), ACT)?;
        self.precise(&name("attention.pair_bias"), s.pair_width, s.heads, ACT)?;
        // A tenth of a unit of log2 per squared unit of length.
        let weight = multiplier(0.1).scaled(-16);
        let weights = [weight.mantissa, weight.shift].repeat(s.heads);
        self.writer.add_i32(&name("attention.point_weights"), &[s.heads, 2], weights)?;
        for part in 0..=s.pair_parts() {
            self.precise(&name(&format!("attention.output.{part}")), s.output_part(part), s.width, ACT)?;
        }
        self.norm(&name("attention_norm"), s.width)?;
        for part in ["first", "second", "third"] {
            self.precise(&name(&format!("transition.0.{part}")), s.width, s.width, ACT)?;
        }
        self.norm(&name("transition.norm"), s.width)?;
        self.precise(&name("backbone_update.linear"), s.width, 6, 20)
    }
}
