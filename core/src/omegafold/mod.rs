//! OmegaFold (Wu et al. 2022, bioRxiv 2022.07.21.500999): what is its alone.
//!
//! Reference: `HeliXonProtein/OmegaFold`, commit 313c873. `config` is the model's shape; `masks` draws its
//! pseudo-MSA.

mod config;
mod masks;

pub use config::{
    CONFIDENCE_BINS, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, MAP_FRAC, MASK, RESIDUES, TRANSITION_FACTOR,
};
pub use masks::{MASKED_UP_TO, MersenneTwister, PseudoMsa, ROWS};
