//! OmegaFold (Wu et al. 2022, bioRxiv 2022.07.21.500999): residues to coordinates and confidence.
//!
//! Reference: `HeliXonProtein/OmegaFold`, commit 313c873. `letters` are those of sequences, `config` and
//! `model` read the file; `request` is what is asked and answered; `masks` draws the pseudo-MSA and
//! `language_model` reads it; `embedding`, `recycling` and `distances` make what a cycle starts from; `block`
//! is the order of the trunk's operations (`crate::trunk`), with `geometric_attention` its own, `sites` how
//! they store both representations; `confidence` says how sure the model is of residues, `choice` of a cycle;
//! `memory` plans and carves the arena; `cycle` is the steps, `run` the run. Atoms are made by
//! `crate::structure`.

mod block;
mod choice;
mod confidence;
mod config;
mod cycle;
mod distances;
mod embedding;
mod geometric_attention;
mod language_model;
mod letters;
mod masks;
mod memory;
mod model;
mod recycling;
mod request;
mod run;
mod sites;
#[cfg(test)]
mod tests;

#[cfg(feature = "kernels")]
pub use choice::{Best, Overall};
#[cfg(feature = "kernels")]
pub use confidence::Confidence;
pub use config::{
    CONFIDENCE_BINS, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, MAP_FRAC, MASK, RESIDUES, TRANSITION_FACTOR,
};
pub use letters::residue;
pub use masks::{MASKED_UP_TO, MersenneTwister, PseudoMsa, ROWS, ROWS_MAX};
pub use memory::RESIDUES_MAX;
pub use model::FoldingModel;
pub use request::{CYCLES, Event, Hook, Request, RunError, Structure};
pub use sites::{NODE_SITES, pair_sites};

pub use crate::trunk::representations::Representations;
