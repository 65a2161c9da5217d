//! From the language model's hidden states to the first sequence representation.

use candle_core::{Device, Tensor};

use super::hidden_sum::HiddenSum;
use super::ops::lookup;
use super::residues::Residue;
use crate::checkpoint::Checkpoint;
use crate::reference::ops::{LayerNorm, Linear, with_values};
use crate::reference::{Observer, Outputs, Reference, ReferenceError, Tap, Want, Weights};

/// Mixes the hidden states and embeds the residues.
pub struct Embedding {
    /// Share of each hidden state, 0 being the embedding and the last what comes out of the final LayerNorm;
    /// they sum to 1.
    pub shares: Vec<f64>,
    /// On the mix.
    pub norm: LayerNorm,
    /// `[sequence width, language model width]`, before ReLU.
    pub up: Linear,
    /// `[sequence width, sequence width]`.
    pub down: Linear,
    /// `[23, sequence width]`: a row per residue type, in AlphaFold's order (A, R, N, ..., V, X).
    pub residues: Tensor,
}

impl Embedding {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("fold.embedding");
        let [combine] = weights.values("mix")?;
        Ok(Self {
            shares: softmax(&combine),
            norm: weights.norm("norm")?,
            up: weights.linear("up")?,
            down: weights.linear("down")?,
            residues: weights.tensor("residue")?,
        })
    }

    /// Runs the language model over `sequences`, `<cls>` and `<eos>` included, and mixes the hidden states of
    /// each: `[residues, language model width]`. The states are summed layer by layer, so that none has to be
    /// kept.
    ///
    /// # Errors
    /// As [`Reference::run_batch`].
    pub fn mix<S: AsRef<[u8]>>(
        &self,
        reference: &Reference,
        sequences: &[S],
        want: Want,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<Outputs>, Vec<Tensor>), ReferenceError> {
        let width = reference.checkpoint().config().width;
        let (last_share, weights) = self.shares.split_last().map_or((0.0, &[][..]), |(l, w)| (*l, w));
        let (sums, last) = (vec![Vec::new(); sequences.len()], vec![Vec::new(); sequences.len()]);
        let mut states = HiddenSum { observer, weights, sums, last };
        let outputs = reference.run_batch(sequences, want, &mut states)?;
        let mut mixes = Vec::with_capacity(sequences.len());
        for (mut sum, last) in states.sums.into_iter().zip(states.last) {
            let tokens = sum.len() / width;
            let hidden = reference.norm().forward(&Tensor::from_vec(last, (tokens, width), &Device::Cpu)?)?;
            with_values(&hidden, |values| {
                sum.iter_mut().zip(values).for_each(|(s, &v)| *s += last_share * f64::from(v));
            })?;
            let inside = sum[width..sum.len() - width].iter().map(|&v| v as f32).collect();
            mixes.push(Tensor::from_vec(inside, (tokens - 2, width), &Device::Cpu)?);
        }
        Ok((outputs, mixes))
    }

    /// The sequence representation, `[residues, sequence width]`, from a mix of hidden states.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        mix: &Tensor,
        residues: &[Residue],
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        let mut tap = tap.at("embedding");
        tap.show("norm", mix)?;
        let y = self.norm.forward(mix)?;
        tap.show("up", &y)?;
        let y = self.up.forward(&y)?.relu()?;
        tap.show("down", &y)?;
        let rows: Vec<u32> = residues.iter().map(|residue| residue.index() as u32).collect();
        Ok((self.down.forward(&y)? + lookup(&self.residues, &rows)?)?)
    }
}

/// The shares that `logits` stand for: positive, and 1 in all.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&v| f64::from(v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
