//! The working memory of operations on an MSA representation.

use super::kept::KeptResidues;
use super::outer_shares::Shares;
use super::outer_sides::{SideScratch, Sides};
use super::scratch::{ColumnScratch, ProductScratch, RowScratch};
use super::shape::Shape;
use crate::arena::{ArenaError, Source, bytes_of};
use crate::nn::attention::{Record, RelativeScales};
use crate::trunk::pair_bias::{self, PairBias};
use crate::trunk::scratch::PairScratch;

/// What the operations use one after another. Nothing of it outlives them.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// What the rows keep.
    pub kept: KeptResidues<S>,
    /// The bias of attention within rows, a record for each residue.
    pub biases: S::Piece<u8>,
    /// Records of attention within rows, tile by tile of each row; or both sides of the outer product.
    pub records: S::Piece<u8>,
    /// The relative scales of each row.
    pub scales: S::Piece<u8>,
    /// The representation after attention within rows: codes of what the rows keep, tile by tile of each row.
    pub updated: S::Piece<u8>,
    /// What the outer product is divided by.
    pub shares: Shares<S>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces, for `workers` workers.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`] for more rows or channels than the arithmetic is proved for, too.
    pub fn take(source: &mut S, shape: &Shape, workers: usize) -> Result<Self, ArenaError> {
        shape.check()?;
        let Shape { trunk, rows, .. } = *shape;
        let sizes = shape.row_attention(0);
        let bias = bytes_of(|counter| PairBias::take(counter, &pair_bias::Shape::of_sequence(trunk)))?;
        let record = bytes_of(|counter| Record::take(counter, &sizes))?;
        let sides = bytes_of(|counter| Sides::take(counter, shape))?.saturating_mul(shape.tiles());
        let records = record.saturating_mul(shape.tiles()).saturating_mul(rows);
        let scales = bytes_of(|counter| RelativeScales::take(counter, &sizes))?;
        let updated = shape.room().saturating_mul(rows).saturating_mul(trunk.sequence.code_row);
        Ok(Self {
            kept: KeptResidues::take(source, shape)?,
            biases: source.take(bias.saturating_mul(trunk.residues))?,
            records: source.take(records.max(sides))?,
            scales: source.take(scales.saturating_mul(rows))?,
            updated: source.take(updated)?,
            shares: Shares::take(source, shape)?,
            scratch: source.take(scratch_bytes(shape)?.saturating_mul(workers))?,
        })
    }
}

/// Bytes of one worker's scratch: what the operation that needs most needs.
fn scratch_bytes(shape: &Shape) -> Result<usize, ArenaError> {
    let needs = [
        bytes_of(|counter| PairScratch::take(counter, shape.trunk))?,
        bytes_of(|counter| RowScratch::take(counter, shape))?,
        bytes_of(|counter| ColumnScratch::take(counter, shape))?,
        bytes_of(|counter| SideScratch::take(counter, shape))?,
        bytes_of(|counter| ProductScratch::take(counter, shape))?,
    ];
    Ok(needs.into_iter().fold(0, usize::max))
}
