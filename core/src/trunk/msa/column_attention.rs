//! Attention within the columns of an MSA, and the transition after it.

use super::attention_weights::AttentionWeights;
use super::kept::Kept;
use super::scratch::ColumnScratch;
use super::shape::Setting;
use crate::arena::{Arena, ArenaError};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::Epilogue;
use crate::nn::attention::{Biases, Keys, Queries, Record};
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{Formats, Stream};

/// What is added to the logits: nothing. So a score is worth what it is within rows.
const NO_BIAS: Biases = Biases { values: &[], row: 0 };

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct ColumnAttention<'a> {
    weights: AttentionWeights<'a>,
    /// `width` to `4 * width` and back.
    transition: FeedForward<'a>,
}

impl<'a> ColumnAttention<'a> {
    /// Reads the tensors of the block `name`, for a representation of `width` channels.
    pub fn load(file: &ModelFile<'a>, name: &str, width: usize) -> Result<Self, FormatError> {
        let weights = AttentionWeights::load(file, &join(name, "column_attention"), width)?;
        let transition = join(name, "node_transition");
        let transition = FeedForward::load(file, &transition, [width, 4 * width], Activation::Relu)?;
        Ok(Self { weights, transition })
    }

    /// Stores in `msa` the entries that are kept after attention and transition, from what they are before:
    /// `updated`, which lists them as `kept` says.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        formats: &Formats,
        (updated, kept): (&[u8], Kept),
        msa: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Setting { context, shape, .. } = *on;
        let updated = Stream { codes: updated, format: formats.before };
        context.for_each(msa, shape.column(), scratch, |residue, codes, mut scratch| {
            let scratch = ColumnScratch::take(&mut scratch, shape)?;
            self.column(on, formats, (&updated, kept), residue, codes, scratch)
        })
    }

    /// Stores one residue's column.
    fn column(
        &self,
        on: &Setting,
        formats: &Formats,
        (updated, kept): (&Stream, Kept),
        residue: usize,
        codes: &mut [u8],
        scratch: ColumnScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, sequence) = (shape.width(), &shape.trunk.sequence);
        let ColumnScratch { mut entries, record, mut scales, mut attention, members } = scratch;
        let found = (0..shape.rows).filter_map(|row| Some([row, kept.find(row, residue as u32)?]));
        let mut count = 0;
        for (member, found) in members.iter_mut().zip(found) {
            *member = found.map(|number| number as u32);
            count += 1;
        }
        let members = members.get(..count).unwrap_or_default();
        if members.is_empty() {
            return Ok(());
        }

        let sizes = shape.column_attention(count);
        let mut writing = Record::take(&mut Arena::new(record)?, &sizes)?;
        for (first, members) in (0..).step_by(TILE).zip(members.chunks(TILE)) {
            let count = entries.gather(on, updated, members.iter().map(|&[_, place]| place as usize));
            self.weights.project(on, count, &mut entries, (&sizes, &mut writing), first);
        }
        scales.fill(&sizes, record)?;
        let keys = Keys { shape: sizes, records: record, scales: scales.read() };
        for (from, members) in (0..).step_by(TILE).zip(members.chunks(TILE)) {
            let count = entries.gather(on, updated, members.iter().map(|&[_, place]| place as usize));
            let queries = Queries { record: 0, from, count };
            let attended = &mut entries.update[..count * width];
            keys.attend(backend, queries, Some(NO_BIAS), &mut attention, attended, |_| ())?;
            self.weights.add(on, count, &mut entries, Epilogue::Add);
            let (stream, hidden) = (&mut entries.stream[..count * width], &mut *entries.outputs);
            let tile = &mut entries.tile;
            self.transition.add(backend, sequence.epsilon, stream, tile, hidden, Epilogue::Add);
            for (x, &[row, _]) in stream.chunks_exact(width.max(1)).zip(members) {
                let place = (row as usize).saturating_mul(sequence.code_row);
                formats.after.encode(backend, x, codes.get_mut(place..).unwrap_or_default());
            }
        }
        Ok(())
    }
}
