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
        let biases = bias_bytes(shape, &pair_bias::Shape::of_sequence(shape))?;
        let scratch = bytes_of(|counter| SequenceScratch::take(counter, shape))?;
        Ok(Self {
            pair_records: source.take(pair_records_bytes(shape)?.max(biases))?,
            records: source.take(record.saturating_mul(shape.panels()))?,
            scales: RelativeScales::take(source, &attention)?,
            outer: source.take(shape.residues.saturating_mul(shape.pair.width))?,
            scratch: source.take(scratch.max(pair_scratch_bytes(shape)?).saturating_mul(workers))?,
        })
    }
}

/// What operations on the pairs alone use one after another.
#[derive(Debug)]
pub struct PairMemory<S: Source> {
    /// What an operation keeps of all pairs: attention's bias, or the operands of triangle multiplication.
    pub records: S::Piece<u8>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> PairMemory<S> {
    /// Takes its pieces, for `workers` workers.
    pub fn take(source: &mut S, shape: &Shape, workers: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            records: source.take(pair_records_bytes(shape)?)?,
            scratch: source.take(pair_scratch_bytes(shape)?.saturating_mul(workers))?,
        })
    }
}

/// Bytes that the operation on pairs which needs most keeps of all of them while it works.
fn pair_records_bytes(shape: &Shape) -> Result<usize, ArenaError> {
    let operands = bytes_of(|counter| triangle_multiplication::Operands::take(counter, shape))?;
    let biases = bias_bytes(shape, &pair_bias::Shape::of_triangle(shape))?;
    Ok(operands.saturating_mul(shape.panels()).max(biases))
}

/// Bytes of an attention's bias.
fn bias_bytes(shape: &Shape, bias: &pair_bias::Shape) -> Result<usize, ArenaError> {
    Ok(bytes_of(|counter| PairBias::take(counter, bias))?.saturating_mul(shape.residues))
}

/// Bytes of one worker's scratch for the operation on pairs that needs most.
fn pair_scratch_bytes(shape: &Shape) -> Result<usize, ArenaError> {
    let needs = [
        bytes_of(|counter| PairScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_multiplication::ProjectScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_multiplication::ProductScratch::take(counter, shape))?,
        bytes_of(|counter| triangle_attention::RowScratch::take(counter, shape))?,
    ];
    Ok(needs.into_iter().fold(0, usize::max))
}
