//! The float forward pass of OmegaFold.
//!
//! As `omegafold` of `HeliXonProtein/OmegaFold`, in f32, geometry in f64. One operation, one file:
//!
//! - [`language_model`]: OmegaPLM, over the sequence and its pseudo-MSA;
//! - [`embedding`]: what the language model says as node and pair representation, and what a cycle takes from
//!   the one before; [`struct_embedder`] of model 2;
//! - [`block`]: a Geoformer block, made of [`node_attention`], [`outer_product`], [`geometric_attention`] and
//!   the [`pair_bias`](super::esmfold::pair_bias) and [`transition`](super::esmfold::transition) of folding;
//! - [`structure_module`]: ESMFold's operations, with weights of their own for each iteration;
//! - [`confidence`].
//!
//! # Sites
//! `S` is tokens of the sequence and its pseudo-MSA, row by row; `R` is residues, `P` pairs of residues:
//!
//! | site | rows | read by |
//! |---|---|---|
//! | `lm.layers.N.norm`, `.projections`, `.output` | S | normalization; gates, values and the base of queries and keys; values times gates |
//! | `lm.norm` | S | LayerNorm after the last layer |
//! | `fold.embedding.node_norm`, `.node` | S | normalization (unbiased), Linear |
//! | `fold.embedding.pair_norm`, `.pair` | P | the same of attention maps, one channel a layer |
//! | `fold.recycling.node_norm`, `.pair_norm` | R, P | LayerNorms on the cycle before (zeros in cycle 0) |
//! | `fold.trunk.N.pair_bias.norm`, `.linear` | P | normalization; logits' bias |
//! | `fold.trunk.N.row_attention.norm`, `.projections`, `.output` | S | normalization; q, k, v and gate; after the gate |
//! | `fold.trunk.N.column_attention.*` | S, residue by residue | the same |
//! | `fold.trunk.N.node_transition.norm`, `.up`, `.down` | S | normalization and Linears |
//! | `fold.trunk.N.outer_product.norm`, `.projection`, `.weights` | S | normalization; both sides; left sides, 0 where they are masked |
//! | `fold.trunk.N.geometric.G.sum` | P | the sums of the layer one after another: the pairs, then with each of its four parts |
//! | `fold.trunk.N.geometric.G.attention_start.*`, `.attention_end.*` | P | as [`esmfold`](super::esmfold)'s triangle attention |
//! | `fold.trunk.N.geometric.G.product.*`, `.product_turned.*` | P | as its triangle multiplication, outgoing, of the pairs and of the transposed pairs |
//! | `fold.trunk.N.pair_transition.norm`, `.up`, `.down` | P | normalization and Linears |
//! | `fold.structure.*`, `fold.structure.I.*` | R, P | as [`esmfold`](super::esmfold)'s, iteration I with weights of its own |
//! | `fold.confidence.norm`, `.first`, `.second`, `.third` | R | normalization and Linears |

mod batch;
pub mod block;
pub mod confidence;
pub mod embedding;
pub mod geometric_attention;
pub mod language_model;
pub mod modules;
pub mod node_attention;
pub mod outer_product;
mod run;
pub mod struct_embedder;
pub mod structure_module;
mod weights;

pub use batch::{Embedded, FoldRun, FoldState, LanguageRun, LanguageState};
pub use run::{Cycle, OmegaFoldOutputs, OmegaFoldReference, Options};
use weights::Weights;

use super::ops::LayerNorm;

/// Added to every variance.
pub const EPSILON: f64 = 1e-5;

/// Normalization without gain and bias.
fn plain(channels: usize) -> LayerNorm {
    LayerNorm { gain: vec![1.0; channels], bias: vec![0.0; channels], eps: EPSILON }
}

/// The same with a variance that divides by one less than there are channels.
fn plain_unbiased(channels: usize) -> LayerNorm {
    let share = (channels as f64 - 1.0) / channels as f64;
    LayerNorm { gain: vec![share.sqrt() as f32; channels], bias: vec![0.0; channels], eps: EPSILON * share }
}
