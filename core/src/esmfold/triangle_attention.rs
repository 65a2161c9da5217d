//! Triangle attention: the pairs of one row attend to each other; around the ending node on the transposed representation.

use super::attention_rows::{Attending, Keys, Record, Related};
use super::config::Config;
use super::memory::{Dims, PairScratch, Trunk};
use super::pair_bias::{self, Biases};
use super::rows::{Stored, TILE};
use super::run::{Pass, RunError};
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Linear, Then};
use crate::kernels::rows::Rows;

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct TriangleAttention<'a> {
    norm: Norm<'a>,
    /// Queries, keys, values and gates: `width` to `4 * width`.
    projections: Linear<'a>,
    /// `width` to heads; reads the same rows as the projections.
    bias: Linear<'a>,
    /// `width` to `width`, pair units.
    output: Linear<'a>,
}

/// A worker's scratch for a row of pairs.
#[derive(Debug)]
pub struct RowScratch<'m> {
    pairs: PairScratch<'m>,
    record: &'m mut [u8],
    related: Related<'m>,
    attending: Attending<'m>,
}

impl<'m> RowScratch<'m> {
    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let shape = dims.triangle_attention();
        let layout = PairScratch::layout(dims).repeat(shape.record(), 1);
        Attending::layout(Related::layout(layout, &shape), &shape)
    }

    fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let shape = dims.triangle_attention();
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: PairScratch::take(dims, &mut arena)?,
            record: arena.take(shape.record().bytes()?)?,
            related: Related::carve(&mut arena, &shape)?,
            attending: Attending::carve(&mut arena, &shape)?,
        })
    }
}

impl<'a> TriangleAttention<'a> {
    /// Reads the tensors below `name`.
    pub fn load(file: &ModelFile<'a>, name: &str, config: &Config) -> Result<Self, FormatError> {
        let width = config.pair_width;
        let loaded = Self {
            norm: Norm::load(file, &join(name, "norm")?, width)?,
            projections: Linear::load(file, &join(name, "projections")?, width, 4 * width)?,
            bias: Linear::load(file, &join(name, "bias")?, width, config.pair_heads)?,
            output: Linear::load(file, &join(name, "output")?, width, width)?,
        };
        if loaded.bias.outliers() != loaded.projections.outliers() {
            return Err(FormatError::bad_value(name, "bias and projections have other outliers"));
        }
        Ok(loaded)
    }

    /// Codes of a row of pairs that is saved.
    pub const fn saved_row(&self) -> usize {
        self.projections.row_len()
    }

    /// Adds to the pair representation (the transposed one around the ending node), stored at `stored` and then at `next`. Rows
    /// are updated in parallel.
    pub fn run(
        &self,
        pass: &Pass,
        stored: &Stored,
        next: &Stored,
        pair: &mut [u8],
        trunk: &mut Trunk,
        executor: &dyn Executor,
    ) -> Result<(), RunError> {
        let dims = &pass.dims;
        let biases = pair_bias::run(
            pass,
            dims.triangle_bias(),
            &self.norm,
            &self.bias,
            stored,
            pair,
            trunk.pair_records,
            trunk.scratch,
            executor,
        );
        executor.for_each(pair, dims.pair_rows(), trunk.scratch, &|i, codes, scratch| {
            // The chunk is as long as the layout says, so carving it succeeds.
            if let Ok(scratch) = RowScratch::carve(dims, scratch) {
                let _ = self.row(pass, i, &biases, stored, next, codes, scratch);
            }
        });
        Ok(())
    }

    /// Updates row `i` of the pairs.
    #[expect(clippy::too_many_arguments, reason = "one row's inputs and outputs")]
    fn row(
        &self,
        pass: &Pass,
        i: usize,
        biases: &Biases,
        stored: &Stored,
        next: &Stored,
        codes: &mut [u8],
        scratch: RowScratch,
    ) -> Result<(), ArenaError> {
        let Dims { residues, config, .. } = pass.dims;
        let shape = pass.dims.triangle_attention();
        let width = config.pair_width;
        let RowScratch { pairs, record, mut related, mut attending } = scratch;
        let PairScratch { stream, update, codes: mut quantized, outputs } = pairs;
        let mut writing = Record::carve(&shape, record)?;
        let saved = biases.saved(i);
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            quantized.restore(&self.projections, rows, &saved, from);
            quantized.gemm(pass.backend, &self.projections, rows, Then::Store, outputs);
            writing.store(pass.backend, from, &outputs[..rows * 4 * width]);
        }
        related.fill(&shape, record);
        let keys = Keys { shape, records: record, related: &related };
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let (stream, context) = (&mut stream[..rows * width], &mut update[..rows * width]);
            keys.attend(pass.backend, 0, from, biases, from, &mut attending, context);
            let codes = &mut codes[from * stored.code_row..];
            stored.decode(pass.backend, codes, stream);
            let context = Rows::new(context, width);
            quantized.apply(pass.backend, &self.output, rows, context, next.then(codes), stream);
        }
        Ok(())
    }
}
