//! The trunk's working memory.

use super::pair_bias::{self, PairBias};
use super::scratch::{PairScratch, SequenceScratch};
use super::shape::Shape;
use super::{triangle_attention, triangle_multiplication};
use crate::arena::{ArenaError, Source, bytes_of};
use crate::nn::attention::{Record, RelativeScales};

/// What a block's operations use one after another.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// What an operation keeps of all pairs: attention's bias, or the operands of triangle multiplication.
    pub pair_records: S::Piece<u8>,
    /// Records of the attention over the sequence, one a panel.
    pub records: S::Piece<u8>,
    /// Their relative scales.
    pub scales: RelativeScales<S>,
    /// Projections of the sequence that make pairs, `[residues, pair width]`, activation units.
    pub outer: S::Piece<i32>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces, for `workers` workers.
    pub fn take(source: &mut S, shape: &Shape, workers: usize) -> Result<Self, ArenaError> {
        let attention = shape.sequence_attention();
        let record = bytes_of(|counter| Record::take(counter, &attention))?;
        Ok(Self {
            pair_records: source.take(pair_records_bytes(shape)?)?,
            records: source.take(record.saturating_mul(shape.panels()))?,
            scales: RelativeScales::take(source, &attention)?,
            outer: source.take(shape.residues.saturating_mul(shape.pair.width))?,
            scratch: source.take(scratch_bytes(shape)?.saturating_mul(workers))?,
        })
    }
}

/// Bytes that the operation which needs most keeps of all pairs while it works.
fn pair_records_bytes(shape: &Shape) -> Result<usize, ArenaError> {
    let biases = [pair_bias::Shape::of_sequence(shape), pair_bias::Shape::of_triangle(shape)];
    let operands = bytes_of(|counter| triangle_multiplication::Operands::take(counter, shape))?;
    let mut most = operands.saturating_mul(shape.panels());
    for bias in biases {
        let record = bytes_of(|counter| PairBias::take(counter, &bias))?;
        most = most.max(record.saturating_mul(shape.residues));
    }
    Ok(most)
}

/// Bytes of one worker's scratch: what the operation that needs most needs.
fn scratch_bytes(shape: &Shape) -> Result<usize, ArenaError> {
    let needs = [
        bytes_of(|counter| SequenceScratch::take(counter, shape))?,
        bytes_of(|counter| PairScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_multiplication::ProjectScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_multiplication::ProductScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_attention::RowScratch::take(counter, shape))?,
    ];
    Ok(needs.into_iter().fold(0, usize::max))
}
