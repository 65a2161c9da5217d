//! OmegaFold (Wu et al. 2022, bioRxiv 2022.07.21.500999): what is its alone.
//!
//! Reference: `HeliXonProtein/OmegaFold`, commit 313c873. `config` is the model's shape; `letters` are those
//! of sequences; `masks` draws the pseudo-MSA; `request` is what is asked and answered. `language_model` is
//! OmegaPLM, and `embedding` makes both representations of what it says. `confidence` says how sure the model
//! is of residues, `choice` of a cycle. `block` is the order of the trunk's operations (`crate::trunk`), of
//! which `geometric_attention` is its own; `sites` are how they store both representations.

#[allow(dead_code, reason = "a run is to use it")]
mod block;
#[allow(dead_code, reason = "a run is to use it")]
mod choice;
#[allow(dead_code, reason = "a run is to use it")]
mod confidence;
mod config;
#[allow(dead_code, reason = "a run is to use it")]
mod embedding;
mod geometric_attention;
#[allow(dead_code, unused_imports, reason = "a run is to use it")]
mod language_model;
mod letters;
mod masks;
mod request;
#[allow(dead_code, reason = "a run is to use it")]
mod sites;

#[cfg(feature = "kernels")]
pub use choice::{Best, Overall};
#[cfg(feature = "kernels")]
pub use confidence::Confidence;
pub use config::{
    CONFIDENCE_BINS, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, MAP_FRAC, MASK, RESIDUES, TRANSITION_FACTOR,
};
pub use letters::residue;
pub use masks::{MASKED_UP_TO, MersenneTwister, PseudoMsa, ROWS, ROWS_MAX};
pub use request::{CYCLES, Event, Request, RunError, Structure};

pub use crate::trunk::representations::Representations;
