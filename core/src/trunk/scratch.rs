//! What one worker of a trunk operation works in.

use super::shape::Shape;
use crate::arena::{ArenaError, Source};
use crate::kernels::linear::PANEL;
use crate::nn::attention;
use crate::nn::quantized_tile::{QuantizedTile, TILE};

/// A worker's scratch for operations on a panel of the sequence.
#[derive(Debug)]
pub struct SequenceScratch<S: Source> {
    /// Decoded rows, `[16, width]`.
    pub stream: S::Piece<i32>,
    /// Context or updates, `[16, width]`.
    pub update: S::Piece<i32>,
    /// Quantized rows.
    pub tile: QuantizedTile<S>,
    /// Outputs of the widest linear layer, `[16, 4 * width]`.
    pub outputs: S::Piece<i32>,
    /// For attention.
    pub attention: attention::Scratch<S>,
}

impl<S: Source> SequenceScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let width = shape.sequence.width;
        Ok(Self {
            stream: source.take(PANEL * width)?,
            update: source.take(PANEL * width)?,
            tile: QuantizedTile::take(source, 4 * width)?,
            outputs: source.take(PANEL * 4 * width)?,
            attention: attention::Scratch::take(source, &shape.sequence_attention())?,
        })
    }
}

/// A worker's scratch for operations on pairs, tile by tile.
#[derive(Debug)]
pub struct PairScratch<S: Source> {
    /// Decoded rows, `[TILE, width]`.
    pub stream: S::Piece<i32>,
    /// Updates, `[TILE, width]`.
    pub update: S::Piece<i32>,
    /// Quantized rows.
    pub tile: QuantizedTile<S>,
    /// Outputs of the widest linear layer, `[TILE, 4 * width]` or one value for each head of the attention
    /// over the sequence.
    pub outputs: S::Piece<i32>,
}

impl<S: Source> PairScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let width = shape.pair.width;
        Ok(Self {
            stream: source.take(TILE * width)?,
            update: source.take(TILE * width)?,
            tile: QuantizedTile::take(source, 4 * width)?,
            outputs: source.take(TILE * (4 * width).max(shape.sequence.heads))?,
        })
    }
}
