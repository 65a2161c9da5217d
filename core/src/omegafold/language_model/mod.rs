//! OmegaPLM: gated attention units over a sequence and its pseudo-MSA.
//!
//! Rows of the pseudo-MSA are copies of the sequence in which residues are masked. They meet only in the maps
//! of attention: one a layer, which is the sum over the rows and makes the pairs. The masked residues of a row
//! attend to others and are never attended to, so that keys and values are made of those that are kept alone;
//! a row without any attends to all of its residues alike.
//!
//! `weights` is what is in the file, `rows` is what is asked, `shape`, `memory` and `records` are what lies in
//! the arena; `run` is the loop over layers, `embed` and `project`, `transform` with `attend` are its steps,
//! `maps` is how attention is stored. `states` is what the node representation is made of.
//!
//! Residues are cut into blocks. A block has its residues of all rows, so that whoever updates it has all of
//! them at hand that add to a residue's maps.

mod attend;
mod embed;
mod error;
mod maps;
mod memory;
mod pass;
mod project;
mod records;
mod rows;
mod run;
mod shape;
mod states;
mod transform;
mod weights;

#[cfg(test)]
mod tests;

pub(crate) use error::RunError;
pub(crate) use maps::{MapUnit, Maps};
pub(crate) use memory::{Features, Memory};
pub(crate) use rows::Rows;
pub(crate) use shape::Shape;
pub(crate) use states::States;
pub(crate) use weights::LanguageModel;
