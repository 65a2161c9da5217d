//! What is asked of a folding model, and what comes back.

use crate::arena::ArenaError;
use crate::esm;
use crate::format::FormatError;
use crate::heads::ATOM_TYPES;
use crate::structure;
use thiserror::Error;

/// What to fold.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    /// ESM alphabet numbers: `<cls>`, the residues, `<eos>`.
    pub tokens: &'i [u8],
    /// Number of each residue along its chain; only differences count. A break is a jump of more than the
    /// position bins.
    pub residue_index: &'i [i32],
    /// The chain of each residue, or [`LINKER`](crate::chains::LINKER).
    pub chains: &'i [u16],
}

/// How to fold, and which large results are to be computed besides the structure; by default none, in as many
/// passes as the model was trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Passes through the trunk (`num_recycles` + 1), if others than
    /// [`Config::passes`](super::Config::passes).
    pub passes: Option<usize>,
    /// The predicted aligned error of all pairs. pTM is computed always.
    pub aligned_error: bool,
    /// The distogram's logits.
    pub distogram: bool,
    /// The TM-scores of so many chains, numbered from 0, among each other; 0 for none.
    pub chain_scores: usize,
}

impl Request {
    /// In so many passes.
    #[must_use]
    pub const fn passes(self, passes: usize) -> Self {
        Self { passes: Some(passes), ..self }
    }

    /// With the predicted aligned error or without.
    #[must_use]
    pub const fn aligned_error(self, wanted: bool) -> Self {
        Self { aligned_error: wanted, ..self }
    }

    /// With the distogram or without.
    #[must_use]
    pub const fn distogram(self, wanted: bool) -> Self {
        Self { distogram: wanted, ..self }
    }

    /// With the scores of so many chains.
    #[must_use]
    pub const fn chain_scores(self, chains: usize) -> Self {
        Self { chain_scores: chains, ..self }
    }
}

/// A predicted structure of L residues, linkers included; lies in the arena.
#[derive(Debug)]
#[non_exhaustive]
pub struct Structure<'m> {
    /// Atoms in the `atom14` layout, unit 2^-16 angstrom; those that a residue hasn't lie at the origin. See
    /// [`Residue::atoms`](crate::geometry::Residue::atoms).
    pub atoms: &'m [[[i32; 3]; 14]],
    /// pLDDT of every atom in the `atom37` layout, unit 2^-16. A residue's value is that of its CA, at 1.
    pub plddt: &'m [[u16; ATOM_TYPES]],
    /// Predicted aligned error `[L, L]`, aligned residue first, unit 2^-11 angstrom.
    pub aligned_error: Option<&'m [u16]>,
    /// Logits `[L, L, 64]` of the distance between residues, unit 2^-16.
    pub distogram: Option<&'m [i32]>,
    /// Predicted TM-score, unit 2^-16.
    pub ptm: u16,
    /// Predicted TM-score over the interfaces, if there is more than one chain.
    pub iptm: Option<u16>,
    /// Predicted TM-scores of pairs of chains `[chains, chains]`, unit 2^-16: over the residues of the second
    /// one, when the structures are aligned at the best residue of the first one. A chain's own pTM is on the
    /// diagonal.
    pub chain_scores: Option<&'m [u16]>,
}

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A layer of the language model.
    Layer {
        /// From 0.
        layer: usize,
    },
    /// The language model.
    LanguageModel,
    /// A block of the trunk.
    Block {
        /// From 0.
        pass: usize,
        /// From 0.
        block: usize,
    },
    /// The structure module of a pass.
    StructureModule {
        /// From 0.
        pass: usize,
    },
}

/// Why a run ended without a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// There are no residues.
    #[error("the sequence has no residues")]
    EmptyInput,
    /// More residues than the arithmetic is proved for.
    #[error("{residues} residues, linkers included, exceed the limit of {limit}")]
    TooLong {
        /// Residues given.
        residues: usize,
        /// Most there may be.
        limit: usize,
    },
    /// Residue numbers or chains are not as many as residues.
    #[error("{residues} residues have {residue_index} residue numbers and {chains} chain numbers")]
    WrongLengths {
        /// Tokens less two.
        residues: usize,
        /// Length of `residue_index`.
        residue_index: usize,
        /// Length of `chains`.
        chains: usize,
    },
    /// A token is no residue: it can't be folded.
    #[error("token {token} at position {index} is not a residue")]
    NoResidue {
        /// Its position; `<cls>` is 0.
        index: usize,
        /// Its value.
        token: u8,
    },
    /// A chain has no room among the scores that are wanted.
    #[error("chain {chain}, counted from 0, and the scores of {chains} chains are wanted")]
    ChainWithoutScore {
        /// The chain's number.
        chain: u16,
        /// How many chains' scores are wanted.
        chains: usize,
    },
    /// No pass was asked for.
    #[error("at least one pass is needed")]
    NoPass,
    /// The arena is too small, misaligned, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The language model refuses.
    #[error(transparent)]
    LanguageModel(#[from] esm::RunError),
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
