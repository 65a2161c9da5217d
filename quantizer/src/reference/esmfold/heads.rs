//! What the model thinks of its structure.

use candle_core::Tensor;

use super::aligned_error::AlignedError;
use crate::checkpoint::Checkpoint;
use crate::reference::elementwise::softmax_last;
use crate::reference::ops::{LayerNorm, Linear, to_vec, with_values};
use crate::reference::{ReferenceError, Tap, Weights};
use crate::table::{PAIR_BINS, PLDDT_BINS};

/// The heads on the structure module's state and on the pair representation.
pub struct Heads {
    /// On the structure module's state.
    pub plddt_norm: LayerNorm,
    /// `[hidden, width]`, `[hidden, hidden]` and `[37 * 50, hidden]`, one after the other with nothing
    /// between them.
    pub plddt: [Linear; 3],
    /// `[64, pair width]`: logits of the distance between two residues.
    pub distogram: Linear,
    /// `[64, pair width]`: logits of the error of a residue when another is aligned.
    pub aligned_error: Linear,
}

impl Heads {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("fold.heads");
        Ok(Self {
            plddt_norm: weights.norm("plddt.norm")?,
            plddt: weights.linears("plddt.linear")?,
            distogram: weights.linear("distogram")?,
            aligned_error: weights.linear("aligned_error")?,
        })
    }

    /// pLDDT of every atom, 0 to 1, in the `atom37` layout: `[residues, 37]`. The value of a residue is that
    /// of its CA, at
    /// 1. `state` is `[residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn plddt(&self, state: &Tensor, tap: &mut Tap<'_>) -> Result<Vec<f32>, ReferenceError> {
        let mut tap = tap.at("heads.plddt");
        tap.show("norm", state)?;
        let mut y = self.plddt_norm.forward(state)?;
        tap.show("linear", &y)?;
        for linear in &self.plddt {
            y = linear.forward(&y)?;
        }
        let shares = softmax_last(y.reshape(((), PLDDT_BINS))?)?;
        let center = |bin: usize| (bin as f64 + 0.5) / PLDDT_BINS as f64;
        with_values(&shares, |values| {
            let mean = |shares: &[f32]| {
                shares.iter().enumerate().map(|(bin, &share)| center(bin) * f64::from(share)).sum::<f64>()
                    as f32
            };
            values.chunks_exact(PLDDT_BINS).map(mean).collect()
        })
    }

    /// Logits of the distance between two residues, `[residues * residues, 64]`, the same for (i, j) and (j,
    /// i), and the predicted aligned error. `pair` is `[residues * residues, pair width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn pair(
        &self,
        pair: &Tensor,
        residues: usize,
        tap: &mut Tap<'_>,
    ) -> Result<(Vec<f32>, AlignedError), ReferenceError> {
        tap.at("heads").show("pair", pair)?;
        let distogram = self.distogram.forward(pair)?.reshape((residues, residues, PAIR_BINS))?;
        let distogram = (&distogram + distogram.transpose(0, 1)?)?.affine(0.5, 0.0)?;
        let error = AlignedError::from_logits(to_vec(&self.aligned_error.forward(pair)?)?, residues);
        Ok((to_vec(&distogram)?, error))
    }
}
