//! Keys and values as they are stored for attention.

use super::shape::Shape;
use crate::arena::{ArenaError, Source};

/// Some keys of a row, with their values.
#[derive(Debug)]
pub struct KeyRecord<S: Source> {
    /// `[keys / 16, width / 4, 16, 4]`
    pub keys: S::Piece<i8>,
    /// `[slices, keys / 2, width, 2]`
    pub values: S::Piece<i8>,
    /// Packed token scales.
    pub key_scales: S::Piece<u32>,
    /// Packed token scales, `[slices, keys]`.
    pub value_scales: S::Piece<u32>,
}

impl<S: Source> KeyRecord<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let (keys, slices) = (shape.key_block, shape.slices());
        Ok(Self {
            keys: source.take(keys * shape.query_width)?,
            values: source.take(keys * shape.query_width * slices)?,
            key_scales: source.take(keys)?,
            value_scales: source.take(keys * slices)?,
        })
    }
}

/// The scales of a row's keys and values, relative to the largest.
#[derive(Debug)]
pub struct RowScales<S: Source> {
    /// One a key.
    pub keys: S::Piece<i16>,
    /// `[slices, stride]`
    pub values: S::Piece<i16>,
    /// The token scales of one kind, while they are made relative.
    pub gathered: S::Piece<u32>,
    /// The largest key scale, then the largest value scale of every slice.
    pub largest: S::Piece<u32>,
}

impl<S: Source> RowScales<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let (stride, slices) = (shape.stride(), shape.slices());
        Ok(Self {
            keys: source.take(stride)?,
            values: source.take(stride.saturating_mul(slices))?,
            gathered: source.take(stride)?,
            largest: source.take(1 + slices)?,
        })
    }
}
