//! The tensors of the language model, read in place.

use super::shape::{self, Shape};
use crate::fixed::requantize;
use crate::format::{FormatError, ModelFile, join, numbered};
use crate::kernels::Backend;
use crate::kernels::linear::Linear;
use crate::kernels::scalar::layer_norm::GAIN_FRAC;
use crate::nn::Norm;
use crate::nn::stream::StreamFormat;
use crate::omegafold::config::Config;
use crate::quant::{STREAM_MAX, Site};

/// A language model over the bytes of a model file.
#[derive(Clone, Debug)]
pub struct LanguageModel<'a> {
    file: ModelFile<'a>,
    pub(super) config: Config,
    /// `[vocab, width]`, stream units.
    pub(super) embedding: &'a [i32],
    /// Phase per position of each channel pair; 2^32 is a turn.
    pub(super) rotary: &'a [u32],
    /// After the last layer.
    pub(super) norm: Norm<'a>,
}

/// What makes keys and values.
#[derive(Clone, Copy, Debug)]
pub struct KeyWeights<'a> {
    /// Normalization of the stream.
    pub norm: Norm<'a>,
    /// Values, then the base of keys and queries: `width` to `value_width + query_width`.
    pub projections: Linear<'a>,
    /// Of keys.
    pub scaling: Scaling<'a>,
}

/// What makes queries, and what becomes of what is attended to.
#[derive(Clone, Copy, Debug)]
pub struct TransformWeights<'a> {
    /// Normalization of the stream.
    pub norm: Norm<'a>,
    /// The base of queries: `width` to `query_width`.
    pub base: Linear<'a>,
    /// `width` to `value_width`; reads the same rows.
    pub gate: Linear<'a>,
    /// Of queries.
    pub scaling: Scaling<'a>,
    /// What is added to the logits at each offset from query to key, from the lowest on; units of 2^-16 log2.
    pub offsets: &'a [i32],
    /// `value_width` to `width`, stream units.
    pub output: Linear<'a>,
}

/// How queries or keys follow from their base.
#[derive(Clone, Copy, Debug)]
pub struct Scaling<'a> {
    /// Unit 2^-20.
    gain: &'a [i32],
    /// Activation units.
    bias: &'a [i32],
}

impl Scaling<'_> {
    /// The base of one row, activation units, becomes its queries or keys: the rotation for `angles`, the
    /// position's, comes last.
    pub fn apply(&self, backend: &Backend, row: &mut [i32], angles: &[[i32; 2]]) {
        for ((x, &gain), &bias) in row.iter_mut().zip(self.gain).zip(self.bias) {
            *x = requantize(*x, gain, GAIN_FRAC).saturating_add(bias);
        }
        (backend.rotary)(row, angles);
    }
}

impl<'a> LanguageModel<'a> {
    /// Reads what every layer needs. The rest is for [`check`](Self::check).
    ///
    /// # Errors
    /// A tensor is missing, misshapen, or can't be used.
    #[inline(never)]
    pub fn open(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let Config { vocab, width, query_width, .. } = *config;
        let embedding = file.i32s("lm.embedding", &[vocab, width])?;
        if embedding.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
            return Err(FormatError::bad_value("lm.embedding", "a value exceeds 2^23 stream units"));
        }
        let rotary = file.u32s("lm.rotary", &[query_width / 2])?;
        let norm = Norm::load(file, "lm.norm", width)?;
        Ok(Self { file: *file, config: *config, embedding, rotary, norm })
    }

    /// Checks what a run reads where it is used, one after another: all of it at once would need too much of
    /// a small stack. Returns the bytes that the widest residual site takes for a value.
    ///
    /// # Errors
    /// That of the first tensor that can't be used.
    #[inline(never)]
    pub fn check(&self) -> Result<usize, FormatError> {
        let mut widest = self.stored(0)?.codec.bytes_per_value();
        for layer in 0..self.config.layers {
            let outliers = self.key_weights(layer)?.projections.outliers();
            if self.transform_weights(layer)?.gate.outliers() != outliers {
                let name = numbered("lm.layers.", layer, ".gate");
                return Err(FormatError::bad_value(&name, "gate and projections have other outliers"));
            }
            widest = widest.max(self.stored(layer + 1)?.codec.bytes_per_value());
        }
        Ok(widest)
    }

    /// Sizes of a run over `rows` rows of so many residues, for `workers` workers; `code_bytes` is what
    /// [`check`](Self::check) returned.
    pub fn shape(&self, residues: usize, rows: usize, code_bytes: usize, workers: usize) -> Shape {
        let Config { layers, width, value_width, query_width, .. } = self.config;
        let workers = workers.max(1);
        Shape {
            residues,
            rows,
            block: shape::block(residues, rows, workers),
            key_block: shape::key_block(residues, rows, workers),
            layers,
            width,
            value_width,
            query_width,
            code_row: width * code_bytes,
            workers,
        }
    }

    /// What makes keys and values in layer `layer`.
    #[inline(never)]
    pub(super) fn key_weights(&self, layer: usize) -> Result<KeyWeights<'a>, FormatError> {
        let name = numbered("lm.layers.", layer, "");
        let file = self.file.parts_of(&name);
        let norm = Norm::load(&file, &join(&name, "norm"), self.config.width)?;
        let [_, scaling] = self.scalings(&file, &join(&name, "query_key"))?;
        Ok(KeyWeights { norm, projections: self.projections(&file, &name)?, scaling })
    }

    /// What updates the stream in layer `layer`.
    #[inline(never)]
    pub(super) fn transform_weights(&self, layer: usize) -> Result<TransformWeights<'a>, FormatError> {
        let name = numbered("lm.layers.", layer, "");
        let file = self.file.parts_of(&name);
        let Config { width, value_width, .. } = self.config;
        let norm = Norm::load(&file, &join(&name, "norm"), width)?;
        let projections = join(&name, "projections");
        let base = self.projections(&file, &name)?.outputs_from(value_width);
        let base =
            base.ok_or(FormatError::bad_value(&projections, "values must have a multiple of 16 channels"))?;
        let gate = Linear::load(&file, &join(&name, "gate"), width, value_width)?;
        let [scaling, _] = self.scalings(&file, &join(&name, "query_key"))?;
        let offsets = file.i32s(&join(&name, "positions"), &[self.config.offsets()])?;
        let output = Linear::load(&file, &join(&name, "output"), value_width, width)?;
        Ok(TransformWeights { norm, base, gate, scaling, offsets, output })
    }

    fn projections(&self, file: &ModelFile<'a>, name: &str) -> Result<Linear<'a>, FormatError> {
        let Config { width, value_width, query_width, .. } = self.config;
        Linear::load(file, &join(name, "projections"), width, value_width + query_width)
    }

    /// How queries and how keys follow from their base.
    fn scalings(&self, file: &ModelFile<'a>, name: &str) -> Result<[Scaling<'a>; 2], FormatError> {
        let width = self.config.query_width;
        let values = file.i32s(name, &[4, width])?;
        let row = |index: usize| values.get(index * width..(index + 1) * width).unwrap_or_default();
        Ok([Scaling { gain: row(0), bias: row(2) }, Scaling { gain: row(1), bias: row(3) }])
    }

    /// How the stream is stored before layer `layer`; after the last one with the number of layers.
    #[inline(never)]
    fn stored(&self, layer: usize) -> Result<Site<'a>, FormatError> {
        Site::load(&self.file, &numbered("lm.residual.", layer, ""), self.config.width)
    }

    /// The same, in the memory of a run.
    pub(super) fn format(&self, shape: &Shape, layer: usize) -> Result<StreamFormat<'a>, FormatError> {
        Ok(StreamFormat { site: self.stored(layer)?, code_row: shape.code_row })
    }
}
