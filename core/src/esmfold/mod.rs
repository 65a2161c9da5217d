//! ESMFold: tokens to coordinates and confidence.
//!
//! Reference: `transformers`, `models/esm/modeling_esmfold.py` and `openfold_utils`. What is ESMFold's alone
//! lies here: `config` and `model` read the file; `request` is what is asked and answered; `embedding` mixes
//! the language model's hidden states; `recycling` and `distances` make what a pass starts from; `block` is
//! the order of the trunk's operations (`crate::trunk`); `memory` plans and carves the arena; `run` is the
//! run. Atoms are made by `crate::structure`, `crate::heads` say how sure of them the model is.

mod block;
mod config;
mod distances;
mod embedding;
mod memory;
mod model;
mod recycling;
mod request;
mod run;

pub use crate::trunk::representations::Representations;
pub use block::PAIR_SITES;
pub use config::{CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, RESIDUES};
pub use memory::RESIDUES_MAX;
pub use model::FoldingModel;
pub use request::{Input, Request, RunError, Step, Structure};
pub use run::{Hook, Watch};

pub use crate::heads::ATOM_TYPES;
pub use crate::structure::Config as StructureConfig;
