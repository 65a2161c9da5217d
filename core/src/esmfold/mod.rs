//! ESMFold: tokens to coordinates and confidence.
//!
//! Reference: `transformers`, `models/esm/modeling_esmfold.py` and `openfold_utils`. One operation, one file: `embedding` mixes the
//! language model's hidden states; `recycling` and `distances` make what a pass starts from; `block` is the trunk's
//! (`pair_bias`, `sequence_attention`, `transition`, `sequence_to_pair`, `triangle_multiplication`, `triangle_attention`,
//! `pair_transition`); [`structure`] makes atoms, [`heads`] say how sure of them the model is. `model` reads the file, `memory` plans
//! and carves the arena, `run` is the pass. What operations share: `rows` (tiles on their way through Linears), `attention_rows`,
//! `transpose`; `scaled_epsilon` is a part of triangle multiplication.

mod attention_rows;
mod block;
mod config;
mod distances;
mod embedding;
pub mod heads;
mod memory;
mod model;
mod pair_bias;
mod pair_transition;
mod recycling;
mod rows;
mod run;
mod scaled_epsilon;
mod sequence_attention;
mod sequence_to_pair;
pub mod structure;
mod transition;
mod transpose;
mod triangle_attention;
mod triangle_multiplication;

pub use config::{
    ATOM_TYPES, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, PAIR_BINS, PLDDT_BINS, RESIDUES, StructureConfig,
    TORSIONS, TWO_LIMBS_MAX,
};
pub use heads::LINKER;
pub use memory::RESIDUES_MAX;
pub use model::{FoldingModel, PAIR_SITES};
pub use run::{Input, RunError, Step, Structure, Want};
