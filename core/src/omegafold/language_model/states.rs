//! The last states of the language model, as the node representation reads them.

use super::error::RunError;
use super::shape::Shape;
use super::weights::LanguageModel;
use crate::kernels::Backend;
use crate::nn::Norm;
use crate::nn::stream::Stream;

/// The LayerNorm of the stream after the last layer, to read.
#[derive(Clone, Copy, Debug)]
pub struct States<'s> {
    shape: &'s Shape,
    stream: Stream<'s>,
    norm: Norm<'s>,
    epsilon: u64,
}

impl<'s> States<'s> {
    /// Of what a run with these sizes left in its [`Features`](super::Features).
    ///
    /// # Errors
    /// A tensor can't be used.
    pub fn new(model: &LanguageModel<'s>, shape: &'s Shape, codes: &'s [u8]) -> Result<Self, RunError> {
        let format = model.format(shape, shape.layers)?;
        let epsilon = model.config.epsilon_stream;
        Ok(Self { shape, stream: Stream { codes, format }, norm: model.norm, epsilon })
    }

    /// Fills `out` with the states of one row from `residue` on, as many as there is room for, activation
    /// units; `stream` is memory for as many values.
    pub fn read(&self, backend: &Backend, row: usize, residue: usize, stream: &mut [i32], out: &mut [i32]) {
        let tokens = stream.chunks_exact_mut(self.shape.width.max(1));
        for (x, residue) in tokens.zip(residue..self.shape.residues) {
            self.stream.decode(backend, self.shape.token(row, residue), x);
        }
        self.norm.apply(backend, self.epsilon, stream, out);
    }
}
