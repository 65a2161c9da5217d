//! The structure embedder of model 2: distances between all atoms of two residues, and the atoms of one in
//! the frames of the other.

use candle_core::{Device, Tensor};

use super::Weights;
use super::embedding::Previous;
use crate::reference::ReferenceError;
use crate::reference::esmfold::residues::Residue;
use crate::reference::esmfold::rigid::{minus, squared_norm};
use crate::reference::ops::{Linear, to_vec};

/// The softness of bins: how much the squared distance to a centre, in steps, takes off.
const STEEPNESS: f64 = 12.5;

/// Soft bins: from the lowest to the highest value in steps, one more on each side.
struct Bins {
    lowest: f64,
    highest: f64,
    count: usize,
    /// `[width, count]`.
    embedding: Linear,
    /// From the embedded values of a pair: `[width, values * width]`.
    output: Linear,
}

/// The structure embedder.
pub struct StructEmbedder {
    rough: Bins,
    distances: Bins,
    positions: Bins,
    /// `[21 * 21, width]`: the two residues of a pair.
    residues: Vec<f32>,
    /// `[width * width, pair width]`, of products.
    product: Linear,
    width: usize,
}

impl StructEmbedder {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        let bins = |embedding: &str, output: &str, lowest, highest| -> Result<Bins, ReferenceError> {
            let (embedding, output) = (weights.linear(embedding)?, weights.linear(output)?);
            Ok(Bins { lowest, highest, count: embedding.shape()?.1, embedding, output })
        };
        let weight = weights.tensor("linear_z_weights")?;
        let (width, _, pair) = weight.dims3()?;
        let weight = weight.reshape((width * width, pair))?.t()?.contiguous()?;
        Ok(Self {
            rough: bins("rough_dist_bin_embedding", "rough_dist_bin_linear", 3.25, 20.75)?,
            distances: bins("dist_bin_embedding", "dist_bin_linear", 2.0, 65.0)?,
            positions: bins("pos_bin_embedding", "pos_linear", -32.0, 32.0)?,
            residues: weights.values("aa_embedding.weight")?,
            product: Linear { weight, bias: weights.tensor("linear_z_bias")? },
            width,
        })
    }

    /// What is added to the pairs: `[residues * residues, pair width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, previous: &Previous, residues: &[Residue]) -> Result<Tensor, ReferenceError> {
        let mut pairs = Vec::with_capacity(residues.len());
        for i in 0..residues.len() {
            pairs.push(self.row(i, previous, residues)?);
        }
        Ok(Tensor::cat(&pairs, 0)?)
    }

    /// The pairs of residue `i` with each: `[residues, pair width]`.
    fn row(&self, i: usize, previous: &Previous, residues: &[Residue]) -> Result<Tensor, ReferenceError> {
        let exists = |residue: Residue, atom: usize| atom < residue.atoms().len();
        let (mut distances, mut both) = (Vec::new(), Vec::new());
        let (mut positions, mut there) = (Vec::new(), Vec::new());
        for (atoms, &residue) in previous.atoms.iter().zip(residues) {
            for (a, &first) in previous.atoms[i].iter().enumerate() {
                for (b, &second) in atoms.iter().enumerate() {
                    distances.push(squared_norm(minus(second, first)).sqrt());
                    both.push(exists(residues[i], a) && exists(residue, b));
                }
            }
            for frame in &previous.groups[i] {
                for (b, &atom) in atoms.iter().enumerate() {
                    positions.extend(frame.invert_apply(atom));
                    there.extend([exists(residue, b); 3]);
                }
            }
        }
        let count = residues.len();
        let sum = (self.rough.embed(&distances, &both, count)?
            + self.distances.embed(&distances, &both, count)?)?;
        let sum = to_vec(&(sum + self.positions.embed(&positions, &there, count)?)?)?;
        let mut products = Vec::with_capacity(count * self.width * self.width);
        for (values, residue) in sum.chunks_exact(self.width).zip(residues) {
            let pair = residues[i].index() * (Residue::X.index() + 1) + residue.index();
            let types = self.residues.chunks_exact(self.width).nth(pair).unwrap_or_default();
            products.extend(types.iter().flat_map(|t| values.iter().map(move |v| t * v)));
        }
        self.product.forward(&Tensor::from_vec(products, (count, self.width * self.width), &Device::Cpu)?)
    }
}

impl Bins {
    /// `[pairs, width]` from the values of each pair, of which those that aren't there count nothing.
    fn embed(&self, values: &[f64], there: &[bool], pairs: usize) -> Result<Tensor, ReferenceError> {
        let step = (self.highest - self.lowest) / (self.count as f64 - 2.0);
        let centre = |bin: usize| self.lowest - step / 2.0 + step * bin as f64;
        let mut shares = Vec::with_capacity(values.len() * self.count);
        for value in values {
            let logits: Vec<f64> =
                (0..self.count).map(|bin| -STEEPNESS * ((value - centre(bin)) / step).powi(2)).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            shares.extend(powers.iter().map(|power| (power / sum) as f32));
        }
        let shares = Tensor::from_vec(shares, (values.len(), self.count), &Device::Cpu)?;
        let mask: Vec<f32> = there.iter().map(|&there| f32::from(u8::from(there))).collect();
        let mask = Tensor::from_vec(mask, (values.len(), 1), &Device::Cpu)?;
        let embedded = self.embedding.forward(&shares)?.broadcast_mul(&mask)?;
        self.output.forward(&embedded.reshape((pairs, ()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::esmfold::residues::ATOM14;

    #[test]
    fn atoms_that_a_residue_has_come_first() {
        // `exists` counts on it.
        let glycine = Residue::from_index(7).unwrap();
        assert_eq!((glycine.atoms().len(), Residue::X.atoms().len()), (4, 0));
        assert!((0..).map_while(Residue::from_index).all(|residue| residue.atoms().len() <= ATOM14));
    }
}
