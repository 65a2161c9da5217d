//! Why a run ends.

use crate::arena::ArenaError;
use crate::format::FormatError;
use thiserror::Error;

/// Why a run ended without features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// There are no residues.
    #[error("the sequence has no residues")]
    EmptyInput,
    /// More residues than the arithmetic is proved for.
    #[error("{residues} residues exceed the limit of {limit}")]
    TooLong {
        /// Residues given.
        residues: usize,
        /// Most there may be.
        limit: usize,
    },
    /// More rows than the arithmetic is proved for.
    #[error("{rows} rows of the pseudo-MSA, the sequence included, exceed the limit of {limit}")]
    TooManyRows {
        /// Rows given.
        rows: usize,
        /// Most there may be.
        limit: usize,
    },
    /// The inputs don't fit each other or the sizes.
    #[error("{residues} residues, {kept} masks and {before} values of maps don't fit the sizes of the run")]
    WrongLengths {
        /// Types of residues given.
        residues: usize,
        /// Masks given.
        kept: usize,
        /// Values of the maps before given.
        before: usize,
    },
    /// A residue's type is none.
    #[error("residue {index}, counted from 0, is of no type")]
    NoResidue {
        /// Its place.
        index: usize,
    },
    /// The memory is not as the plan says.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The hook broke off the run.
    #[error("the run was stopped")]
    Stopped,
}
