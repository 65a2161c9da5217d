//! ESMFold: tokens to coordinates and confidence.

mod config;

pub use config::{
    ATOM_TYPES, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, PAIR_BINS, PLDDT_BINS, RESIDUES, StructureConfig,
    TORSIONS, TWO_LIMBS_MAX,
};
