//! Weights by the names that they have in a model file: where they are in a checkpoint is in the
//! [`table`].

use std::fmt;

use candle_core::{Device, Tensor};

use super::ReferenceError;
use super::ops::{LayerNorm, Linear};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::names::EMBEDDING;
use crate::table::{self, Form, Source, pattern};

/// What every LayerNorm of the folding model adds to the variance: PyTorch's default.
const FOLD_LAYER_NORM_EPS: f64 = 1e-5;

/// A part of a checkpoint.
#[derive(Clone)]
pub struct Weights<'c> {
    checkpoint: &'c Checkpoint,
    /// What the names of its groups begin with in a model file, with the dot; nothing for all of it.
    prefix: String,
}

impl<'c> Weights<'c> {
    /// All of `checkpoint`.
    pub fn new(checkpoint: &'c Checkpoint) -> Self {
        Self { checkpoint, prefix: String::new() }
    }

    /// The part below `part`.
    pub fn at(&self, part: impl fmt::Display) -> Self {
        Self { checkpoint: self.checkpoint, prefix: format!("{}{part}.", self.prefix) }
    }

    /// The Linears that group `name` is made of.
    ///
    /// # Errors
    /// A tensor can't be read, or there is another number of Linears.
    pub fn linears<const COUNT: usize>(
        &self,
        name: impl fmt::Display,
    ) -> Result<[Linear; COUNT], ReferenceError> {
        let linears = self.all_linears(&name)?;
        linears.try_into().map_err(|_| ReferenceError::NotInTable(format!("{}{name}", self.prefix)))
    }

    /// The Linear that group `name` is made of.
    ///
    /// # Errors
    /// As [`linears`](Self::linears).
    pub fn linear(&self, name: impl fmt::Display) -> Result<Linear, ReferenceError> {
        let [linear] = self.linears(name)?;
        Ok(linear)
    }

    /// As [`linears`](Self::linears), however many they are.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn all_linears(&self, name: impl fmt::Display) -> Result<Vec<Linear>, ReferenceError> {
        let sources = self.sources(name)?;
        let mut linears = Vec::with_capacity(sources.len());
        let mut rest = sources.as_slice();
        while let [(source, own), after @ ..] = rest {
            rest = after;
            linears.push(match (source.form, after) {
                (Form::Linear(_), _) => Linear::load(self.checkpoint, own)?,
                (Form::Tied(_), [(_, bias), others @ ..]) => {
                    rest = others;
                    let weight = if self.checkpoint.contains(own) { own } else { EMBEDDING };
                    Linear::of_tensors(self.checkpoint, weight, bias)?
                }
                (Form::MatrixByHead(_), _) => self.by_head(Linear::load_matrix(self.checkpoint, own)?)?,
                (Form::Matrix(_), _) => Linear::load_matrix(self.checkpoint, own)?,
                _ => return Err(ReferenceError::NotInTable(own.clone())),
            });
        }
        Ok(linears)
    }

    /// Checkpoints keep queries, keys and values of each head of the attention over the sequence together;
    /// here, as in the language model, come the queries of all heads first.
    fn by_head(&self, joined: Linear) -> Result<Linear, ReferenceError> {
        let no_fold = || ReferenceError::NoFold(self.checkpoint.path().display().to_string());
        let heads = self.checkpoint.fold_config().ok_or_else(no_fold)?.sequence_heads;
        let (outputs, width) = joined.shape()?;
        let weight = joined.weight.reshape((heads, 3, width / heads, width))?;
        let weight = weight.transpose(0, 1)?.contiguous()?.reshape((outputs, width))?;
        Ok(Linear { weight, bias: joined.bias })
    }

    /// LayerNorm `name`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn norm(&self, name: impl fmt::Display) -> Result<LayerNorm, ReferenceError> {
        let sources = self.sources(&name)?;
        let [(Source { form: Form::Norm(_), .. }, own)] = sources.as_slice() else {
            return Err(ReferenceError::NotInTable(format!("{}{name}", self.prefix)));
        };
        let is_fold = format!("{}{name}", self.prefix).starts_with("fold.");
        let eps = if is_fold { FOLD_LAYER_NORM_EPS } else { self.checkpoint.config().layer_norm_eps };
        let read = |part| self.checkpoint.read(&format!("{own}.{part}"));
        Ok(LayerNorm { gain: read("weight")?, bias: read("bias")?, eps })
    }

    /// The values of every tensor that group `name` is made of, as they are.
    ///
    /// # Errors
    /// A tensor can't be read, or there is another number of tensors.
    pub fn values<const COUNT: usize>(
        &self,
        name: impl fmt::Display,
    ) -> Result<[Vec<f32>; COUNT], ReferenceError> {
        let mut values = Vec::new();
        for tensor in self.tensor_names(&name)? {
            values.push(self.checkpoint.read(&tensor)?);
        }
        values.try_into().map_err(|_| ReferenceError::NotInTable(format!("{}{name}", self.prefix)))
    }

    /// The only tensor that group `name` is made of.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn tensor(&self, name: impl fmt::Display) -> Result<Tensor, ReferenceError> {
        let names = self.tensor_names(&name)?;
        let [values] = self.values(&name)?;
        let shape = names.first().and_then(|tensor| self.checkpoint.shape(tensor)).unwrap_or_default();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn tensor_names(&self, name: impl fmt::Display) -> Result<Vec<String>, ReferenceError> {
        let sources = self.sources(name)?.into_iter();
        let tensors = sources.flat_map(|(source, own)| {
            source.tensors().into_iter().map(move |(part, _)| format!("{own}{part}"))
        });
        Ok(tensors.collect())
    }

    /// What group `name` is made of, each source with its name in the checkpoint.
    fn sources(&self, name: impl fmt::Display) -> Result<Vec<(Source, String)>, ReferenceError> {
        let name = format!("{}{name}", self.prefix);
        let (row, index) = table::find(&name).ok_or(ReferenceError::NotInTable(name))?;
        let named = |&source: &Source| (source, pattern::fill(source.name, index));
        Ok(row.sources.iter().map(named).collect())
    }
}
