//! What is asked of an OmegaFold, and what comes back.

use super::language_model;
use super::masks::{MASKED_UP_TO, ROWS};
use crate::arena::ArenaError;
use crate::format::FormatError;
use crate::geometry::ATOM14;
use crate::structure;
use crate::trunk::representations::Representations;
use core::ops::ControlFlow;
use thiserror::Error;

/// Cycles, unless the user says otherwise.
pub const CYCLES: usize = 10;

/// How to fold; by default as the original does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Passes through the whole model, of which the one with the highest confidence is the result.
    pub cycles: usize,
    /// Rows of the pseudo-MSA below the sequence itself: 0 to [`ROWS_MAX`](super::ROWS_MAX).
    pub rows: usize,
    /// The share of masked residues in them: see [`PseudoMsa::new`](super::PseudoMsa::new).
    pub masked_up_to: u32,
}

impl Default for Request {
    fn default() -> Self {
        Self { cycles: CYCLES, rows: ROWS, masked_up_to: MASKED_UP_TO }
    }
}

impl Request {
    /// In so many cycles.
    #[must_use]
    pub const fn cycles(self, cycles: usize) -> Self {
        Self { cycles, ..self }
    }

    /// With so many rows below the sequence.
    #[must_use]
    pub const fn rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// With another share of masked residues.
    #[must_use]
    pub const fn masked_up_to(self, masked_up_to: u32) -> Self {
        Self { masked_up_to, ..self }
    }
}

/// A predicted structure of L residues; lies in the arena.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Structure<'m> {
    /// Atoms in the `atom14` layout, unit 2^-16 angstrom; those that a residue hasn't lie at the origin. See
    /// [`Residue::atoms`](crate::geometry::Residue::atoms).
    pub atoms: &'m [[[i32; 3]; ATOM14]],
    /// Confidence in each residue, 0 to 1, unit 2^-16.
    pub confidence: &'m [u16],
    /// Confidence in all, unit 2^-16: the mean, in which residues count by their neighbours. Where none has
    /// any it is the sum, which can be above 1. Rounded; cycles are told apart by what it is rounded from.
    pub overall: u32,
    /// The cycle that it comes from, from 0.
    pub cycle: usize,
}

/// A step that is done, and what came of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// A layer of the language model over the rows below the sequence.
    Layer {
        /// From 0; none for the sequence itself, which comes before all cycles.
        cycle: Option<usize>,
        /// From 0.
        layer: usize,
    },
    /// A block of the trunk.
    Block {
        /// From 0.
        cycle: usize,
        /// From 0.
        block: usize,
        /// The node representation of the sequence itself, and the pair representation.
        representations: Representations<'e>,
    },
    /// A cycle.
    Cycle(Structure<'e>),
}

/// Who is told of a run's steps, and can break it off.
pub type Hook<'h> = dyn FnMut(Event) -> ControlFlow<()> + 'h;

/// Tells the hook of a step.
///
/// # Errors
/// [`RunError::Stopped`] if it breaks.
pub fn tell(hook: &mut Hook, event: Event) -> Result<(), RunError> {
    match hook(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(RunError::Stopped),
    }
}

/// Why a run ended without a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
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
    /// No cycle was asked for.
    #[error("at least one cycle is needed")]
    NoCycle,
    /// More rows than the arithmetic is proved for.
    #[error("{rows} rows of the pseudo-MSA exceed the limit of {limit}")]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
        /// Most there may be.
        limit: usize,
    },
    /// The arena is too small, misaligned, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The hook broke off the run.
    #[error("the run was stopped")]
    Stopped,
}

impl From<structure::RunError> for RunError {
    fn from(error: structure::RunError) -> Self {
        match error {
            structure::RunError::Arena(error) => error.into(),
            structure::RunError::Format(error) => error.into(),
        }
    }
}

impl From<language_model::RunError> for RunError {
    fn from(error: language_model::RunError) -> Self {
        use language_model::RunError as Error;
        match error {
            Error::EmptyInput => Self::EmptyInput,
            Error::TooLong { residues, limit } => Self::TooLong { residues, limit },
            // There the sequence itself is counted, too.
            Error::TooManyRows { rows, limit } => Self::TooManyRows { rows: rows - 1, limit: limit - 1 },
            // A run gives it lengths that fit, and residues.
            Error::WrongLengths { .. } | Error::NoResidue { .. } => ArenaError::WrongChunk.into(),
            Error::Arena(error) => error.into(),
            Error::Format(error) => error.into(),
            Error::Stopped => Self::Stopped,
        }
    }
}
