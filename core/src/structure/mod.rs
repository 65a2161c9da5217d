//! The structure module: from the trunk's representations to atoms.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 20 to 24. `run` is the whole; one
//! operation, one file: `pair_rows` (the pair representation, the same in every iteration, and its bias),
//! `invariant_point_attention` with `projections` before it, `transition`, `backbone_update`, `angle_resnet`.
//! `config` is the shape, `memory` what they work in, `names` whose weights an iteration has: those of all,
//! or its own.
//!
//! Each iteration takes two steps over the residues. First every residue's queries, keys, values and points
//! are made; then every residue attends to all of them, and all else up to the frame's update is its own.
//!
//! # Ranges
//! With the bounds of [`Config::check`] and at most 16384 residues no sum leaves 64 bits, whatever the
//! weights:
//!
//! | sum | terms | each at most | sum at most |
//! |---|---|---|---|
//! | query times key | 256 channels | 2^26 * 2^26 | 2^60 |
//! | squared distances | 64 points, 3 axes | (2^25)^2 | 2^57.6 |
//! | softmax's denominator | 2^14 residues | 2^22 | 2^36 |
//! | weighted values | 2^14 residues | 2^22 * 2^26 | 2^62 |
//! | weighted points | 2^14 residues | 2^22 * 2^24 | 2^60 |
//! | weighted pairs | 2^14 residues | 2^22 * 2^15 | 2^51 |

mod angle_resnet;
mod backbone_update;
mod config;
mod invariant_point_attention;
mod memory;
mod names;
mod pair_rows;
mod projections;
mod run;
#[cfg(test)]
mod tests;
mod transition;
mod weights;

#[cfg(test)]
pub(crate) use config::tests::V1;
pub use config::{Config, Representations};
pub use run::{Inputs, Outputs, RunError};
pub use weights::StructureModule;
