//! The weights of attention within rows or columns.

use super::scratch::EntryScratch;
use super::shape::Setting;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::attention::{self, Record};

/// Gated attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionWeights<'a> {
    norm: Norm<'a>,
    /// Queries, keys, values and gates: `width` to `4 * width`.
    projections: Linear<'a>,
    /// `width` to `width`, the representation's units.
    output: Linear<'a>,
}

impl<'a> AttentionWeights<'a> {
    /// Reads the tensors below `name`.
    pub fn load(file: &ModelFile<'a>, name: &str, width: usize) -> Result<Self, FormatError> {
        let norm = Norm::load(file, &join(name, "norm"), width)?;
        let projections = Linear::load(file, &join(name, "projections"), width, 4 * width)?;
        let output = Linear::load(file, &join(name, "output"), width, width)?;
        Ok(Self { norm, projections, output })
    }

    /// Stores queries, keys, values and gates of the first `count` entries of the scratch in `record`, as its
    /// rows from `first` on.
    pub fn project(
        &self,
        on: &Setting,
        count: usize,
        scratch: &mut EntryScratch<Arena>,
        (sizes, record): (&attention::Shape, &mut Record<Arena>),
        first: usize,
    ) {
        let backend = on.context.backend;
        let EntryScratch { stream, tile, outputs, .. } = scratch;
        let width = on.shape.width();
        tile.make_norm(backend, &self.norm, on.shape.trunk.sequence.epsilon, &stream[..count * width]);
        tile.apply_made(backend, &self.projections, count, Epilogue::Store, outputs);
        record.store(backend, sizes, first, &outputs[..count * 4 * width]);
    }

    /// Adds what the first `count` entries of the scratch attended to to them, and stores the sums as
    /// `epilogue` says.
    pub fn add(&self, on: &Setting, count: usize, scratch: &mut EntryScratch<Arena>, epilogue: Epilogue) {
        let EntryScratch { stream, update, tile, .. } = scratch;
        let width = on.shape.width();
        let (stream, attended) = (&mut stream[..count * width], Rows::new(&update[..count * width], width));
        tile.apply(on.context.backend, &self.output, count, attended, epilogue, stream);
    }
}
