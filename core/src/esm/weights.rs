//! The tensors of a language model, read in place.

use super::config::Config;
use crate::format::{FormatError, ModelFile, join, numbered};
use crate::kernels::attention::{CONTACT_WEIGHT_MAX, ContactWeight};
use crate::kernels::linear::Linear;
use crate::nn::Norm;
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::quant::{STREAM_MAX, Site};

/// What a transformer layer begins with.
#[derive(Clone, Copy, Debug)]
pub struct ProjectionWeights<'a> {
    /// LayerNorm before attention.
    pub norm: Norm<'a>,
    /// Queries, keys and values: `3 * width` outputs.
    pub qkv: Linear<'a>,
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
    pub(super) final_norm: Norm<'a>,
    pub(super) contact_head: Option<ContactHead<'a>>,
}

impl<'a> LanguageModel<'a> {
    /// Finds and checks every tensor of the language model, so that a pass over it can't meet a bad one.
    pub fn load(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        // Checked where it is returned: a copy of it on the way would be on the stack of every check.
        let mut loaded = Self::open(file);
        if let Ok(model) = &loaded
            && let Err(error) = model.check()
        {
            loaded = Err(error);
        }
        loaded
    }

    /// Reads what a model holds. The rest is for [`check`](Self::check).
    #[inline(never)]
    pub(crate) fn open(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let config = Config::load(file)?;
        let width = config.width;
        let embedding = file.i32s("lm.embedding", &[config.vocab, width])?;
        if embedding.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
            return Err(FormatError::bad_value("lm.embedding", "a value exceeds 2^23 stream units"));
        }
        let contact_head = if config.contact_head {
            Some(ContactHead::load(file, config.layers * config.heads)?)
        } else {
            None
        };
        let rotary = file.u32s("lm.rotary", &[config.head_width() / 2])?;
        let final_norm = Norm::load(file, "lm.norm", width)?;
        Ok(Self { file: *file, config, embedding, rotary, final_norm, contact_head })
    }

    /// Checks what a pass reads where it is used, one after another: all of it at once would need too much of
    /// a small stack.
    #[inline(never)]
    pub(crate) fn check(&self) -> Result<(), FormatError> {
        if self.config.lm_head {
            self.lm_head()?;
        }
        for layer in 0..self.config.layers {
            self.projection(layer)?;
            self.attention_output(layer)?;
            self.feed_forward(layer)?;
        }
        self.code_bytes().map(drop)
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
        self.config.lm_head
    }

    /// What layer `layer` begins with.
    #[inline(never)]
    pub(super) fn projection(&self, layer: usize) -> Result<ProjectionWeights<'a>, FormatError> {
        let name = numbered("lm.layers.", layer, ".attention");
        let file = self.file.parts_of(&name);
        let width = self.config.width;
        let norm = Norm::load(&file, &join(&name, "norm"), width)?;
        let qkv = Linear::load(&file, &join(&name, "qkv"), width, 3 * width)?;
        Ok(ProjectionWeights { norm, qkv })
    }

    /// Layer `layer`'s projection of what was attended to, in stream units.
    #[inline(never)]
    pub(super) fn attention_output(&self, layer: usize) -> Result<Linear<'a>, FormatError> {
        let name = numbered("lm.layers.", layer, ".attention.output");
        Linear::load(&self.file, &name, self.config.width, self.config.width)
    }

    /// Layer `layer`'s feed-forward network, in stream units.
    #[inline(never)]
    pub(super) fn feed_forward(&self, layer: usize) -> Result<FeedForward<'a>, FormatError> {
        let name = numbered("lm.layers.", layer, ".ffn");
        let file = self.file.parts_of(&name);
        FeedForward::load(&file, &name, [self.config.width, self.config.ffn], Activation::Gelu)
    }

    /// How the stream is stored before layer `layer`; after the last one with the number of layers. Between
    /// attention and the feed-forward network it isn't: both work on the same rows.
    #[inline(never)]
    pub(super) fn stored(&self, layer: usize) -> Result<Site<'a>, FormatError> {
        Site::load(&self.file, &numbered("lm.residual.", layer, ""), self.config.width)
    }

    /// The masked language model head, which only a model has whose configuration says so.
    #[inline(never)]
    pub(super) fn lm_head(&self) -> Result<LmHead<'a>, FormatError> {
        let (file, Config { width, vocab, .. }) = (&self.file, self.config);
        let dense = Linear::load(file, "lm.head.dense", width, width)?;
        let norm = Norm::load(file, "lm.head.norm", width)?;
        let decoder = Linear::load(file, "lm.head.decoder", width, vocab)?;
        Ok(LmHead { dense, norm, decoder })
    }

    /// Bytes that the widest residual site takes for a value.
    pub(super) fn code_bytes(&self) -> Result<usize, FormatError> {
        let sites = 0..=self.config.layers;
        sites
            .map(|layer| Ok(self.stored(layer)?.codec.bytes_per_value()))
            .try_fold(0, |widest, bytes| Ok(bytes?.max(widest)))
    }
}
