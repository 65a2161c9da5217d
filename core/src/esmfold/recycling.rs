//! What a pass through the trunk starts from: the embedded sequence and positions, and the pass before.

use super::config::{Config, DISTANCE_BINS};
use super::distances;
use crate::arena::{Arena, ArenaError, Source};
use crate::format::{FormatError, ModelFile};
use crate::kernels::scalar::activation::add;
use crate::nn::Norm;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{StreamFormat, to_unit};
use crate::quant::STREAM_MAX;
use crate::trunk::scratch::PairScratch;
use crate::trunk::shape::{Representation, Setting, Shape};

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Recycling<'a> {
    sequence_norm: Norm<'a>,
    pair_norm: Norm<'a>,
    /// `[15, pair_width]`, pair units.
    distance: &'a [i32],
    /// `[2 * position_bins + 2, pair_width]`, pair units; row 0, for masked pairs, is never used.
    position: &'a [i32],
    position_bins: usize,
    /// Fractional bits of the sequence and of the pair representation.
    fracs: [u32; 2],
}

/// What pairs start from besides the pass before.
#[derive(Clone, Copy, Debug)]
pub struct Geometry<'g> {
    /// Virtual CB atoms of the structure before.
    pub cbs: &'g [[i32; 3]],
    /// Number of each residue along its chain.
    pub residue_index: &'g [i32],
}

impl<'a> Recycling<'a> {
    /// Reads the tensors.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let table = |name, rows: usize| {
            let table = file.i32s(name, &[rows, config.pair_width])?;
            if table.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
                return Err(FormatError::bad_value(name, "a value exceeds 2^23 units"));
            }
            Ok(table)
        };
        let sequence_norm = Norm::load(file, "fold.recycling.sequence_norm", config.sequence_width)?;
        let pair_norm = Norm::load(file, "fold.recycling.pair_norm", config.pair_width)?;
        let distance = table("fold.recycling.distance", DISTANCE_BINS)?;
        let position = table("fold.recycling.position", config.positions())?;
        Ok(Self {
            sequence_norm,
            pair_norm,
            distance,
            position,
            position_bins: config.position_bins,
            fracs: [config.sequence_frac, config.pair_frac],
        })
    }

    /// Stores the sequence representation as `next` says: the embedded one and the LayerNorm of the one
    /// before, which is stored as `previous` says (zeros in the first pass). `scratch` holds two rows.
    ///
    /// # Errors
    /// `scratch` does not.
    pub fn sequence(
        &self,
        on: &Setting,
        previous: Option<&StreamFormat>,
        next: &StreamFormat,
        (embedded, sequence): (&[i32], &mut [u8]),
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        let Representation { width, epsilon, .. } = shape.sequence;
        let mut scratch = Arena::new(scratch)?;
        let (x, y): (&mut [i32], &mut [i32]) = (scratch.take(width)?, scratch.take(width)?);
        for (embedded, codes) in embedded.chunks_exact(width).zip(sequence.chunks_exact_mut(next.code_row)) {
            x.fill(0);
            if let Some(previous) = previous {
                previous.decode(context.backend, codes, x);
            }
            self.sequence_norm.apply(context.backend, epsilon, x, y);
            y.iter_mut().for_each(|y| *y = to_unit(*y, self.fracs[0]));
            add(y, embedded);
            next.encode(context.backend, y, codes);
        }
        Ok(())
    }

    /// Stores the pair representation as `next` says: the LayerNorm of the one before, which is stored as
    /// `previous` says (zeros in the first pass), the bin of the distance between the virtual CBs of the
    /// structure before (bin 0 in the first pass), and the difference of residue numbers. Rows are computed
    /// in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn pair(
        &self,
        on: &Setting,
        (previous, next): (Option<&StreamFormat>, &StreamFormat),
        geometry: &Geometry,
        pair: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        let Shape { residues, pair: Representation { width, epsilon, .. }, .. } = *shape;
        let Geometry { cbs, residue_index } = *geometry;
        let backend = context.backend;
        context.for_each(pair, shape.pair_row(), scratch, |i, codes, mut scratch| {
            let PairScratch { stream, update, .. } = PairScratch::take(&mut scratch, shape)?;
            for from in (0..residues).step_by(TILE) {
                let rows = TILE.min(residues - from);
                let codes = &mut codes[from * next.code_row..];
                let (stream, update) = (&mut stream[..rows * width], &mut update[..rows * width]);
                stream.fill(0);
                if let Some(previous) = previous {
                    previous.decode(backend, codes, stream);
                }
                self.pair_norm.apply(backend, epsilon, stream, update);
                for (row, y) in update.chunks_exact_mut(width).enumerate() {
                    let j = from + row;
                    y.iter_mut().for_each(|y| *y = to_unit(*y, self.fracs[1]));
                    let bin = if previous.is_some() { distances::bin(cbs[i], cbs[j]) } else { 0 };
                    add(y, row_of(self.distance, bin.into(), width));
                    let place = position(residue_index[i], residue_index[j], self.position_bins);
                    add(y, row_of(self.position, place, width));
                }
                next.encode(backend, update, codes);
            }
            Ok(())
        })
    }
}

fn row_of(table: &[i32], row: usize, width: usize) -> &[i32] {
    table.get(row * width..(row + 1) * width).unwrap_or_default()
}

/// The row of the position's embedding for the pair (i, j): of j - i, clamped to `bins`.
fn position(i: i32, j: i32, bins: usize) -> usize {
    let bins = bins as i64;
    let difference = (i64::from(j) - i64::from(i)).clamp(-bins, bins);
    (difference + bins + 1) as usize
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_are_clamped_and_row_zero_is_for_masked_pairs() {
        assert_eq!([position(0, 1, 32), position(1, 0, 32), position(5, 5, 32)], [34, 32, 33]);
        assert_eq!([position(0, 700, 32), position(700, 0, 32)], [65, 1]);
        assert_eq!([position(i32::MIN, i32::MAX, 4), position(i32::MAX, i32::MIN, 4)], [9, 1]);
    }
}
