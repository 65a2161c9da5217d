//! What the tests across Foldpoint's crates, the benches and the bare-metal example share: models of random
//! weights.

pub mod fixture;
mod layers;
pub mod random;
pub mod random_fold;
pub mod random_model;
pub mod random_omegafold;
