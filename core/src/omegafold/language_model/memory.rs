//! What lies in the arena.

use super::attend;
use super::records::{KeyRecord, RowScales};
use super::shape::Shape;
use crate::arena::{ArenaError, Source, bytes_of};
use crate::nn::quantized_tile::QuantizedTile;

/// What a run leaves.
#[derive(Debug)]
pub struct Features<S: Source> {
    /// Codes of the stream, block by block: a block's rows of its residues, a token every
    /// [`code_row`](Shape::code_row) bytes.
    pub states: S::Piece<u8>,
    /// Codes of the maps of attention, `[residues, layers, residues]`.
    pub maps: S::Piece<u16>,
}

impl<S: Source> Features<S> {
    /// Takes its pieces.
    ///
    /// # Errors
    /// They exceed the memory, or the address width.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let tokens = shape.residues.saturating_mul(shape.rows);
        Ok(Self {
            states: source.take(tokens.saturating_mul(shape.code_row))?,
            maps: source.take(shape.residues.saturating_mul(shape.maps_of_residue()))?,
        })
    }
}

/// What a run works in.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// The keys of each row, `[rows, residues]`.
    pub key_lists: S::Piece<u16>,
    /// How many residues each row keeps.
    pub key_counts: S::Piece<u32>,
    /// `[residues, query_width / 2]` pairs of cosine and sine.
    pub rotary: S::Piece<[i32; 2]>,
    /// Keys and values: [`key_blocks`](Shape::key_blocks) records a row.
    pub records: S::Piece<u8>,
    /// Their relative scales, one record a row.
    pub scales: S::Piece<u8>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces.
    ///
    /// # Errors
    /// They exceed the memory, or the address width.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let record = bytes_of(|counter| KeyRecord::take(counter, shape))?;
        let scales = bytes_of(|counter| RowScales::take(counter, shape))?;
        let project = bytes_of(|counter| ProjectScratch::take(counter, shape))?;
        let transform = bytes_of(|counter| TransformScratch::take(counter, shape))?;
        Ok(Self {
            key_lists: source.take(shape.rows.saturating_mul(shape.residues))?,
            key_counts: source.take(shape.rows)?,
            rotary: source.take(shape.residues.saturating_mul(shape.query_width / 2))?,
            records: source.take(record.saturating_mul(shape.key_blocks()).saturating_mul(shape.rows))?,
            scales: source.take(scales.saturating_mul(shape.rows))?,
            scratch: source.take(project.max(transform).saturating_mul(shape.workers))?,
        })
    }
}

/// A worker's scratch while it makes keys and values.
#[derive(Debug)]
pub struct ProjectScratch<S: Source> {
    /// Decoded rows of the stream, `[keys, width]`.
    pub stream: S::Piece<i32>,
    /// Rows on their way to a linear layer.
    pub tile: QuantizedTile<S>,
    /// Values and the base of keys, `[keys, value_width + query_width]`.
    pub outputs: S::Piece<i32>,
    /// Keys, `[keys, query_width]`.
    pub keys: S::Piece<i32>,
    /// One row of the outputs.
    pub gate: S::Piece<i32>,
}

impl<S: Source> ProjectScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let Shape { width, value_width, query_width, key_block: rows, .. } = *shape;
        Ok(Self {
            stream: source.take(rows * width)?,
            tile: QuantizedTile::of_rows(source, rows, width, width)?,
            outputs: source.take(rows * (value_width + query_width))?,
            keys: source.take(rows * query_width)?,
            gate: source.take(value_width + query_width)?,
        })
    }
}

/// A worker's scratch while it updates a block.
#[derive(Debug)]
pub struct TransformScratch<S: Source> {
    /// Decoded rows of the stream, `[tile, width]`.
    pub stream: S::Piece<i32>,
    /// Rows on their way to a linear layer.
    pub tile: QuantizedTile<S>,
    /// Gates, `[tile, value_width]`.
    pub gates: S::Piece<i32>,
    /// What is attended to, `[tile, value_width]`.
    pub attended: S::Piece<i32>,
    /// Queries, `[tile, query_width]`.
    pub queries: S::Piece<i32>,
    /// Their codes.
    pub query_codes: S::Piece<i8>,
    /// One query's base.
    pub gate: S::Piece<i32>,
    /// Sums of attention over the rows, `[block, stride]`.
    pub sums: S::Piece<i32>,
    /// For attention.
    pub attention: attend::Scratch<S>,
}

impl<S: Source> TransformScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let Shape { width, value_width, query_width, .. } = *shape;
        let rows = shape.tile();
        Ok(Self {
            stream: source.take(rows * width)?,
            tile: QuantizedTile::of_rows(source, rows, width.max(value_width), width)?,
            gates: source.take(rows * value_width)?,
            attended: source.take(rows * value_width)?,
            queries: source.take(rows * query_width)?,
            query_codes: source.take(rows * query_width)?,
            gate: source.take(query_width)?,
            sums: source.take(shape.block.saturating_mul(shape.stride()))?,
            attention: attend::Scratch::take(source, shape)?,
        })
    }
}
