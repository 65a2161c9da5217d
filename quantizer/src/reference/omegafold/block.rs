//! A Geoformer block.

use candle_core::Tensor;

use super::geometric_attention::GeometricAttention;
use super::language_model::Rows;
use super::node_attention::{NodeAttention, Within};
use super::outer_product::OuterProduct;
use super::{Weights, plain};
use crate::checkpoint::{OmegaFold, OmegaFoldConfig};
use crate::reference::esmfold::pair_bias::PairBias;
use crate::reference::esmfold::transition::Transition;
use crate::reference::{ReferenceError, Tap};

/// A Geoformer block.
pub struct Block {
    index: usize,
    pub(super) pair_bias: PairBias,
    pub(super) row_attention: NodeAttention,
    pub(super) column_attention: NodeAttention,
    pub(super) node_transition: Transition,
    pub(super) outer_product: OuterProduct,
    pub(super) geometric: Vec<GeometricAttention>,
    pub(super) pair_transition: Transition,
}

impl Block {
    /// Reads the weights of block `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &OmegaFold, index: usize) -> Result<Self, ReferenceError> {
        let config: &OmegaFoldConfig = checkpoint.config();
        let weights = Weights::new(checkpoint).at(format_args!("omega_fold_cycle.geoformer.blocks.{index}"));
        let rows = weights.at("attention_w_edge_bias");
        let transition = |name: &str| -> Result<Transition, ReferenceError> {
            let weights = weights.at(name);
            let (up, down) = (weights.linear("network.0")?, weights.linear("network.2")?);
            Ok(Transition { norm: plain(up.shape()?.1), up, down })
        };
        let geometric = |layer: usize| {
            GeometricAttention::load(
                &weights.at(format_args!("geometric_attention.{layer}")),
                config.pair_heads,
            )
        };
        let heads = config.node_heads;
        Ok(Self {
            index,
            pair_bias: PairBias { norm: plain(config.pair_width), linear: rows.linear("proj_edge_bias")? },
            row_attention: NodeAttention::load(&rows.at("attention"), heads, Within::Rows)?,
            column_attention: NodeAttention::load(&weights.at("column_attention"), heads, Within::Columns)?,
            node_transition: transition("node_transition")?,
            outer_product: OuterProduct::load(&weights.at("out_product"))?,
            geometric: (0..config.geometric_layers).map(geometric).collect::<Result<_, _>>()?,
            pair_transition: transition("edge_transition")?,
        })
    }

    /// `node`, `[rows * residues, width]`, and `pair`, `[residues * residues, width]`, after this block.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        node: &Tensor,
        pair: &Tensor,
        rows: Rows<'_>,
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let residues = rows.residues.len();
        let mut tap = tap.at(format_args!("trunk.{}", self.index));
        let bias = self.pair_bias.forward(pair, residues, &mut tap.at("pair_bias"))?;
        let y = self.row_attention.forward(node, rows, Some(&bias), &mut tap.at("row_attention"))?;
        let node = (node + y)?;
        let node =
            (&node + self.column_attention.forward(&node, rows, None, &mut tap.at("column_attention"))?)?;
        let node = (&node + self.node_transition.forward(&node, &mut tap.at("node_transition"))?)?;
        let mut pair = (pair + self.outer_product.forward(&node, rows, &mut tap.at("outer_product"))?)?;
        for (index, layer) in self.geometric.iter().enumerate() {
            let tap = &mut tap.at(format_args!("geometric.{index}"));
            pair = layer.forward(&pair, residues, tap)?;
        }
        let pair = (&pair + self.pair_transition.forward(&pair, &mut tap.at("pair_transition"))?)?;
        Ok((node, pair))
    }
}
