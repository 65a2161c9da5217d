//! What a pass through the trunk starts from: the embedded sequence and positions, and the pass before.

use super::config::{Config, DISTANCE_BINS};
use super::distances;
use super::memory::{Dims, PairScratch};
use super::rows::{Stored, TILE, to_unit};
use super::run::Pass;
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile};
use crate::kernels::scalar::activation::add;
use crate::quant::STREAM_MAX;

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Recycling<'a> {
    sequence_norm: Norm<'a>,
    pair_norm: Norm<'a>,
    /// `[15, pair_width]`, pair units.
    distance: &'a [i32],
    /// `[2 * position_bins + 2, pair_width]`, pair units; row 0, for masked pairs, is never used.
    position: &'a [i32],
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
        Ok(Self {
            sequence_norm: Norm::load(file, "fold.recycling.sequence_norm", config.sequence_width)?,
            pair_norm: Norm::load(file, "fold.recycling.pair_norm", config.pair_width)?,
            distance: table("fold.recycling.distance", DISTANCE_BINS)?,
            position: table("fold.recycling.position", config.positions())?,
        })
    }

    /// Stores the sequence representation at `next`: the embedded one and the LayerNorm of the one before, stored at `previous`
    /// (zeros in the first pass). `scratch` holds two rows.
    pub fn sequence(
        &self,
        pass: &Pass,
        previous: Option<&Stored>,
        next: &Stored,
        embedded: &[i32],
        sequence: &mut [u8],
        scratch: &mut [i32],
    ) {
        let config = &pass.dims.config;
        let width = config.sequence_width;
        let Some((x, y)) = scratch.split_at_mut_checked(width) else { return };
        let Some(y) = y.get_mut(..width) else { return };
        for (embedded, codes) in embedded.chunks_exact(width).zip(sequence.chunks_exact_mut(next.code_row)) {
            x.fill(0);
            if let Some(previous) = previous {
                previous.decode(pass.backend, codes, x);
            }
            self.sequence_norm.apply(pass.backend, config.epsilon_sequence, x, y);
            y.iter_mut().for_each(|y| *y = to_unit(*y, config.sequence_frac));
            add(y, embedded);
            next.encode(pass.backend, y, codes);
        }
    }

    /// Stores the pair representation at `next`: the LayerNorm of the one before, stored at `previous` (zeros in the first
    /// pass), the bin of the distance between the virtual CBs of the structure before (bin 0 in the first pass), and the difference of
    /// residue numbers. Rows are computed in parallel.
    #[expect(clippy::too_many_arguments, reason = "an operation's inputs and outputs")]
    pub fn pair(
        &self,
        pass: &Pass,
        previous: Option<&Stored>,
        next: &Stored,
        cbs: &[[i32; 3]],
        residue_index: &[i32],
        pair: &mut [u8],
        scratch: &mut [u8],
        executor: &dyn Executor,
    ) {
        let dims = &pass.dims;
        let Dims { residues, config, .. } = *dims;
        let width = config.pair_width;
        executor.for_each(pair, dims.pair_rows(), scratch, &|i, codes, scratch| {
            let Ok(PairScratch { stream, update, .. }) = PairScratch::carve(dims, scratch) else { return };
            for from in (0..residues).step_by(TILE) {
                let rows = TILE.min(residues - from);
                let codes = &mut codes[from * next.code_row..];
                let (stream, update) = (&mut stream[..rows * width], &mut update[..rows * width]);
                stream.fill(0);
                if let Some(previous) = previous {
                    previous.decode(pass.backend, codes, stream);
                }
                let pairs = stream.chunks_exact(width).zip(update.chunks_exact_mut(width));
                for (row, (x, y)) in pairs.enumerate() {
                    let j = from + row;
                    self.pair_norm.apply(pass.backend, config.epsilon_pair, x, y);
                    y.iter_mut().for_each(|y| *y = to_unit(*y, config.pair_frac));
                    let bin = if previous.is_some() { distances::bin(cbs[i], cbs[j]) } else { 0 };
                    add(y, row_of(self.distance, bin.into(), width));
                    let place = position(residue_index[i], residue_index[j], config.position_bins);
                    add(y, row_of(self.position, place, width));
                }
                next.encode(pass.backend, update, codes);
            }
        });
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
