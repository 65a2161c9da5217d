//! Every size that the language model's memory depends on.

use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::PANEL;
use crate::nn::quantized_tile::TILE_MAX;
use crate::omegafold::masks;

/// Most rows of a pseudo-MSA, the sequence itself included: the sums of their attention are below 2^24, and
/// the squares of 256 layers' sums below 2^56.
pub const ROWS_MAX: usize = masks::ROWS_MAX + 1;

/// Sizes of a run over some rows of a pseudo-MSA.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Residues of the sequence.
    pub residues: usize,
    /// Rows that are computed.
    pub rows: usize,
    /// Residues of a block, a multiple of [`QUERY_TILE`].
    pub block: usize,
    /// Keys of a record, a multiple of [`PANEL`].
    pub key_block: usize,
    /// Layers of the model.
    pub layers: usize,
    /// Channels of its stream.
    pub width: usize,
    /// Channels of its values.
    pub value_width: usize,
    /// Channels of its queries and keys.
    pub query_width: usize,
    /// Bytes from one stored row of the stream to the next.
    pub code_row: usize,
    /// Parts of the scratch memory.
    pub workers: usize,
}

impl Shape {
    /// Residues of block `block`.
    pub fn residues_of(&self, block: usize) -> usize {
        self.residues.saturating_sub(block.saturating_mul(self.block)).min(self.block)
    }

    /// Tokens of a whole block: its residues of all rows.
    const fn block_tokens(&self) -> usize {
        self.block * self.rows
    }

    /// Bytes of a whole block's stream.
    pub const fn block_bytes(&self) -> usize {
        self.block_tokens().saturating_mul(self.code_row)
    }

    /// Tokens of a block that linear layers work on at a time.
    pub const fn tile(&self) -> usize {
        let tokens = self.block_tokens();
        let tiles = tokens.div_ceil(TILE_MAX);
        if tiles == 0 { 1 } else { tokens.div_ceil(tiles) }
    }

    /// Where the token of `residue` in `row` lies among all: block by block, in each row by row.
    pub fn token(&self, row: usize, residue: usize) -> usize {
        let block = residue / self.block.max(1);
        let first = block * self.block;
        first * self.rows + row * self.residues_of(block) + (residue - first)
    }

    /// Values of all maps of one residue, `[layers, residues]`.
    pub const fn maps_of_residue(&self) -> usize {
        self.layers.saturating_mul(self.residues)
    }

    /// Values of the maps of a whole block.
    pub const fn block_maps(&self) -> usize {
        self.block.saturating_mul(self.maps_of_residue())
    }

    /// Records of one row's keys.
    pub const fn key_blocks(&self) -> usize {
        self.residues.div_ceil(self.key_block)
    }

    /// Slices of the values, each as wide as queries and with a scale of its own for each key.
    pub const fn slices(&self) -> usize {
        match self.value_width.checked_div(self.query_width) {
            Some(slices) => slices,
            None => 0,
        }
    }

    /// Keys rounded up to an odd multiple of 32, so that the same key of several queries does not share a set
    /// of the L1 cache.
    pub const fn stride(&self) -> usize {
        (self.residues.div_ceil(32) | 1).saturating_mul(32)
    }
}

/// Residues of a block: as many as keep every worker equally busy.
pub fn block(residues: usize, rows: usize, workers: usize) -> usize {
    // Every block costs a little by itself.
    let cost = |block: &usize| {
        let of_worker = residues.div_ceil(*block).div_ceil(workers.max(1));
        of_worker.saturating_mul(block.saturating_mul(rows).saturating_add(8))
    };
    let blocks = (1..=TILE_MAX / QUERY_TILE).rev().map(|tiles| tiles * QUERY_TILE);
    blocks.min_by_key(cost).unwrap_or(TILE_MAX)
}

/// Keys of a record: as many as linear layers work on at a time, fewer where workers would go without.
pub fn key_block(residues: usize, rows: usize, workers: usize) -> usize {
    let enough = |keys: &usize| residues.div_ceil(*keys).saturating_mul(rows) >= workers;
    let blocks = (1..=TILE_MAX / PANEL).rev().map(|panels| panels * PANEL);
    let keys = blocks.into_iter().find(enough).unwrap_or(PANEL);
    keys.min(residues.div_ceil(PANEL).max(1).saturating_mul(PANEL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn shape(residues: usize, rows: usize, workers: usize) -> Shape {
        Shape {
            residues,
            rows,
            block: block(residues, rows, workers),
            key_block: key_block(residues, rows, workers),
            layers: 3,
            width: 32,
            value_width: 48,
            query_width: 16,
            code_row: 64,
            workers,
        }
    }

    #[test]
    fn every_token_has_a_place_of_its_own_within_its_block() {
        for (residues, rows, workers) in
            [(1, 1, 1), (2, 16, 1), (7, 3, 2), (24, 16, 4), (65, 5, 3), (130, 16, 1), (130, 1, 8)]
        {
            let shape = shape(residues, rows, workers);
            assert!(shape.block.is_multiple_of(QUERY_TILE) && shape.key_block.is_multiple_of(PANEL));
            assert!(shape.tile() <= TILE_MAX && shape.key_block <= TILE_MAX);
            let mut seen = vec![false; residues * rows];
            for (row, residue) in (0..rows).flat_map(|row| (0..residues).map(move |r| (row, r))) {
                let token = shape.token(row, residue);
                assert!(!core::mem::replace(&mut seen[token], true));
                assert_eq!(token / shape.block_tokens(), residue / shape.block);
            }
            let blocks: usize =
                (0..shape.residues.div_ceil(shape.block)).map(|block| shape.residues_of(block)).sum();
            assert_eq!(blocks, residues);
        }
    }

    #[test]
    fn blocks_are_enough_for_the_workers() {
        assert_eq!([block(512, 16, 1), block(512, 16, 8), block(24, 16, 3)], [64, 64, 8]);
        assert_eq!([key_block(512, 16, 4), key_block(512, 1, 16), key_block(20, 1, 1)], [64, 32, 32]);
        assert_eq!([block(usize::MAX, 0, 0), key_block(0, 0, 0)].map(|n| n > 0), [true; 2]);
    }
}
