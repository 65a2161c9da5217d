//! OmegaFold (Wu et al. 2022, bioRxiv 2022.07.21.500999): what is its alone.
//!
//! Reference: `HeliXonProtein/OmegaFold`, commit 313c873. `masks` draws its pseudo-MSA.

mod masks;

pub use masks::{MASKED_UP_TO, MersenneTwister, PseudoMsa, ROWS};
