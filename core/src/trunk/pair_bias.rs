//! What pairs add to the logits of attention: over the sequence, and within rows of pairs.

use super::scratch::PairScratch;
use super::shape::{self, Setting};
use crate::arena::{Arena, ArenaError, Reader, Source, bytes_of};
use crate::kernels::linear::{Epilogue, Linear};
use crate::nn::Norm;
use crate::nn::attention::Biases;
use crate::nn::quantized_tile::{QuantizedRows, TILE};
use crate::nn::stream::Stream;

/// The bias of one kind of attention: a record for each residue. Triangle attention, which reads the same
/// LayerNorm of the same pairs, finds them quantized after the bias.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Heads.
    pub heads: usize,
    /// Values of a head: keys rounded up to a multiple of 32.
    pub stride: usize,
    /// Pairs that are saved: all of the row, or none.
    pub saved: usize,
    /// Most codes of a pair that is saved.
    pub row_len: usize,
}

impl Shape {
    /// For the attention over the sequence.
    pub const fn of_sequence(shape: &shape::Shape) -> Self {
        Self { heads: shape.sequence.heads, stride: shape.stride(), saved: 0, row_len: 0 }
    }

    /// For triangle attention.
    pub const fn of_triangle(shape: &shape::Shape) -> Self {
        let shape::Shape { residues, pair, quantized_pair, .. } = *shape;
        Self { heads: pair.heads, stride: shape.stride(), saved: residues, row_len: quantized_pair }
    }
}

/// The record of one residue: its pairs with all others.
#[derive(Debug)]
pub struct PairBias<S: Source> {
    /// `[heads, stride]`, units of 2^-16 log2.
    bias: S::Piece<i32>,
    quantized: QuantizedRows<S>,
}

impl<S: Source> PairBias<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            bias: source.take(shape.heads.saturating_mul(shape.stride))?,
            quantized: QuantizedRows::take(source, shape.saved, shape.row_len)?,
        })
    }
}

/// All records, to read.
#[derive(Clone, Copy, Debug)]
pub struct PairBiases<'r> {
    shape: Shape,
    records: &'r [u8],
    record: usize,
}

impl<'r> PairBiases<'r> {
    /// The bias of residue `index` and of those after it.
    pub fn of(&self, index: usize) -> Biases<'r> {
        let row = self.record / size_of::<i32>();
        let values: &[i32] = bytemuck::try_cast_slice(self.records).unwrap_or_default();
        Biases { values: values.get(index.saturating_mul(row)..).unwrap_or_default(), row }
    }

    /// The quantized pairs of residue `index`.
    ///
    /// # Errors
    /// There is no such residue.
    pub fn quantized(&self, index: usize) -> Result<QuantizedRows<Reader<'r>>, ArenaError> {
        let mut record = Reader::of_piece(self.records, index, self.record);
        Ok(PairBias::take(&mut record, &self.shape)?.quantized)
    }
}

/// What makes a bias: a linear layer of the LayerNorm of pairs.
#[derive(Clone, Copy, Debug)]
pub struct BiasWeights<'w, 'a> {
    /// LayerNorm of the pairs.
    pub norm: &'w Norm<'a>,
    /// To one value a head.
    pub linear: &'w Linear<'a>,
}

impl BiasWeights<'_, '_> {
    /// Fills `records`: for the query i, the bias from the pairs (i, j) of `pair`. Rows of i are computed in
    /// parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run<'r>(
        &self,
        on: &Setting,
        bias: Shape,
        pair: &Stream,
        records: &'r mut [u8],
        scratch: &mut [u8],
    ) -> Result<PairBiases<'r>, ArenaError> {
        let Setting { context, shape } = *on;
        let record = bytes_of(|counter| PairBias::take(counter, &bias))?;
        let records = records.get_mut(..shape.residues.saturating_mul(record)).unwrap_or_default();
        context.for_each(records, record, scratch, |i, chunk, mut scratch| {
            let record = PairBias::take(&mut Arena::new(chunk)?, &bias)?;
            let scratch = PairScratch::take(&mut scratch, shape)?;
            let quantized = (bias.saved > 0).then_some(record.quantized);
            self.row(on, i, pair, (record.bias, quantized), scratch);
            Ok(())
        })?;
        Ok(PairBiases { shape: bias, records, record })
    }

    /// The record of query `i`.
    fn row(
        &self,
        on: &Setting,
        i: usize,
        pair: &Stream,
        (bias, mut quantized): (&mut [i32], Option<QuantizedRows<Arena>>),
        scratch: PairScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let shape::Shape { residues, pair: shape::Representation { width, epsilon, .. }, .. } = *shape;
        let PairScratch { stream, mut tile, outputs, .. } = scratch;
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let stream = &mut stream[..rows * width];
            pair.decode(backend, i * residues + from, stream);
            tile.make_norm(backend, self.norm, epsilon, stream);
            tile.apply_made(backend, self.linear, rows, Epilogue::Store, outputs);
            if let Some(quantized) = &mut quantized {
                tile.save(self.linear, rows, quantized, from);
            }
            for (row, outputs) in outputs.chunks_exact(self.linear.outputs()).take(rows).enumerate() {
                for (bias, &output) in bias.chunks_exact_mut(shape.stride()).zip(outputs) {
                    bias[from + row] = output;
                }
            }
        }
    }
}
