//! Why a forward pass can't run.

use crate::checkpoint::CheckpointError;

/// Why the float reference can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A tensor could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A Linear is given another number of channels than it has inputs.
    #[error("{found} channels for a Linear of {expected} inputs")]
    Inputs {
        /// Inputs of the Linear.
        expected: usize,
        /// Channels given.
        found: usize,
    },
    /// A name that no group of weights has, or one of another kind.
    #[error("{0} is no such group of the model's table")]
    NotInTable(String),
    /// A sequence without tokens, or without `<cls>` and `<eos>`.
    #[error("sequence {sequence} has {tokens} tokens, expected at least <cls> and <eos>")]
    TooShort {
        /// Which sequence of the batch.
        sequence: usize,
        /// How many tokens it has.
        tokens: usize,
    },
    /// A token outside the alphabet.
    #[error("sequence {sequence}: token {token} at {index} is not below {vocab}")]
    BadToken {
        /// Which sequence of the batch.
        sequence: usize,
        /// Place of the token.
        index: usize,
        /// Its number.
        token: u8,
        /// Size of the alphabet.
        vocab: usize,
    },
    /// Contacts were asked of a checkpoint that can't predict them.
    #[error("{0}: no contact head (contact_head.regression.*)")]
    NoContactHead(String),
    /// Logits were asked of a checkpoint that can't predict them.
    #[error("{0}: no language-model head (lm_head.*)")]
    NoLmHead(String),
    /// A folding model was asked of a checkpoint that is none.
    #[error("{0}: not a folding model")]
    NoFold(String),
    /// A sequence to fold that has nothing between `<cls>` and `<eos>`.
    #[error("sequence {sequence} has no residues")]
    NoResidues {
        /// Which sequence of the batch.
        sequence: usize,
    },
    /// A token inside a sequence to fold that is neither an amino acid nor X.
    #[error("sequence {sequence}: token {token} at {index} is no residue")]
    NoResidue {
        /// Which sequence of the batch.
        sequence: usize,
        /// Place of the token.
        index: usize,
        /// Its number.
        token: u8,
    },
    /// Not as many residue numbers as residues.
    #[error("sequence {sequence} has {residues} residues, but {numbers} residue numbers")]
    BadResidueIndex {
        /// Which sequence of the batch.
        sequence: usize,
        /// How many residues it has.
        residues: usize,
        /// How many numbers are given.
        numbers: usize,
    },
}
