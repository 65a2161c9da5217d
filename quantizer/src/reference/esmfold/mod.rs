//! The float forward pass of ESMFold.
//!
//! As `EsmForProteinFolding` of HuggingFace `transformers` (`models/esm/modeling_esmfold.py` and
//! `openfold_utils`), in f32, geometry in f64. A model that keeps its language model in half precision
//! (`fp16_esm`) runs in f32 here too. One operation, one file:
//!
//! - [`embedding`]: hidden states of the language model to the sequence representation;
//! - [`recycling`], [`distances`]: what a pass starts from;
//! - [`block`]: a trunk block, made of [`pair_bias`], [`sequence_attention`], [`transition`],
//!   [`sequence_to_pair`], [`triangle_multiplication`] and [`triangle_attention`];
//! - [`structure_module`], made of [`invariant_point_attention`], [`structure_transition`],
//!   [`backbone_update`], [`angle_resnet`], and without weights [`rigid`], [`residues`] and [`atoms`];
//! - [`heads`], [`aligned_error`]: pLDDT, distogram, predicted aligned error, pTM.
//!
//! # Sites
//! A [`Site`](super::Site) is named after the weights that read it: the operation, then `norm` for the input
//! of its LayerNorm, or its Linear's name for the input of that Linear. Linears that read the same values
//! share a site, named in the plural or after the first. `R` is residues, `P` is pairs of residues (residues
//! squared), rows in each case:
//!
//! | site below `fold.` | rows | read by |
//! |---|---|---|
//! | `embedding.norm` | R | LayerNorm on the mix of hidden states |
//! | `embedding.up`, `embedding.down` | R | the two Linears, the second after ReLU |
//! | `recycling.sequence_norm`, `recycling.pair_norm` | R, P | LayerNorms on the pass before (zeros in pass 0) |
//! | `trunk.N.pair_bias.norm`, `.linear` | P | LayerNorm on the pair representation as it enters block N; logits' bias |
//! | `trunk.N.sequence_attention.norm`, `.projections`, `.output` | R | LayerNorm; q, k, v and gate; after the gate |
//! | `trunk.N.sequence_transition.norm`, `.up`, `.down` | R | LayerNorm and Linears |
//! | `trunk.N.sequence_to_pair.norm`, `.projection` | R | LayerNorm; q and k |
//! | `trunk.N.sequence_to_pair.output` | P | products, then differences |
//! | `trunk.N.triangle_multiplication_out.norm_in`, `.projections` | P | LayerNorm; a, b and all gates |
//! | `….a`, `….b` | P | operands of the triangle product, gated |
//! | `….norm_out`, `….output` | P | LayerNorm on the product; last Linear |
//! | `trunk.N.triangle_multiplication_in.*` | P | the same |
//! | `trunk.N.triangle_attention_start.norm`, `.projections`, `.output` | P | LayerNorm; q, k, v, gate and bias; after the gate |
//! | `trunk.N.triangle_attention_end.*` | P | the same, with pair (i, j) in row (j, i) |
//! | `trunk.N.pair_transition.norm`, `.up`, `.down` | P | LayerNorm and Linears |
//! | `structure.sequence_input`, `structure.pair_input` | R, P | Linears on the trunk's representations |
//! | `structure.sequence_norm`, `structure.pair_norm` | R, P | LayerNorms after them |
//! | `structure.initial` | R | Linear before the first iteration |
//! | `structure.attention.projections`, `.pair_bias`, `.output` | R, P, R | all of q, k, v and points; pairs; the concatenation |
//! | `structure.attention_norm` | R | LayerNorm after attention |
//! | `structure.transition.L.first`, `.second`, `.third` | R | Linears of layer L |
//! | `structure.transition.norm` | R | LayerNorm after them |
//! | `structure.backbone_update.linear` | R | Linear |
//! | `structure.angle_resnet.input`, `.initial`, `.B.first`, `.B.second`, `.output` | R | Linears, after ReLU |
//! | `heads.plddt.norm`, `.linear` | R | LayerNorm; the first of three Linears |
//! | `heads.pair` | P | distogram and aligned error |
//!
//! So the representations after block N are what `trunk.N+1.sequence_attention.norm` and
//! `trunk.N+1.pair_bias.norm` see, or after the last block `structure.sequence_input` and
//! `structure.pair_input`.

pub mod aligned_error;
pub mod angle_resnet;
pub mod atoms;
pub mod backbone_update;
pub mod block;
pub mod distances;
pub mod embedding;
pub mod heads;
mod hidden_sum;
pub mod invariant_point_attention;
pub(super) mod ops;
pub mod pair_bias;
pub mod recycling;
pub mod residues;
pub mod rigid;
mod run;
pub mod sequence_attention;
pub mod sequence_to_pair;
pub mod structure_module;
pub mod structure_transition;
pub mod transition;
pub mod triangle_attention;
pub mod triangle_multiplication;

pub use run::{Fold, FoldOutputs, FoldReference, FoldRun, FoldState, FoldWant};
