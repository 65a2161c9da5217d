//! What a pass starts from: the embedded sequence, the pass before, and sequence distances.

use candle_core::{DType, Device, Tensor};

use super::distances::distance_bins;
use super::ops::lookup;
use crate::checkpoint::{Checkpoint, FoldConfig};
use crate::reference::ops::LayerNorm;
use crate::reference::{ReferenceError, Tap, Weights};

/// Feeds the result of a pass into the next.
pub struct Recycling {
    /// On the sequence representation of the pass before.
    pub sequence_norm: LayerNorm,
    /// On the pair representation of the pass before.
    pub pair_norm: LayerNorm,
    /// `[15, pair width]`: a row per bin of the distance between two residues in the pass before.
    pub distances: Tensor,
    /// `[2 * bins + 2, pair width]`: row 0 is for masked pairs, row `bins + 1` for distance 0 along the
    /// sequence.
    pub positions: Tensor,
    /// Largest sequence distance with a row of its own.
    pub position_bins: usize,
}

/// The result of a pass.
pub struct Previous {
    /// `[residues, sequence width]`.
    pub sequence: Tensor,
    /// `[residues * residues, pair width]`.
    pub pair: Tensor,
    /// N, CA and C of each residue, in angstroms.
    pub backbone: Vec<[[f64; 3]; 3]>,
}

impl Recycling {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, config: &FoldConfig) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("fold.recycling");
        Ok(Self {
            sequence_norm: weights.norm("sequence_norm")?,
            pair_norm: weights.norm("pair_norm")?,
            distances: weights.tensor("distance")?,
            positions: weights.tensor("position")?,
            position_bins: config.position_bins,
        })
    }

    /// The sequence and pair representation that a pass starts from: `[residues, sequence width]` and
    /// `[residues * residues, pair width]`. In the first pass, without a `previous` one, the LayerNorms read
    /// zeros and all distances are in bin 0. `residue_index` numbers the residues along the sequence.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        embedded: &Tensor,
        previous: Option<&Previous>,
        residue_index: &[i64],
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let mut tap = tap.at("recycling");
        let residues = residue_index.len();
        let positions = lookup(&self.positions, &position_rows(residue_index, self.position_bins))?;
        let (sequence, pair, bins) = match previous {
            Some(previous) => {
                (previous.sequence.clone(), previous.pair.clone(), distance_bins(&previous.backbone))
            }
            None => (
                embedded.zeros_like()?,
                Tensor::zeros((residues * residues, self.pair_norm.gain.len()), DType::F32, &Device::Cpu)?,
                vec![0; residues * residues],
            ),
        };
        tap.show("sequence_norm", &sequence)?;
        tap.show("pair_norm", &pair)?;
        let sequence = (embedded + self.sequence_norm.forward(&sequence)?)?;
        let pair = ((self.pair_norm.forward(&pair)? + lookup(&self.distances, &bins)?)? + positions)?;
        Ok((sequence, pair))
    }
}

/// The row of the position embedding for each pair (i, j): of j - i, clamped to `bins`.
fn position_rows(residue_index: &[i64], bins: usize) -> Vec<u32> {
    let bins = bins as i64;
    let row = |i: i64, j: i64| (j.saturating_sub(i).clamp(-bins, bins) + bins + 1) as u32;
    residue_index.iter().flat_map(|&i| residue_index.iter().map(move |&j| row(i, j))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_clamped_and_row_zero_is_for_masked_pairs() {
        assert_eq!(position_rows(&[0, 1, 700], 32), [33, 34, 65, 32, 33, 65, 1, 1, 33]);
        assert_eq!(position_rows(&[i64::MIN, i64::MAX], 4), [5, 9, 1, 5]);
    }
}
