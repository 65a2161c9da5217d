//! Rigid motions and the amino acids' atoms, in integers.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 21, 23 and 24 and table 2. Rotations and quaternions are
//! Q1.30; points are i32 in whatever unit the caller has, since no operation but [`atom14_positions`] knows one.

mod atoms;
mod frame;
mod residue;
mod residue_atoms;
mod rigid;
#[cfg(test)]
mod tests;
pub mod vector;

pub use atoms::{TORSIONS, atom14_positions, default_frames, terminal_oxygen, torsion_frames};
pub use frame::{FRAME_FRAC, Frame, Quaternion, TRANSLATION_MAX};
pub use residue::{ATOM14, GROUPS, Residue};
pub use residue_atoms::{ATOM_NAMES, Atom};
pub use rigid::{Rigid, Rotation};
pub use vector::ONE;
