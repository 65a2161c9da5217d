//! What pairs add to the logits of attention: over the sequence, and within rows of pairs.

use super::memory::{Dims, PairScratch};
use super::rows::{Saved, SavedRows, Stored, TILE};
use super::run::Pass;
use crate::arena::{Arena, Layout};
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::kernels::linear::{Linear, Then};
use crate::kernels::rows::Rows;

/// The bias of one kind of attention: a record for each residue, `[heads, stride]` values in units of 2^-16 log2. Triangle attention, which
/// reads the same LayerNorm of the same pairs, finds them quantized after the bias.
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
    fn bias(&self) -> Layout {
        Layout::new().add::<i32>(self.heads * self.stride)
    }

    /// Bytes of a record.
    pub fn record(&self) -> Layout {
        Saved::layout(self.bias(), self.saved, self.row_len)
    }
}

/// All records, to read.
#[derive(Clone, Copy, Debug)]
pub struct Biases<'r> {
    shape: Shape,
    records: &'r [u8],
    record: usize,
}

impl<'r> Biases<'r> {
    /// The records that [`run`] has filled.
    pub fn new(shape: Shape, records: &'r [u8]) -> Self {
        Self { shape, records, record: shape.record().bytes().unwrap_or(usize::MAX) }
    }

    /// Values from a record's bias to that of the next.
    pub const fn row(&self) -> usize {
        self.record / size_of::<i32>()
    }

    /// The bias of residue `index` and of those after it, from value `from` on.
    pub fn of(&self, index: usize, from: usize) -> &'r [i32] {
        let values: &[i32] = bytemuck::try_cast_slice(self.records).unwrap_or_default();
        values.get(index.saturating_mul(self.row()).saturating_add(from)..).unwrap_or_default()
    }

    /// The quantized pairs of residue `index`.
    pub fn saved(&self, index: usize) -> SavedRows<'r> {
        let record = self.records.get(index.saturating_mul(self.record)..).unwrap_or_default();
        SavedRows::read(record, self.shape.bias(), self.shape.saved, self.shape.row_len)
    }
}

/// Fills `records`: for the query i, `linear` of the LayerNorm of the pairs (i, j). Rows of i are computed in parallel.
#[expect(clippy::too_many_arguments, reason = "an operation's weights, inputs and outputs")]
pub fn run<'r>(
    pass: &Pass,
    shape: Shape,
    norm: &Norm,
    linear: &Linear,
    stored: &Stored,
    pair: &[u8],
    records: &'r mut [u8],
    scratch: &mut [u8],
    executor: &dyn Executor,
) -> Biases<'r> {
    let dims = &pass.dims;
    let record = shape.record().bytes().unwrap_or(usize::MAX);
    let records = records.get_mut(..dims.residues.saturating_mul(record)).unwrap_or_default();
    executor.for_each(records, record, scratch, &|i, chunk, scratch| {
        let pairs = pair.get(i * dims.pair_rows()..).unwrap_or_default();
        // Both chunks are as long as the layouts say, so carving them succeeds.
        if let (Ok(mut arena), Ok(scratch)) = (Arena::new(chunk), PairScratch::carve(dims, scratch))
            && let Ok(bias) = arena.take(shape.heads * shape.stride)
            && let Ok(saved) = Saved::carve(&mut arena, shape.saved, shape.row_len)
        {
            row(pass, norm, linear, stored, pairs, bias, (shape.saved > 0).then_some(saved), scratch);
        }
    });
    Biases::new(shape, records)
}

/// The record of one query.
#[expect(clippy::too_many_arguments, reason = "one row's inputs and outputs")]
fn row(
    pass: &Pass,
    norm: &Norm,
    linear: &Linear,
    stored: &Stored,
    pairs: &[u8],
    bias: &mut [i32],
    mut saved: Option<Saved>,
    scratch: PairScratch,
) {
    let Dims { residues, stride, config, .. } = pass.dims;
    let (width, heads) = (config.pair_width, linear.outputs());
    let PairScratch { stream, mut codes, outputs, .. } = scratch;
    for from in (0..residues).step_by(TILE) {
        let rows = TILE.min(residues - from);
        let stream = &mut stream[..rows * width];
        stored.decode(pass.backend, &pairs[from * stored.code_row..], stream);
        let epsilons = &[config.epsilon_pair; TILE][..rows];
        codes.apply_to_norm(
            pass.backend,
            linear,
            norm,
            epsilons,
            Rows::new(stream, width),
            Then::Store,
            outputs,
        );
        if let Some(saved) = &mut saved {
            codes.save(linear, rows, saved, from);
        }
        for (row, outputs) in outputs.chunks_exact(heads).take(rows).enumerate() {
            for (bias, &output) in bias.chunks_exact_mut(stride).zip(outputs) {
                bias[from + row] = output;
            }
        }
    }
}
