//! What is asked of a language model, and what comes back.

use crate::alphabet::{CLS, EOS};
use crate::arena::ArenaError;
use crate::format::FormatError;
use thiserror::Error;

/// Which hidden states the hook is handed. Numbers are `transformers`': 0 is the embedding, `i` the output of
/// layer `i`, the last one after the final LayerNorm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HiddenLayers {
    /// None.
    #[default]
    None,
    /// The last.
    Last,
    /// All, `layers + 1` of them.
    All,
}

/// What a run is to compute; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The contact map.
    pub contacts: bool,
    /// The language model's logits.
    pub logits: bool,
    /// Hidden states: [`run_with`](super::LanguageModel::run_with) hands them to its hook.
    pub hidden: HiddenLayers,
    /// Whether the tokens may be a piece of a longer sequence, `<cls>` or `<eos>` not among them. There is no
    /// contact map of a piece.
    pub piece: bool,
}

impl Request {
    /// With the contact map or without.
    #[must_use]
    pub const fn contacts(self, wanted: bool) -> Self {
        Self { contacts: wanted, ..self }
    }

    /// With the logits or without.
    #[must_use]
    pub const fn logits(self, wanted: bool) -> Self {
        Self { logits: wanted, ..self }
    }

    /// Of a piece of a longer sequence or not.
    #[must_use]
    pub const fn piece(self, allowed: bool) -> Self {
        Self { piece: allowed, ..self }
    }

    /// With these hidden states.
    #[must_use]
    pub const fn hidden(self, wanted: HiddenLayers) -> Self {
        Self { hidden: wanted, ..self }
    }
}

/// One token's hidden state at one layer.
#[derive(Clone, Copy, Debug)]
pub struct HiddenRow<'a> {
    /// 0 to `layers`.
    pub layer: usize,
    /// Index of the token; `<cls>` is 0.
    pub token: usize,
    /// One value a channel, unit 2^-16.
    pub values: &'a [i32],
}

/// What the hook of a run is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// A hidden state that was asked for, layer by layer and token by token.
    Hidden(HiddenRow<'e>),
    /// A transformer layer is done.
    Layer {
        /// From 0.
        layer: usize,
    },
}

/// What a run computed; lies in the arena.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outputs<'m> {
    /// Contact probabilities of all pairs of residues, `[L, L]`, unit 2^-16
    /// ([`PROBABILITY_FRAC`](crate::units::PROBABILITY_FRAC)).
    pub contacts: Option<&'m [u16]>,
    /// Logits of all tokens, `[L + 2, vocab]`, unit 2^-16
    /// ([`ACTIVATION_FRAC`](crate::units::ACTIVATION_FRAC)).
    pub logits: Option<&'m [i32]>,
}

/// Why a run ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A token is outside the vocabulary, or is `<pad>`.
    #[error("token {token} at position {index} is not in the model's vocabulary or is padding")]
    BadToken {
        /// Its position; `<cls>` is 0.
        index: usize,
        /// Its value.
        token: u8,
    },
    /// The tokens don't begin with `<cls>` and end with `<eos>`: without them every residue's outputs are others
    /// (see [`alphabet::tokens`](crate::alphabet::tokens)).
    #[error("the tokens must begin with <cls> ({CLS}) and end with <eos> ({EOS}), not {first} and {last}")]
    NotFramed {
        /// The first token.
        first: u8,
        /// The last one.
        last: u8,
    },
    /// Fewer than three tokens: `<cls>`, at least one residue, `<eos>`.
    #[error("the sequence has no residues")]
    EmptyInput,
    /// More tokens than the arithmetic is proved for.
    #[error("{tokens} tokens exceed the limit of {limit}")]
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Most there may be.
        limit: usize,
    },
    /// The arena is too small, misaligned, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The model file has no contact head.
    #[error("the model has no contact head")]
    NoContactHead,
    /// The model file has no language model head.
    #[error("the model has no language model head")]
    NoLmHead,
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The hook broke off the run.
    #[error("the run was stopped")]
    Stopped,
}
