//! What lies in the arena.
//!
//! What lives as long as the run comes first; the rest is one *shared* region that the language model, the
//! trunk, the structure module and the confidence head use one after another, cycle by cycle.

use super::language_model::{Features, Shape as LanguageShape};
use super::masks::ROWS_MAX;
use super::model::FoldingModel;
use super::request::{Request, RunError};
use crate::arena::{ArenaError, Source};
use crate::geometry::ATOM14;
use crate::trunk::msa::shape::Shape as MsaShape;
use crate::trunk::shape::{Representation, Shape};

/// Most residues: what the structure module's sums are proved for.
pub const RESIDUES_MAX: usize = 16_384;

/// Every size that the arena depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Residues, and both representations.
    pub trunk: Shape,
    /// Rows of the pseudo-MSA, the sequence itself among them.
    pub rows: usize,
    /// Channels of either side of the outer product.
    pub outer_width: usize,
    /// The language model over the sequence itself.
    pub sequence: LanguageShape,
    /// The language model over the rows below, if there are any.
    pub below: Option<LanguageShape>,
    /// Channels of the structure module's state.
    pub state_width: usize,
    /// Workers.
    pub workers: usize,
    /// Bytes of [`BelowMemory::work`].
    pub below_work: usize,
    /// Bytes of the shared region.
    pub shared: usize,
}

impl Dims {
    /// Sizes for `residues` residues and `workers` workers, without those in bytes.
    ///
    /// # Errors
    /// There are no residues, no cycles, or more residues or rows than the arithmetic is proved for.
    pub fn new(
        model: &FoldingModel,
        residues: usize,
        request: &Request,
        workers: usize,
    ) -> Result<Self, RunError> {
        match residues {
            0 => return Err(RunError::EmptyInput),
            1..=RESIDUES_MAX => (),
            _ => return Err(RunError::TooLong { residues, limit: RESIDUES_MAX }),
        }
        if request.rows > ROWS_MAX {
            return Err(RunError::TooManyRows { rows: request.rows, limit: ROWS_MAX });
        }
        if request.cycles == 0 {
            return Err(RunError::NoCycle);
        }
        let config = &model.config;
        let bytes = model.code_bytes;
        let trunk = Shape {
            residues,
            sequence: Representation {
                width: config.node_width,
                heads: config.node_heads,
                temperature: config.node_temperature,
                epsilon: config.epsilon_node,
                code_row: config.node_width * bytes.node,
            },
            pair: Representation {
                width: config.pair_width,
                heads: config.pair_heads,
                temperature: config.pair_temperature,
                epsilon: config.epsilon_pair,
                code_row: config.pair_width * bytes.pair,
            },
            epsilon_product: config.epsilon_product,
            quantized_pair: model.quantized_pair,
        };
        let language_model = |rows| model.language_model.shape(residues, rows, model.stream_bytes, workers);
        Ok(Self {
            trunk,
            rows: request.rows + 1,
            outer_width: config.outer_width,
            sequence: language_model(1),
            below: (request.rows > 0).then(|| language_model(request.rows)),
            state_width: config.structure.width,
            workers,
            below_work: 0,
            shared: 0,
        })
    }

    /// Sizes of the node representation.
    pub const fn node(&self) -> MsaShape<'_> {
        MsaShape { trunk: &self.trunk, rows: self.rows, outer_width: self.outer_width }
    }
}

/// The whole arena.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// The best structure so far.
    pub best: Fold<S>,
    /// That of the last cycle.
    pub last: Fold<S>,
    /// Where the last structure has its residues, unit 2^-16 angstrom.
    pub places: S::Piece<[i32; 3]>,
    /// The structure module's last state, `[residues, state_width]`, activation units.
    pub state: S::Piece<i32>,
    /// Type of each residue in AlphaFold's order.
    pub types: S::Piece<u8>,
    /// Whether each residue of each row is kept (1) or masked (0), `[rows, residues]`.
    pub kept: S::Piece<u8>,
    /// What the language model says of the sequence itself: the same in all cycles.
    pub sequence: Features<S>,
    /// The node representation's codes, `[residues, rows]`.
    pub node: S::Piece<u8>,
    /// The pair representation's codes, `[residues, residues]`.
    pub pair: S::Piece<u8>,
    /// The shared region.
    pub shared: S::Piece<u8>,
}

/// A cycle's result.
#[derive(Debug)]
pub struct Fold<S: Source> {
    /// Atoms, `atom14`, unit 2^-16 angstrom.
    pub atoms: S::Piece<[[i32; 3]; ATOM14]>,
    /// Confidence in each residue, unit 2^-16.
    pub confidence: S::Piece<u16>,
}

impl<S: Source> Fold<S> {
    fn take(source: &mut S, residues: usize) -> Result<Self, ArenaError> {
        Ok(Self { atoms: source.take(residues)?, confidence: source.take(residues)? })
    }
}

impl<S: Source> Memory<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let residues = dims.trunk.residues;
        Ok(Self {
            best: Fold::take(source, residues)?,
            last: Fold::take(source, residues)?,
            places: source.take(residues)?,
            state: source.take(residues.saturating_mul(dims.state_width))?,
            types: source.take(residues)?,
            kept: source.take(residues.saturating_mul(dims.rows))?,
            sequence: Features::take(source, &dims.sequence)?,
            node: source.take(residues.saturating_mul(dims.node().column()))?,
            pair: source.take(residues.saturating_mul(dims.trunk.pair_row()))?,
            shared: source.take(dims.shared)?,
        })
    }
}

/// What the start of a cycle works in.
#[derive(Debug)]
pub struct BelowMemory<S: Source> {
    /// What the language model says of the rows below the sequence, if there are any; the maps are those of
    /// all rows.
    pub features: Option<Features<S>>,
    /// What it works in, and then the embedding.
    pub work: S::Piece<u8>,
}

impl<S: Source> BelowMemory<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let features = dims.below.as_ref().map(|shape| Features::take(source, shape));
        Ok(Self { features: features.transpose()?, work: source.take(dims.below_work)? })
    }
}
