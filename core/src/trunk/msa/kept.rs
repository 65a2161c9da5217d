//! The entries of an MSA that are kept.

use super::shape::{Setting, Shape};
use crate::arena::{Arena, ArenaError, Source};
use crate::nn::quantized_tile::TILE;

/// The residues of each row that are kept, in ascending order.
#[derive(Debug)]
pub struct KeptResidues<S: Source> {
    /// `[rows, room]`; beyond a row's own nothing is meant.
    residues: S::Piece<u32>,
    /// Of each row.
    counts: S::Piece<u32>,
}

impl<S: Source> KeptResidues<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            residues: source.take(shape.rows.saturating_mul(shape.room()))?,
            counts: source.take(shape.rows)?,
        })
    }
}

impl KeptResidues<Arena<'_>> {
    /// Lists what the setting says that is kept.
    pub fn fill(&mut self, on: &Setting) {
        let room = on.shape.room();
        let rows = self.residues.chunks_exact_mut(room.max(1)).zip(self.counts.iter_mut());
        for (row, (residues, count)) in rows.enumerate() {
            let kept = (0..).zip(on.row(row)).filter(|&(_, &kept)| kept != 0);
            *count = 0;
            for (place, (residue, _)) in residues.iter_mut().zip(kept) {
                *place = residue;
                *count += 1;
            }
        }
    }

    /// To be read by all workers.
    pub fn read(&self, shape: &Shape) -> Kept<'_> {
        Kept { tiles: shape.tiles(), residues: self.residues, counts: self.counts }
    }
}

/// [`KeptResidues`], to read.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'k> {
    tiles: usize,
    residues: &'k [u32],
    counts: &'k [u32],
}

/// Up to [`TILE`] residues that a row keeps.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'k> {
    /// The row.
    pub row: usize,
    /// The tile's number among those of its row.
    pub number: usize,
    /// The residues: none where the row keeps fewer.
    pub residues: &'k [u32],
}

impl<'k> Kept<'k> {
    /// The residues that a row keeps.
    pub fn of(&self, row: usize) -> &'k [u32] {
        let residues = self.residues.get(self.place(row, 0)..).unwrap_or_default();
        let count = self.counts.get(row).map_or(0, |&count| count as usize);
        residues.get(..count).unwrap_or_default()
    }

    /// Tile number `index`, counted over all rows, each of which has tiles enough for all residues.
    pub fn tile(&self, index: usize) -> Tile<'k> {
        let tiles = self.tiles.max(1);
        let (row, number) = (index / tiles, index % tiles);
        let residues = self.of(row).chunks(TILE).nth(number).unwrap_or_default();
        Tile { row, number, residues }
    }

    /// Where a residue is among all tiles' places, if its row keeps it.
    pub fn find(&self, row: usize, residue: u32) -> Option<usize> {
        self.of(row).binary_search(&residue).ok().map(|index| self.place(row, index))
    }

    /// The place of the residue that is number `index` of those that a row keeps.
    const fn place(&self, row: usize, index: usize) -> usize {
        row.saturating_mul(self.tiles.saturating_mul(TILE)).saturating_add(index)
    }
}
