//! The structure module's working memory.

use super::config::{Config, Representations};
use crate::arena::{ArenaError, Reader, Source, bytes_of};
use crate::geometry::TORSIONS;
use crate::nn::quantized_tile::{QuantizedTile, TILE};

/// Residues that a worker takes at a time. Attention to all others is most of its work, so that few residues
/// serve as well as many, and busy more workers.
pub const ROWS: usize = 8;

/// Outputs of the backbone update: a turn, then a step.
pub const UPDATE: usize = 6;

/// Every size that the operations and their memory depend on.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Residues.
    pub residues: usize,
    /// The trunk's representations.
    pub trunk: Representations,
    /// The structure module's shape.
    pub config: Config,
}

impl Shape {
    /// Values of a residue's [`State`].
    pub const fn state_len(&self) -> usize {
        2 * self.config.width + UPDATE + 2 * TORSIONS
    }

    /// Values of a residue's record: all its projections.
    pub const fn record_len(&self) -> usize {
        self.config.projections()
    }

    /// Channels of the widest row, in or out, of a Linear on residues.
    fn widest(&self) -> usize {
        let Config { width, resnet_width, .. } = self.config;
        let outputs = self.record_len().max(width).max(resnet_width).max(2 * TORSIONS).max(UPDATE);
        outputs.max(self.widest_input())
    }

    /// Channels of the widest input of a Linear on residues.
    fn widest_input(&self) -> usize {
        let Config { width, resnet_width, .. } = self.config;
        let output = (0..=self.config.pair_parts()).map(|part| self.config.output_part(part)).max();
        self.trunk.sequence_width.max(width).max(resnet_width).max(output.unwrap_or(0))
    }

    /// Values of the bias that a row of pairs keeps for all iterations: none, if each has another one.
    const fn stored_bias(&self) -> usize {
        if self.config.own_weights { 0 } else { self.residues.saturating_mul(self.config.heads) }
    }

    /// Bytes of a row of pairs.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn pair_row(&self) -> Result<usize, ArenaError> {
        bytes_of(|counter| PairRow::take(counter, self))
    }

    /// The states of as many residues as `states` holds, `[residues, state_len]`.
    pub fn states<'m>(&self, states: &'m mut [i32]) -> impl Iterator<Item = State<'m>> + use<'m> {
        let width = self.config.width;
        states.chunks_exact_mut(self.state_len()).map(move |state| {
            let (sequence, rest) = state.split_at_mut(width);
            let (initial, rest) = rest.split_at_mut(width);
            let (update, torsions) = rest.split_at_mut(UPDATE);
            State { sequence, initial, update, torsions }
        })
    }
}

/// A residue's state.
#[derive(Debug)]
pub struct State<'m> {
    /// The sequence representation, `[width]`.
    pub sequence: &'m mut [i32],
    /// The sequence representation from before the first iteration, `[width]`.
    pub initial: &'m mut [i32],
    /// The backbone's update.
    pub update: &'m mut [i32],
    /// Sine and cosine of each torsion, Q1.30.
    pub torsions: &'m mut [i32],
}

/// All of it.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// `[residues, state_len]`
    pub states: S::Piece<i32>,
    /// `[residues, record_len]`
    pub records: S::Piece<i32>,
    /// [`Frame`](crate::geometry::Frame)s.
    pub frames: S::Piece<[i32; 7]>,
    /// Rows of pairs.
    pub pairs: S::Piece<u8>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces, for `workers` workers.
    pub fn take(source: &mut S, shape: &Shape, workers: usize) -> Result<Self, ArenaError> {
        let residues = shape.residues;
        let scratch = [
            bytes_of(|counter| PairScratch::take(counter, shape))?,
            bytes_of(|counter| ResidueScratch::take(counter, shape))?,
        ];
        let scratch = scratch.into_iter().fold(0, usize::max);
        Ok(Self {
            states: source.take(residues.saturating_mul(shape.state_len()))?,
            records: source.take(residues.saturating_mul(shape.record_len()))?,
            frames: source.take(residues)?,
            pairs: source.take(residues.saturating_mul(shape.pair_row()?))?,
            scratch: source.take(scratch.saturating_mul(workers.max(1)))?,
        })
    }
}

/// A row of pairs: those of one residue with all.
#[derive(Debug)]
pub struct PairRow<S: Source> {
    /// The pair representation, `[residues, pair_width]`, unit `2^-pair_frac`.
    pub codes: S::Piece<i16>,
    /// What it adds to the scores, `[heads, residues]`, units of 2^-16 log2; nothing if that is another one
    /// in each iteration, when whoever attends makes it of the codes ([`PairBias`]).
    pub bias: S::Piece<i32>,
}

impl<S: Source> PairRow<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            codes: source.take(shape.residues.saturating_mul(shape.config.pair_width))?,
            bias: source.take(shape.stored_bias())?,
        })
    }
}

/// All rows of pairs, to read.
#[derive(Clone, Copy, Debug)]
pub struct PairRows<'r> {
    shape: &'r Shape,
    rows: &'r [u8],
    row: usize,
}

impl<'r> PairRows<'r> {
    /// Those that lie in [`Memory::pairs`].
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn new(shape: &'r Shape, rows: &'r [u8]) -> Result<Self, ArenaError> {
        Ok(Self { shape, rows, row: shape.pair_row()? })
    }

    /// That of residue `index`.
    ///
    /// # Errors
    /// There is no such residue.
    pub fn of(&self, index: usize) -> Result<PairRow<Reader<'r>>, ArenaError> {
        PairRow::take(&mut Reader::of_piece(self.rows, index, self.row), self.shape)
    }
}

/// A worker's scratch while it makes a row of pairs.
#[derive(Debug)]
pub struct PairScratch<S: Source> {
    /// The trunk's row, `[residues, trunk.pair_width]`.
    pub trunk: S::Piece<i32>,
    /// Quantized pairs, if a Linear reads any.
    pub tile: QuantizedTile<S>,
    /// `[TILE, pair_width]`, if a Linear makes it.
    pub input: S::Piece<i32>,
    /// `[TILE, pair_width]`
    pub normed: S::Piece<i32>,
    /// `[TILE, heads]`, if the bias is the same in all iterations.
    pub bias: S::Piece<i32>,
}

impl<S: Source> PairScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let Config { pair_width, heads, pair_input, own_weights, .. } = shape.config;
        let trunk_width = shape.trunk.pair_width;
        let of_input = |size: usize| if pair_input { size } else { 0 };
        let of_bias = |size: usize| if own_weights { 0 } else { size };
        Ok(Self {
            trunk: source.take(shape.residues.saturating_mul(trunk_width))?,
            tile: QuantizedTile::take(source, of_input(trunk_width).max(of_bias(pair_width)))?,
            input: source.take(of_input(TILE * pair_width))?,
            normed: source.take(TILE * pair_width)?,
            bias: source.take(of_bias(TILE * heads))?,
        })
    }
}

/// What a row of pairs adds to the scores, where each iteration makes another bias: nothing otherwise.
#[derive(Debug)]
pub struct PairBias<S: Source> {
    /// `[TILE, heads]`
    pub tile: S::Piece<i32>,
    /// As [`PairRow::bias`].
    pub row: S::Piece<i32>,
}

impl<S: Source> PairBias<S> {
    fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let heads = if shape.config.own_weights { shape.config.heads } else { 0 };
        Ok(Self { tile: source.take(TILE * heads)?, row: source.take(shape.residues.saturating_mul(heads))? })
    }
}

/// A worker's scratch for operations on residues.
#[derive(Debug)]
pub struct ResidueScratch<S: Source> {
    /// Quantized rows.
    pub tile: QuantizedTile<S>,
    /// The sequence representation of the rows at work, `[ROWS, width]`.
    pub sequence: S::Piece<i32>,
    /// Outputs of Linears, `[ROWS, widest]` each.
    pub outputs: [S::Piece<i32>; 3],
    /// For the pairs' bias.
    pub pair_bias: PairBias<S>,
    /// For attention.
    pub attention: AttentionScratch<S>,
}

impl<S: Source> ResidueScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let outputs = ROWS * shape.widest();
        Ok(Self {
            tile: QuantizedTile::take(source, shape.widest_input())?,
            sequence: source.take(ROWS * shape.config.width)?,
            outputs: [source.take(outputs)?, source.take(outputs)?, source.take(outputs)?],
            pair_bias: PairBias::take(source, shape)?,
            attention: AttentionScratch::take(source, shape)?,
        })
    }
}

/// A worker's scratch while it attends.
#[derive(Debug)]
pub struct AttentionScratch<S: Source> {
    /// Scores of one head, `[residues]`.
    pub scores: S::Piece<i64>,
    /// Squared distances of one head's points, `[residues]`.
    pub distances: S::Piece<i64>,
    /// Weights, `[heads, residues]`.
    pub weights: S::Piece<i32>,
    /// Sums over the weights of each head: their own, then those of a value or point each.
    pub sums: S::Piece<i64>,
    /// Sums over pairs, `[heads, pair_width]`.
    pub pair_sums: S::Piece<i64>,
    /// Values and points of the rows at work, `[ROWS, output_part(0)]`.
    pub points: S::Piece<i32>,
    /// Pairs of the rows at work, `[ROWS, heads, pair_width]`.
    pub pairs: S::Piece<i32>,
}

impl<S: Source> AttentionScratch<S> {
    fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let Config { heads, head_width, value_points, pair_width, .. } = shape.config;
        Ok(Self {
            scores: source.take(shape.residues)?,
            distances: source.take(shape.residues)?,
            weights: source.take(shape.residues.saturating_mul(heads))?,
            sums: source.take(head_width + 3 * value_points)?,
            pair_sums: source.take(heads * pair_width)?,
            points: source.take(ROWS * shape.config.output_part(0))?,
            pairs: source.take(ROWS * heads * pair_width)?,
        })
    }
}
