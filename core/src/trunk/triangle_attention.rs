//! Triangle attention: the pairs of one row attend to each other; around the ending node on the transposed
//! representation.

use super::addends::Addends;
use super::pair_bias::{self, BiasWeights, PairBiases};
use super::scratch::PairScratch;
use super::shape::{Representation, Setting, Shape};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::attention::{self, Keys, Queries, Record, RelativeScales};
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{Formats, Stream};

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
pub struct RowScratch<S: Source> {
    pairs: PairScratch<S>,
    record: S::Piece<u8>,
    scales: RelativeScales<S>,
    attention: attention::Scratch<S>,
}

impl<S: Source> RowScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let attention = shape.triangle_attention();
        Ok(Self {
            pairs: PairScratch::take(source, shape)?,
            record: source.take(bytes_of(|counter| Record::take(counter, &attention))?)?,
            scales: RelativeScales::take(source, &attention)?,
            attention: attention::Scratch::take(source, &attention)?,
        })
    }
}

impl<'a> TriangleAttention<'a> {
    /// Reads the tensors below `name`, for `heads` heads and pairs of `width` channels.
    pub fn load(file: &ModelFile<'a>, name: &str, heads: usize, width: usize) -> Result<Self, FormatError> {
        let norm = Norm::load(file, &join(name, "norm"), width)?;
        let projections = Linear::load(file, &join(name, "projections"), width, 4 * width)?;
        let bias = Linear::load(file, &join(name, "bias"), width, heads)?;
        let output = Linear::load(file, &join(name, "output"), width, width)?;
        let loaded = Self { norm, projections, bias, output };
        if loaded.bias.outliers() != loaded.projections.outliers() {
            return Err(FormatError::bad_value(name, "bias and projections have other outliers"));
        }
        Ok(loaded)
    }

    /// Codes of a quantized pair that is saved.
    pub const fn quantized_pair(&self) -> usize {
        self.projections.row_len()
    }

    /// Adds to the pair representation (the transposed one around the ending node). `pair_records` and
    /// `scratch` are [`Memory`](super::memory::Memory)'s.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        formats: &Formats,
        pair: &mut [u8],
        pair_records: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let stream = Stream { codes: pair, format: formats.before };
        let biases = self.read(on, &stream, pair_records, scratch)?;
        self.add(on, &biases, Addends { formats, codes: None }, pair, scratch)
    }

    /// The first half of [`run`](Self::run): all that it reads of `pair`. What comes of it lies in
    /// `pair_records`.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn read<'r>(
        &self,
        on: &Setting,
        pair: &Stream,
        pair_records: &'r mut [u8],
        scratch: &mut [u8],
    ) -> Result<PairBiases<'r>, ArenaError> {
        let weights = BiasWeights { norm: &self.norm, linear: &self.bias };
        weights.run(on, pair_bias::Shape::of_triangle(on.shape), pair, pair_records, scratch)
    }

    /// The second half: stores the sums of `addends` and of what [`read`](Self::read) has found in `sums`.
    /// Rows are computed in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn add(
        &self,
        on: &Setting,
        biases: &PairBiases,
        addends: Addends,
        sums: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        context.for_each(sums, addends.sums_row(shape), scratch, |i, sums, mut scratch| {
            let scratch = RowScratch::take(&mut scratch, shape)?;
            self.row(on, i, biases, addends, sums, scratch)
        })
    }

    /// Computes row `i` of the sums.
    fn row(
        &self,
        on: &Setting,
        i: usize,
        biases: &PairBiases,
        addends: Addends,
        sums: &mut [u8],
        scratch: RowScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let (backend, shape) = (on.context.backend, on.shape);
        let Shape { residues, pair: Representation { width, .. }, .. } = *shape;
        let after = &addends.formats.after;
        let sizes = shape.triangle_attention();
        let RowScratch { pairs, record, mut scales, mut attention } = scratch;
        let PairScratch { stream, update, mut tile, outputs } = pairs;
        let mut writing = Record::take(&mut Arena::new(record)?, &sizes)?;
        let quantized = biases.quantized(i)?;
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            tile.restore(&self.projections, rows, &quantized, from);
            tile.gemm(backend, &self.projections, rows, Epilogue::Store, outputs);
            writing.store(backend, &sizes, from, &outputs[..rows * 4 * width]);
        }
        scales.fill(&sizes, record)?;
        let keys = Keys { shape: sizes, records: record, scales: scales.read() };
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let (stream, attended) = (&mut stream[..rows * width], &mut update[..rows * width]);
            let queries = Queries { record: 0, from, count: rows };
            keys.attend(backend, queries, Some(biases.of(from)), &mut attention, attended, |_| ())?;
            let sums = &mut sums[from * after.code_row..];
            addends.decode(backend, i * residues + from, sums, stream);
            let attended = Rows::new(attended, width);
            tile.apply(backend, &self.output, rows, attended, after.epilogue(sums), stream);
        }
        Ok(())
    }
}
