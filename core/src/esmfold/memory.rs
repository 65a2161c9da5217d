//! What lies in the arena.
//!
//! What lives as long as the run comes first; the rest is one *shared* region that the language model, the
//! trunk, the structure module and the heads use one after another.

use super::model::FoldingModel;
use super::request::{Request, RunError};
use crate::arena::{ArenaError, Source};
use crate::geometry::ATOM14;
use crate::heads::{ATOM_TYPES, PAIR_BINS};
use crate::trunk::shape::{Representation, Shape};

/// Most residues: what the structure module's sums are proved for.
pub const RESIDUES_MAX: usize = 16_384;

/// Every size that the arena depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Sizes of the representations.
    pub trunk: Shape,
    /// Residues, linkers included.
    pub residues: usize,
    /// Channels of the language model.
    pub mix_width: usize,
    /// Channels of the structure module's state.
    pub state_width: usize,
    /// What is asked for.
    pub request: Request,
    /// Bytes of the shared region.
    pub shared: usize,
}

impl Dims {
    /// Refuses sequences that are empty or longer than the arithmetic is proved for.
    pub fn check(residues: usize) -> Result<(), RunError> {
        match residues {
            0 => Err(RunError::EmptyInput),
            1..=RESIDUES_MAX => Ok(()),
            _ => Err(RunError::TooLong { residues, limit: RESIDUES_MAX }),
        }
    }

    /// Sizes for `residues` residues, without the shared region.
    pub fn new(model: &FoldingModel, residues: usize, request: &Request) -> Self {
        let config = &model.config;
        let [sequence_bytes, pair_bytes] = model.code_bytes;
        let trunk = Shape {
            residues,
            sequence: Representation {
                width: config.sequence_width,
                heads: config.sequence_heads,
                temperature: config.sequence_temperature,
                epsilon: config.epsilon_sequence,
                code_row: config.sequence_width * sequence_bytes,
            },
            pair: Representation {
                width: config.pair_width,
                heads: config.pair_heads,
                temperature: config.pair_temperature,
                epsilon: config.epsilon_pair,
                code_row: config.pair_width * pair_bytes,
            },
            epsilon_product: config.epsilon_product,
            quantized_pair: model.quantized_pair,
        };
        let mix_width = model.language_model.config().width;
        Self { trunk, residues, mix_width, state_width: config.structure.width, request: *request, shared: 0 }
    }

    /// Pairs of residues. Saturates where addresses are narrow: counting then says that it is too large.
    const fn pairs(&self) -> usize {
        self.residues.saturating_mul(self.residues)
    }

    /// Values of the mix of hidden states, `[residues, mix_width]`.
    pub const fn mix_len(&self) -> usize {
        self.residues.saturating_mul(self.mix_width)
    }
}

/// The whole arena.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// Atoms of the last structure, `atom14`, unit 2^-16 angstrom.
    pub atoms: S::Piece<[[i32; 3]; ATOM14]>,
    /// pLDDT of every atom, `[residues, 37]`, unit 2^-16.
    pub plddt: S::Piece<u16>,
    /// Predicted aligned error, `[residues, residues]`.
    pub aligned_error: S::Piece<u16>,
    /// TM-scores of pairs of chains, `[chains, chains]`.
    pub chain_scores: S::Piece<u16>,
    /// Logits of the distogram, `[residues, residues, 64]`.
    pub distogram: S::Piece<i32>,
    /// The structure module's last state, `[residues, state_width]`, activation units.
    pub state: S::Piece<i32>,
    /// Virtual CB atoms of the pass before, unit 2^-16 angstrom.
    pub cbs: S::Piece<[i32; 3]>,
    /// The embedded sequence, `[residues, sequence width]`, sequence units.
    pub embedded: S::Piece<i32>,
    /// The sequence representation's codes.
    pub sequence: S::Piece<u8>,
    /// The pair representation's codes.
    pub pair: S::Piece<u8>,
    /// The shared region.
    pub shared: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let Dims { trunk, residues, request, .. } = dims;
        let residues = *residues;
        let chains = request.chain_scores;
        Ok(Self {
            atoms: source.take(residues)?,
            plddt: source.take(residues * ATOM_TYPES)?,
            aligned_error: source.take(if request.aligned_error { dims.pairs() } else { 0 })?,
            chain_scores: source.take(chains.saturating_mul(chains))?,
            distogram: source.take(if request.distogram {
                dims.pairs().saturating_mul(PAIR_BINS)
            } else {
                0
            })?,
            state: source.take(residues * dims.state_width)?,
            cbs: source.take(residues)?,
            embedded: source.take(residues * trunk.sequence.width)?,
            sequence: source.take(residues * trunk.sequence.code_row)?,
            pair: source.take(residues.saturating_mul(trunk.pair_row()))?,
            shared: source.take(dims.shared)?,
        })
    }
}
