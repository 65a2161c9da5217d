//! Rigid motions and the amino acids' atoms, in integers.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 21, 23 and 24 and table 2.

mod residue;
mod residue_atoms;

pub use residue::{ATOM14, GROUPS, Residue};
pub use residue_atoms::{ATOM_NAMES, Atom};
