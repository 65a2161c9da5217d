//! Operations on a sequence and a pair representation, of no model.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 10 to 15; `openfold`; `transformers`,
//! `EsmFoldTriangularSelfAttentionBlock`. `shape` has their sizes, `memory` and `scratch` what they work in.
//! Each operation reads its weights (`load`) and updates a representation (`run`) whose rows are stored in
//! codes: `sequence_attention` with a bias from `pair_bias`, `sequence_to_pair`, `triangle_multiplication`,
//! `triangle_attention`, `pair_transition`. What works on columns works on the transposed pairs
//! (`transpose`). What reads some pairs and adds to others does so in two halves, `read` and `add`
//! (`addends`). `representations` is what a caller sees of both between two blocks.

pub(crate) mod addends;
pub(crate) mod memory;
pub(crate) mod msa;
mod pair_bias;
pub(crate) mod pair_transition;
pub(crate) mod representations;
mod scaled_epsilon;
pub(crate) mod scratch;
pub(crate) mod sequence_attention;
pub(crate) mod sequence_to_pair;
pub(crate) mod shape;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod transpose;
pub(crate) mod triangle_attention;
pub(crate) mod triangle_multiplication;
