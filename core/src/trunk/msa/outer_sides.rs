//! Both sides of the outer product.

use super::scratch::EntryScratch;
use super::shape::{Setting, Shape};
use crate::arena::{Arena, ArenaError, Reader, Source};
use crate::fixed::TokenScale;
use crate::kernels::attention::{pack, unpack};
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::Stream;

/// Rows that a word has a bit for.
const WORD: usize = u32::BITS as usize;

/// Both sides of the entries of a tile of residues.
#[derive(Debug)]
pub struct Sides<S: Source> {
    /// The left sides of the entries that are kept, one after another, `[TILE, rows, outer width]`, activation
    /// units.
    pub left: S::Piece<i32>,
    /// The right sides of all rows, of which those that are masked are 0, as one row of codes: `[TILE, outer
    /// row]`.
    pub right: S::Piece<i8>,
    /// [Packed](pack) scales of the codes, `[TILE]`.
    right_scales: S::Piece<u32>,
    /// One bit for each row that is kept, `[TILE, words]`.
    kept: S::Piece<u32>,
}

impl<S: Source> Sides<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            left: source.take(TILE.saturating_mul(shape.outer_inputs()))?,
            right: source.take(TILE.saturating_mul(shape.outer_row()))?,
            right_scales: source.take(TILE)?,
            kept: source.take(TILE.saturating_mul(words(shape)))?,
        })
    }
}

/// Words of one residue's bits.
const fn words(shape: &Shape) -> usize {
    shape.rows.div_ceil(WORD)
}

/// A worker's scratch while it makes sides.
#[derive(Debug)]
pub struct SideScratch<S: Source> {
    entries: EntryScratch<S>,
    /// A residue's right sides, `[rows, outer width]`, activation units.
    right: S::Piece<i32>,
    /// Rows that keep a residue.
    rows: S::Piece<u32>,
}

impl<S: Source> SideScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            entries: EntryScratch::take(source, shape)?,
            right: source.take(shape.outer_inputs())?,
            rows: source.take(shape.rows)?,
        })
    }
}

/// What makes sides: a linear layer of the LayerNorm of entries.
#[derive(Clone, Copy, Debug)]
pub struct SideWeights<'w, 'a> {
    /// LayerNorm of the entries.
    pub norm: &'w Norm<'a>,
    /// Left and right side, one after the other.
    pub projection: &'w Linear<'a>,
}

impl SideWeights<'_, '_> {
    /// Makes the sides of tile number `tile`.
    pub fn run(
        &self,
        on: &Setting,
        tile: usize,
        msa: &Stream,
        mut sides: Sides<Arena>,
        mut scratch: SideScratch<Arena>,
    ) {
        let first = tile.saturating_mul(TILE);
        for place in 0..TILE.min(on.shape.trunk.residues.saturating_sub(first)) {
            self.residue(on, first + place, msa, (&mut sides, place), &mut scratch);
        }
    }

    /// Makes the sides of a residue, number `place` of its tile.
    fn residue(
        &self,
        on: &Setting,
        residue: usize,
        msa: &Stream,
        (sides, place): (&mut Sides<Arena>, usize),
        scratch: &mut SideScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, outer) = (shape.width(), shape.outer_width);
        let SideScratch { entries, right, rows } = scratch;
        let bits = &mut sides.kept[place * words(shape)..][..words(shape)];
        bits.fill(0);
        let kept = (0..shape.rows).filter(|&row| on.keeps(row, residue));
        let mut count = 0;
        for (place, row) in rows.iter_mut().zip(kept) {
            bits[row / WORD] |= 1 << (row % WORD);
            *place = row as u32;
            count += 1;
        }
        let rows = rows.get(..count).unwrap_or_default();

        right.fill(0);
        let left = &mut sides.left[place * shape.outer_inputs()..][..shape.outer_inputs()];
        let parts = left.chunks_mut((TILE * outer).max(1));
        for (rows, left) in rows.chunks(TILE).zip(parts) {
            let numbers =
                rows.iter().map(|&row| residue.saturating_mul(shape.rows).saturating_add(row as usize));
            let count = entries.gather(on, msa, numbers);
            let EntryScratch { stream, tile, outputs, .. } = &mut *entries;
            let epsilon = shape.trunk.sequence.epsilon;
            tile.make_norm(backend, self.norm, epsilon, &stream[..count * width]);
            tile.apply_made(backend, self.projection, count, Epilogue::Store, outputs);
            let both = outputs.chunks_exact((2 * outer).max(1)).map(|both| both.split_at(outer));
            for ((left, &row), both) in left.chunks_exact_mut(outer.max(1)).zip(rows).zip(both) {
                left.copy_from_slice(both.0);
                right[row as usize * outer..][..outer].copy_from_slice(both.1);
            }
        }
        let mut scale = [TokenScale::covering(0, 0)];
        let codes = &mut sides.right[place * shape.outer_row()..][..shape.outer_row()];
        (backend.quantize_rows)(Rows::new(right, shape.outer_inputs()), &[], codes, &mut scale);
        sides.right_scales[place] = pack(scale[0]);
    }
}

/// The sides of all tiles, to read.
#[derive(Clone, Copy, Debug)]
pub struct AllSides<'r> {
    /// Sizes.
    pub shape: &'r Shape<'r>,
    /// One record a tile.
    pub records: &'r [u8],
    /// Bytes of a record.
    pub record: usize,
}

impl<'r> AllSides<'r> {
    /// Those of a tile.
    ///
    /// # Errors
    /// There is no such tile.
    pub fn of(&self, tile: usize) -> Result<Sides<Reader<'r>>, ArenaError> {
        Sides::take(&mut Reader::of_piece(self.records, tile, self.record), self.shape)
    }
}

impl<'r> Sides<Reader<'r>> {
    /// The left sides of the tile's residue number `place`, one after another, and the rows that keep it, one
    /// bit each.
    pub fn left(&self, shape: &Shape, place: usize) -> (&'r [i32], &'r [u32]) {
        let bits = self.bits(shape, place);
        let count: usize = bits.iter().map(|bits| bits.count_ones() as usize).sum();
        let left = self.left.get(place.saturating_mul(shape.outer_inputs())..).unwrap_or_default();
        (left.get(..count.saturating_mul(shape.outer_width)).unwrap_or_default(), bits)
    }

    /// The rows that keep a residue.
    fn bits(&self, shape: &Shape, place: usize) -> &'r [u32] {
        let bits = self.kept.get(place.saturating_mul(words(shape))..).unwrap_or_default();
        bits.get(..words(shape)).unwrap_or_default()
    }

    /// How many rows keep a residue and another, which has the bits `other`.
    pub fn common(&self, shape: &Shape, place: usize, other: &[u32]) -> usize {
        let both = self.bits(shape, place).iter().zip(other);
        both.map(|(&a, &b)| (a & b).count_ones() as usize).sum()
    }

    /// The scale of a residue's codes.
    pub fn scale(&self, place: usize) -> TokenScale {
        self.right_scales.get(place).map_or(TokenScale::covering(0, 0), |&scale| unpack(scale))
    }
}

/// Whether the bits of a residue have that of `row`.
pub fn has(bits: &[u32], row: usize) -> bool {
    bits.get(row / WORD).is_some_and(|bits| bits >> (row % WORD) & 1 == 1)
}
