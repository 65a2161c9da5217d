//! Whole language models of random weights: as good as real ones for everything but accuracy.
//!
//! Floats are computed by `libm`, not by the system, so that a seed gives the same file everywhere.

use foldpoint_core::esm::Config;
use foldpoint_core::fixed::Multiplier;
use foldpoint_core::kernels::attention::key_scale_max;
use quantizer::writer::{ModelWriter, WriteError};

use crate::layers::{Inputs, STREAM_FRAC, add_linear, add_norm, add_site};
use crate::random::Random;

/// The shape of a random model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels of a head, a multiple of 8.
    pub head_width: usize,
    /// Channels of the feed-forward network.
    pub ffn: usize,
    /// Outlier channels of every linear layer, at most `heads * head_width` and `ffn`.
    pub outliers: usize,
    /// Bits of the stored residual stream: 1 to 8, or 16.
    pub residual_bits: i32,
    /// Whether there is a contact head.
    pub contact_head: bool,
    /// Whether there is a language-model head.
    pub lm_head: bool,
}

/// The bare-metal example's model.
pub const TINY: Shape = Shape {
    layers: 2,
    heads: 2,
    head_width: 16,
    ffn: 64,
    outliers: 3,
    residual_bits: 8,
    contact_head: true,
    lm_head: true,
};

/// ESM-2 8M.
pub const ESM2_8M: Shape = Shape::esm2(6, 16);
/// ESM-2 35M.
pub const ESM2_35M: Shape = Shape::esm2(12, 24);
/// ESM-2 150M.
pub const ESM2_150M: Shape = Shape::esm2(30, 32);
/// ESM-2 650M.
pub const ESM2_650M: Shape = Shape::esm2(33, 64);

/// ESM-2's alphabet.
const VOCAB: usize = 33;
const MASK: u8 = 32;

/// `log2(e) / (key_scale_max * sqrt(head width))`.
pub(crate) fn temperature(head_width: usize) -> Multiplier {
    multiplier(
        std::f64::consts::LOG2_E / (f64::from(key_scale_max(head_width)) * libm::sqrt(head_width as f64)),
    )
}

/// The nearest multiplier below a positive number.
pub(crate) fn multiplier(value: f64) -> Multiplier {
    let (fraction, exponent) = libm::frexp(value);
    Multiplier { mantissa: libm::ldexp(fraction, 31) as i32, shift: 31 - exponent }
}

impl Shape {
    /// A published ESM-2, coded as the quantizer does by default: it takes as many products and as many
    /// bytes.
    const fn esm2(layers: usize, head_width: usize) -> Self {
        let (heads, width) = (20, 20 * head_width);
        Self {
            layers,
            heads,
            head_width,
            ffn: 4 * width,
            // As many second limbs in all as 5% of each layer's inputs: 12 width^2 / 20 in 9 width for each
            // outlier.
            outliers: width / 15,
            residual_bits: 16,
            contact_head: true,
            lm_head: true,
        }
    }

    /// Channels of the stream.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.vocab = VOCAB;
        config.layers = self.layers;
        config.width = self.width();
        config.heads = self.heads;
        config.ffn = self.ffn;
        config.token_dropout = true;
        config.contact_head = self.contact_head;
        config.lm_head = self.lm_head;
        config.stream_frac = STREAM_FRAC;
        config.max_positions = 1026;
        config.mask_token = MASK;
        config.epsilon = 168;
        config.epsilon_activation = 42_950;
        config.temperature = temperature(self.head_width).scaled(11 - 32);
        config
    }

    /// The model file of this shape whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`ModelWriter`], which a shape that [`Config::check`] accepts never meets.
    pub fn model(&self, seed: u64) -> Result<Vec<u8>, WriteError> {
        let mut writer = ModelWriter::new();
        self.add_to(&mut writer, &mut Random::new(seed))?;
        writer.to_bytes()
    }

    /// Adds the tensors of such a model.
    pub(crate) fn add_to(&self, writer: &mut ModelWriter, random: &mut Random) -> Result<(), WriteError> {
        let config = self.config();
        let width = self.width();
        writer.add_u32("lm.config", &[config.to_record().len()], config.to_record().to_vec())?;
        let embedding = random.values(VOCAB * width, 1 << STREAM_FRAC);
        writer.add_i32("lm.embedding", &[VOCAB, width], embedding)?;
        writer.add_u32("lm.rotary", &[self.head_width / 2], phases(self.head_width))?;
        self.add_site(writer, random, 0)?;
        for layer in 0..self.layers {
            self.add_layer(writer, random, layer)?;
        }
        add_norm(writer, random, "lm.norm", width)?;
        if self.contact_head {
            let maps = self.layers * self.heads;
            let weights = random.values(maps, 1 << 14).into_iter().map(|w| w as i16);
            writer.add_i16("lm.contact.weight", &[maps], weights.collect())?;
            writer.add_i32("lm.contact.param", &[2], vec![10, -(1 << 20)])?;
        }
        if self.lm_head {
            let inputs = self.inputs(width);
            add_linear(writer, random, "lm.head.dense", inputs, width, 16)?;
            add_norm(writer, random, "lm.head.norm", width)?;
            add_linear(writer, random, "lm.head.decoder", inputs, VOCAB, 16)?;
        }
        Ok(())
    }

    const fn inputs(&self, channels: usize) -> Inputs {
        Inputs { channels, outliers: self.outliers }
    }

    fn add_layer(
        &self,
        writer: &mut ModelWriter,
        random: &mut Random,
        layer: usize,
    ) -> Result<(), WriteError> {
        let (name, width) = (format!("lm.layers.{layer}"), self.width());
        let mut linear = |part: &str, inputs: usize, outputs: usize, frac: u32, random: &mut Random| {
            add_linear(writer, random, &format!("{name}.{part}"), self.inputs(inputs), outputs, frac)
        };
        linear("attention.qkv", width, 3 * width, 16, random)?;
        linear("attention.output", width, width, STREAM_FRAC, random)?;
        linear("ffn.up", width, self.ffn, 16, random)?;
        linear("ffn.down", self.ffn, width, STREAM_FRAC, random)?;
        add_norm(writer, random, &format!("{name}.attention.norm"), width)?;
        add_norm(writer, random, &format!("{name}.ffn.norm"), width)?;
        self.add_site(writer, random, layer + 1)
    }

    fn add_site(
        &self,
        writer: &mut ModelWriter,
        random: &mut Random,
        index: usize,
    ) -> Result<(), WriteError> {
        add_site(writer, random, &format!("lm.residual.{index}"), self.width(), self.residual_bits)
    }
}

/// Rotary frequencies 10000^(-2i / head width) in 2^32nds of a turn.
pub(crate) fn phases(head_width: usize) -> Vec<u32> {
    let turn = libm::ldexp(1.0, 32) / std::f64::consts::TAU;
    let frequency = |pair: usize| libm::pow(10_000.0, -2.0 * pair as f64 / head_width as f64);
    (0..head_width / 2).map(|pair| libm::round(turn * frequency(pair)) as u32).collect()
}
