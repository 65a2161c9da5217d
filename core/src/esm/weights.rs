//! The tensors of a language model, read in place.

use super::config::Config;
use crate::format::{FormatError, ModelFile, numbered};
use crate::kernels::attention::{CONTACT_WEIGHT_MAX, ContactWeight};
use crate::kernels::linear::Linear;
use crate::nn::Norm;
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::quant::{Codec, STREAM_MAX, Site};

/// One transformer layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// LayerNorm before attention.
    pub attention_norm: Norm<'a>,
    /// Queries, keys and values: `3 * width` outputs.
    pub qkv: Linear<'a>,
    /// Attention's output projection, in stream units.
    pub attention_output: Linear<'a>,
    /// The feed-forward network, in stream units.
    pub feed_forward: FeedForward<'a>,
    /// How the stream is stored after the layer. Between attention and the feed-forward network it isn't: both work on
    /// the same rows.
    pub stored: Site<'a>,
}

/// The masked language model head.
#[derive(Clone, Copy, Debug)]
pub struct LmHead<'a> {
    /// Width to width, before GELU.
    pub dense: Linear<'a>,
    /// LayerNorm after GELU.
    pub norm: Norm<'a>,
    /// Width to vocabulary.
    pub decoder: Linear<'a>,
}

/// The contact head: logistic regression over the attention maps of all layers and heads.
#[derive(Clone, Copy, Debug)]
pub struct ContactHead<'a> {
    weights: &'a [i16],
    /// Fractional bits of the weights.
    pub frac: u32,
    /// Bias in contact logit units.
    pub bias: i32,
}

/// Fractional bits of a contact logit.
pub const LOGIT_FRAC: u32 = 20;

impl<'a> ContactHead<'a> {
    fn load(file: &ModelFile<'a>, maps: usize) -> Result<Self, FormatError> {
        let weights = file.i16s("lm.contact.weight", &[maps])?;
        if weights.iter().any(|&w| w.unsigned_abs() > CONTACT_WEIGHT_MAX.unsigned_abs()) {
            return Err(FormatError::bad_value("lm.contact.weight", "a weight exceeds 2^14"));
        }
        let param = file.i32s("lm.contact.param", &[2])?;
        let &[frac, bias] = param else {
            return Err(FormatError::bad_value("lm.contact.param", "two values expected"));
        };
        let frac = u32::try_from(frac).ok().filter(|frac| (5..=30).contains(frac));
        let frac = frac.ok_or(FormatError::bad_value("lm.contact.param", "the shift must be 5 to 30"))?;
        Ok(Self { weights, frac, bias })
    }

    /// The weight of attention map `index` (layer-major).
    pub fn weight(&self, index: usize) -> ContactWeight {
        // A probability has 16 fractional bits.
        let shift = 16 + self.frac - LOGIT_FRAC;
        ContactWeight { weight: self.weights.get(index).copied().unwrap_or(0), shift }
    }
}

/// A language model over the bytes of a model file.
#[derive(Clone, Debug)]
pub struct LanguageModel<'a> {
    pub(super) file: ModelFile<'a>,
    pub(super) config: Config,
    /// `[vocab, width]`, stream units.
    pub(super) embedding: &'a [i32],
    /// Phase per position of each channel pair; 2^32 is a turn.
    pub(super) rotary: &'a [u32],
    pub(super) embedded: Site<'a>,
    pub(super) final_norm: Norm<'a>,
    pub(super) lm_head: Option<LmHead<'a>>,
    pub(super) contact_head: Option<ContactHead<'a>>,
}

impl<'a> LanguageModel<'a> {
    /// Finds and checks every tensor of the language model, so that a pass over it can't meet a bad one.
    pub fn load(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let config = Config::load(file)?;
        let width = config.width;
        let embedding = file.i32s("lm.embedding", &[config.vocab, width])?;
        if embedding.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
            return Err(FormatError::bad_value("lm.embedding", "a value exceeds 2^23 stream units"));
        }
        let lm_head = config.lm_head.then(|| {
            Ok(LmHead {
                dense: Linear::load(file, "lm.head.dense", width, width)?,
                norm: Norm::load(file, "lm.head.norm", width)?,
                decoder: Linear::load(file, "lm.head.decoder", width, config.vocab)?,
            })
        });
        let model = Self {
            file: *file,
            config,
            embedding,
            rotary: file.u32s("lm.rotary", &[config.head_width() / 2])?,
            embedded: Site::load(file, "lm.residual.0", width)?,
            final_norm: Norm::load(file, "lm.norm", width)?,
            lm_head: lm_head.transpose()?,
            contact_head: config
                .contact_head
                .then(|| ContactHead::load(file, config.layers * config.heads))
                .transpose()?,
        };
        for index in 0..config.layers {
            model.layer(index)?;
        }
        Ok(model)
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether contact maps can be had.
    pub fn has_contact_head(&self) -> bool {
        self.contact_head.is_some()
    }

    /// Whether logits can be had.
    pub fn has_lm_head(&self) -> bool {
        self.lm_head.is_some()
    }

    /// The tensors of one layer.
    pub(super) fn layer(&self, index: usize) -> Result<Layer<'a>, FormatError> {
        let (width, ffn) = (self.config.width, self.config.ffn);
        let name = |part: &str| numbered("lm.layers.", index, part);
        let file = &self.file.under(&name(".")?);
        Ok(Layer {
            attention_norm: Norm::load(file, &name(".attention.norm")?, width)?,
            qkv: Linear::load(file, &name(".attention.qkv")?, width, 3 * width)?,
            attention_output: Linear::load(file, &name(".attention.output")?, width, width)?,
            feed_forward: FeedForward::load(file, &name(".ffn")?, [width, ffn], Activation::Gelu)?,
            stored: Site::load(&self.file, &numbered("lm.residual.", index + 1, "")?, width)?,
        })
    }

    /// Bytes that the widest residual site takes for a value.
    pub(super) fn code_bytes(&self) -> usize {
        let wide = |codec: &Codec| codec.bytes_per_value();
        let layers = (0..self.config.layers).filter_map(|index| self.layer(index).ok());
        layers.map(|layer| wide(&layer.stored.codec)).fold(wide(&self.embedded.codec), usize::max)
    }
}
