//! What a cycle starts from: the language model's features, the residues and their offsets, and the cycle
//! before.

use candle_core::{Device, Tensor};

use super::language_model::Features;
use super::struct_embedder::StructEmbedder;
use super::{Weights, plain_unbiased};
use crate::checkpoint::OmegaFold;
use crate::reference::esmfold::ops::lookup;
use crate::reference::esmfold::residues::{ATOM14, GROUPS, Residue};
use crate::reference::esmfold::rigid::{Rigid, minus, squared_norm};
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap};

/// Places of CA and CB among a residue's atoms.
pub(super) const CA: usize = 1;
const CB: usize = 4;

/// Glycine among the residues.
const GLYCINE: usize = 7;

/// Turns features into the node and the pair representation.
pub struct Embedding {
    pub(super) node_norm: LayerNorm,
    pub(super) node: Linear,
    pub(super) pair_norm: LayerNorm,
    pub(super) pair: Linear,
    /// `[21, pair width]`: the residue of a pair's row.
    pub(super) first: Tensor,
    /// `[21, pair width]`: the residue of its column.
    pub(super) second: Tensor,
    /// `[offsets, pair width]`: from row to column, from the lowest on.
    pub(super) offsets: Tensor,
}

impl Embedding {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &OmegaFold) -> Result<Self, ReferenceError> {
        let (weights, config) = (Weights::new(checkpoint), checkpoint.config());
        Ok(Self {
            node_norm: plain_unbiased(config.width),
            node: weights.linear("plm_node_embedder")?,
            pair_norm: plain_unbiased(config.layers),
            pair: weights.linear("plm_edge_embedder")?,
            first: weights.tensor("input_embedder.proj_i.weight")?,
            second: weights.tensor("input_embedder.proj_j.weight")?,
            offsets: weights.tensor("input_embedder.relpos.weight")?,
        })
    }

    /// `[rows * residues, node width]` and `[residues * residues, pair width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        features: &Features,
        residues: &[Residue],
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let mut tap = tap.at("embedding");
        tap.show("node_norm", &features.node)?;
        let node = self.node_norm.forward(&features.node)?;
        tap.show("node", &node)?;
        tap.show("pair_norm", &features.maps)?;
        let pair = self.pair_norm.forward(&features.maps)?;
        tap.show("pair", &pair)?;
        let farthest = (self.offsets.dims2()?.0 / 2) as i64;
        let numbers = |number: &dyn Fn(usize, usize) -> u32| -> Vec<u32> {
            let count = residues.len();
            (0..count).flat_map(|i| (0..count).map(move |j| (i, j))).map(|(i, j)| number(i, j)).collect()
        };
        let first = lookup(&self.first, &numbers(&|i, _| residues[i].index() as u32))?;
        let second = lookup(&self.second, &numbers(&|_, j| residues[j].index() as u32))?;
        let offset = |i: usize, j: usize| (j as i64 - i as i64).clamp(-farthest, farthest) + farthest;
        let offsets = lookup(&self.offsets, &numbers(&|i, j| offset(i, j) as u32))?;
        Ok((self.node.forward(&node)?, (((self.pair.forward(&pair)? + first)? + second)? + offsets)?))
    }
}

/// The result of a cycle.
pub struct Previous {
    /// The node representation of the sequence itself, `[residues, node width]`.
    pub node: Tensor,
    /// `[residues * residues, pair width]`.
    pub pair: Tensor,
    /// Atoms of each residue, in angstroms.
    pub atoms: Vec<[[f64; 3]; ATOM14]>,
    /// Frames of each residue's rigid groups, in angstroms.
    pub groups: Vec<[Rigid; GROUPS]>,
}

impl Previous {
    /// What the first cycle starts from.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn none(residues: usize, node_width: usize, pair_width: usize) -> Result<Self, ReferenceError> {
        let zeros = |rows, width| Tensor::zeros((rows, width), candle_core::DType::F32, &Device::Cpu);
        let identity = Rigid::turn_around_x([0.0, 1.0]);
        Ok(Self {
            node: zeros(residues, node_width)?,
            pair: zeros(residues * residues, pair_width)?,
            atoms: vec![[[0.0; 3]; ATOM14]; residues],
            groups: vec![[identity; GROUPS]; residues],
        })
    }
}

/// Feeds the result of a cycle into the next.
pub struct Recycling {
    pub(super) node_norm: LayerNorm,
    pub(super) pair_norm: LayerNorm,
    /// `[bins, pair width]`.
    pub(super) distances: Tensor,
    /// Of model 2.
    embedder: Option<StructEmbedder>,
}

impl Recycling {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &OmegaFold) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("recycle_embedder");
        let embedder =
            checkpoint.config().embedder_width.map(|_| StructEmbedder::load(&weights.at("embed_struct")));
        Ok(Self {
            node_norm: weights.norm("layernorm_node")?,
            pair_norm: weights.norm("layernorm_edge")?,
            distances: weights.tensor("prev_pos_embed.weight")?,
            embedder: embedder.transpose()?,
        })
    }

    /// `node`, of whose rows only the sequence itself takes part, and `pair` with the cycle before in them.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        node: &Tensor,
        pair: &Tensor,
        previous: &Previous,
        residues: &[Residue],
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let mut tap = tap.at("recycling");
        let (count, (tokens, _)) = (residues.len(), node.dims2()?);
        tap.show("node_norm", &previous.node)?;
        tap.show("pair_norm", &previous.pair)?;
        let sequence = (node.narrow(0, 0, count)? + self.node_norm.forward(&previous.node)?)?;
        let node = Tensor::cat(&[sequence, node.narrow(0, count, tokens - count)?], 0)?;
        let bins = distance_bins(&previous.atoms, residues, self.distances.dims2()?.0);
        let pair = (pair + lookup(&self.distances, &bins)?)?;
        let mut pair = (pair + self.pair_norm.forward(&previous.pair)?)?;
        if let Some(embedder) = &self.embedder {
            pair = (pair + embedder.forward(previous, residues)?)?;
        }
        Ok((node, pair))
    }
}

/// The bin of the distance between the CBs of each pair (CA of glycine and X): how many of the breaks 3.25,
/// 4.5, 5.75 ... angstroms are shorter.
fn distance_bins(atoms: &[[[f64; 3]; ATOM14]], residues: &[Residue], bins: usize) -> Vec<u32> {
    let breaks: Vec<f64> = (1..bins).map(|k| (3.25 + 1.25 * (k as f64 - 1.0)).powi(2)).collect();
    let has_cb = |residue: Residue| residue != Residue::X && residue.index() != GLYCINE;
    let at = |(atoms, &residue): (&[[f64; 3]; ATOM14], _)| atoms[if has_cb(residue) { CB } else { CA }];
    let cbs: Vec<[f64; 3]> = atoms.iter().zip(residues).map(at).collect();
    let bin = |a: [f64; 3], b: [f64; 3]| {
        let distance = squared_norm(minus(a, b));
        breaks.iter().filter(|&&edge| distance > edge).count() as u32
    };
    cbs.iter().flat_map(|&a| cbs.iter().map(move |&b| (a, b))).map(|(a, b)| bin(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glycine_is_where_it_is_taken_for() {
        assert_eq!(Residue::from_index(GLYCINE).unwrap().name(), "GLY");
    }

    #[test]
    fn bins_count_the_breaks_that_are_shorter() {
        let alanine = Residue::from_index(0).unwrap();
        let at = |x: f64| {
            let mut atoms = [[0.0; 3]; ATOM14];
            (atoms[CB], atoms[CA]) = ([x, 0.0, 0.0], [100.0, 0.0, 0.0]);
            atoms
        };
        let atoms = [at(0.0), at(3.3), at(4.4), at(21.0)];
        assert_eq!(distance_bins(&atoms, &[alanine; 4], 16)[..4], [0, 1, 1, 15]);
        // X and glycine count by their CAs.
        assert_eq!(distance_bins(&atoms, &[Residue::X; 4], 16), [0; 16]);
    }
}
