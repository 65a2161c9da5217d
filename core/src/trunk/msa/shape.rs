//! Sizes of an MSA representation.

use crate::arena::ArenaError;
use crate::kernels::linear::{GROUP, PANEL};
use crate::nn::quantized_tile::TILE;
use crate::nn::{Context, attention};
use crate::trunk::shape;

/// Most rows: a sum over the products of so many rows of 256 channels is proved to fit 32 bits.
pub const ROWS_MAX: usize = 511;

/// Most channels of either side of the outer product.
const OUTER_WIDTH_MAX: usize = 256;

/// Every size that the operations on an MSA representation and their memory depend on.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'s> {
    /// Residues, and both representations: `sequence` is what is stored of one residue in one row.
    pub trunk: &'s shape::Shape,
    /// Rows of the MSA.
    pub rows: usize,
    /// Channels of either side of the outer product.
    pub outer_width: usize,
}

impl Shape<'_> {
    /// Refuses sizes that the arithmetic is not proved for.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub const fn check(&self) -> Result<(), ArenaError> {
        if self.rows > ROWS_MAX || self.outer_width > OUTER_WIDTH_MAX {
            return Err(ArenaError::TooLarge);
        }
        Ok(())
    }

    /// Channels.
    pub const fn width(&self) -> usize {
        self.trunk.sequence.width
    }

    /// Tiles of a row's residues.
    pub const fn tiles(&self) -> usize {
        self.trunk.residues.div_ceil(TILE)
    }

    /// Residues that a row's tiles have room for.
    pub const fn room(&self) -> usize {
        self.tiles().saturating_mul(TILE)
    }

    /// Bytes of a stored column: what is stored of one residue.
    pub const fn column(&self) -> usize {
        self.rows.saturating_mul(self.trunk.sequence.code_row)
    }

    /// Attention within a row of which so many residues are kept: a record a tile.
    pub const fn row_attention(&self, keys: usize) -> attention::Shape {
        attention::Shape { rows: TILE, keys, ..self.trunk.sequence_attention() }
    }

    /// Attention within a column of which so many rows are kept: one record.
    pub const fn column_attention(&self, keys: usize) -> attention::Shape {
        let (rows, stride) = (self.rows.next_multiple_of(PANEL), self.rows.next_multiple_of(32));
        attention::Shape { rows, keys, stride, ..self.trunk.sequence_attention() }
    }

    /// Values of a residue that the sum of the outer product is over: some channels of every row.
    pub const fn outer_inputs(&self) -> usize {
        self.rows.saturating_mul(self.outer_width)
    }

    /// The same as codes, padded.
    pub const fn outer_row(&self) -> usize {
        self.outer_inputs().next_multiple_of(GROUP)
    }
}

/// What every operation on an MSA representation works with, besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'s> {
    /// Kernels and workers.
    pub context: Context<'s>,
    /// Sizes.
    pub shape: &'s Shape<'s>,
    /// Which entries are kept: those that are not 0, `[rows, residues]`. Where there is none, the entry is
    /// masked.
    pub kept: &'s [u8],
}

impl<'s> Setting<'s> {
    /// What operations on the sequence and pair representation work with.
    pub const fn trunk(&self) -> shape::Setting<'s> {
        shape::Setting { context: self.context, shape: self.shape.trunk }
    }

    /// Whether each residue of a row is kept.
    pub fn row(&self, row: usize) -> &'s [u8] {
        let residues = self.shape.trunk.residues;
        let kept = self.kept.get(row.saturating_mul(residues)..).unwrap_or_default();
        kept.get(..residues).unwrap_or(kept)
    }

    /// Whether an entry is kept.
    pub fn keeps(&self, row: usize, residue: usize) -> bool {
        self.row(row).get(residue).is_some_and(|&kept| kept != 0)
    }
}
