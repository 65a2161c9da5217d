//! How good predictions are: against experimental structures and against the float reference.

pub mod align;
pub mod bootstrap;
pub mod files;
pub mod fold;
pub mod lddt;
pub mod precision;
pub mod reference;
pub mod rmsd;
pub mod similarity;
pub mod structure;
pub mod target;
pub mod tm_align;
