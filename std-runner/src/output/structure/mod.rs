//! Predicted structures as PDB and mmCIF files.
//!
//! The records are written here, not by `pdbtbx`, which the tests read them back with: that writes numbers
//! and atom names at the left of their columns, has no TITLE, and panics when the disk is full.

mod entity;
mod mmcif;
mod model;
mod pdb;
#[cfg(test)]
mod tests;

pub use mmcif::mmcif;
pub use model::{Atom, Chain, ChainResidue, Method, Model, Provenance, Residue, Scores, chain_name};
pub use pdb::{PdbLimit, fits_pdb, pdb};
