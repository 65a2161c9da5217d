//! Rigid motions and the amino acids' atoms, in integers.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 21, 23 and 24 and table 2. Rotations and
//! quaternions are Q1.30; points are i32 in whatever unit the caller has, since no operation but
//! `atom14_positions` knows one.

mod atoms;
mod frame;
mod residue;
mod residue_atoms;
mod rigid;
#[cfg(test)]
mod tests;
mod vector;

pub use atoms::terminal_oxygen;
pub use residue::{ATOM14, Residue};
pub use residue_atoms::{ATOM_NAMES, Atom};

#[cfg(not(feature = "kernels"))]
pub(crate) use motions::*;
#[cfg(feature = "kernels")]
pub use motions::*;

/// What places atoms, which only core and its tests need.
mod motions {
    pub use super::atoms::{TORSIONS, atom14_positions, torsion_frames};
    pub use super::frame::{FRAME_FRAC, Frame};
    #[cfg(feature = "kernels")]
    pub use super::residue::GROUPS;
    pub use super::rigid::Rigid;
    pub use super::vector::{COORDINATE_MAX, ONE, limited, squared_distance};
}
