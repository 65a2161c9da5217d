//! How good predictions are: against experimental structures and against the float reference.

pub mod bootstrap;
pub mod fold;
pub mod lddt;
pub mod precision;
pub mod reference;
pub mod rmsd;
pub mod similarity;
pub mod structure;
pub mod target;
pub mod tm_align;
