//! The structure module's working memory.

use crate::arena::{Arena, ArenaError, Layout};
use crate::esmfold::config::{Config, StructureConfig, TORSIONS};
use crate::esmfold::rows::{Codes, TILE};

/// Residues that a worker takes at a time. Attention to all others is most of its work, so that few residues serve as well as
/// many, and busy more workers.
pub const ROWS: usize = 8;

/// Outputs of the backbone update: a turn, then a step.
pub const UPDATE: usize = 6;

/// Every size that the memory depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Residues.
    pub residues: usize,
    /// Parts of the scratch memory.
    pub workers: usize,
    /// Channels of the trunk's sequence representation.
    pub sequence_width: usize,
    /// Channels of the trunk's pair representation.
    pub trunk_pair_width: usize,
    /// The structure module's shape.
    pub config: StructureConfig,
}

impl Dims {
    /// Sizes for `residues` residues on `workers` workers.
    pub fn new(config: &Config, residues: usize, workers: usize) -> Self {
        Self {
            residues,
            workers: workers.max(1),
            sequence_width: config.sequence_width,
            trunk_pair_width: config.pair_width,
            config: config.structure,
        }
    }

    /// Values of a residue's state: [`StateRow`].
    pub const fn state_len(&self) -> usize {
        2 * self.config.width + UPDATE + 2 * TORSIONS
    }

    /// Values of a residue's record: all its projections.
    pub const fn record_len(&self) -> usize {
        self.config.projections()
    }

    /// Channels of the widest row, in or out, of a Linear on residues.
    fn widest(&self) -> usize {
        let StructureConfig { width, resnet_width, .. } = self.config;
        let outputs = self.record_len().max(width).max(resnet_width).max(2 * TORSIONS).max(UPDATE);
        outputs.max(self.widest_input())
    }

    /// Channels of the widest input of a Linear on residues.
    fn widest_input(&self) -> usize {
        let StructureConfig { width, resnet_width, .. } = self.config;
        let output = (0..=self.config.pair_parts()).map(|part| self.config.output_part(part)).max();
        self.sequence_width.max(width).max(resnet_width).max(output.unwrap_or(0))
    }

    /// Bytes of a row of pairs.
    pub fn pair_row_layout(&self) -> Layout {
        let StructureConfig { pair_width, heads, .. } = self.config;
        Layout::new()
            .add::<i16>(self.residues.saturating_mul(pair_width))
            .add::<i32>(self.residues.saturating_mul(heads))
    }

    /// One worker's scratch: for pairs or for residues.
    fn scratch_layout(&self) -> Layout {
        let (pairs, residues) = (PairScratch::layout(self), ResidueScratch::layout(self));
        match (pairs.bytes(), residues.bytes()) {
            (Ok(a), Ok(b)) if a < b => residues,
            (Ok(_), Err(_)) => residues,
            _ => pairs,
        }
    }

    /// All of it.
    pub fn layout(&self) -> Layout {
        Layout::new()
            .add::<i32>(self.residues.saturating_mul(self.state_len()))
            .add::<i32>(self.residues.saturating_mul(self.record_len()))
            .add::<[i32; 7]>(self.residues)
            .repeat(self.pair_row_layout(), self.residues)
            .repeat(self.scratch_layout(), self.workers)
    }
}

/// The memory, carved.
#[derive(Debug)]
pub struct Memory<'m> {
    /// `[residues, state_len]`
    pub states: &'m mut [i32],
    /// `[residues, record_len]`
    pub records: &'m mut [i32],
    /// [`Frame`](crate::geometry::Frame)s.
    pub frames: &'m mut [[i32; 7]],
    /// Rows of pairs.
    pub pairs: &'m mut [u8],
    /// The workers' scratch.
    pub scratch: &'m mut [u8],
}

impl<'m> Memory<'m> {
    /// Carves what [`Dims::layout`] counts.
    pub fn carve(dims: &Dims, memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        let needed = dims.layout().bytes()?;
        let given = memory.len();
        let memory = memory.get_mut(..needed).ok_or(ArenaError::TooSmall { needed, given })?;
        let mut arena = Arena::new(memory)?;
        Ok(Self {
            states: arena.take(dims.residues * dims.state_len())?,
            records: arena.take(dims.residues * dims.record_len())?,
            frames: arena.take(dims.residues)?,
            pairs: arena.take(dims.pair_row_layout().bytes()? * dims.residues)?,
            scratch: arena.take(dims.scratch_layout().bytes()? * dims.workers)?,
        })
    }
}

/// A residue's state.
#[derive(Debug)]
pub struct StateRow<'m> {
    /// The sequence representation, `[width]`.
    pub sequence: &'m mut [i32],
    /// The sequence representation from before the first iteration, `[width]`.
    pub initial: &'m mut [i32],
    /// The backbone's update.
    pub update: &'m mut [i32],
    /// Sine and cosine of each torsion, Q1.30.
    pub torsions: &'m mut [i32],
}

impl<'m> StateRow<'m> {
    /// Splits a row of [`Dims::state_len`] values.
    pub fn split(dims: &Dims, row: &'m mut [i32]) -> Option<Self> {
        let (sequence, rest) = row.split_at_mut_checked(dims.config.width)?;
        let (initial, rest) = rest.split_at_mut_checked(dims.config.width)?;
        let (update, torsions) = rest.split_at_mut_checked(UPDATE)?;
        Some(Self { sequence, initial, update, torsions })
    }
}

/// A row of pairs: those of one residue with all.
#[derive(Debug)]
pub struct PairRow<'m> {
    /// The pair representation, `[residues, pair_width]`, unit `2^-pair_frac`.
    pub codes: &'m mut [i16],
    /// What it adds to the scores, `[heads, residues]`, units of 2^-16 log2.
    pub bias: &'m mut [i32],
}

impl<'m> PairRow<'m> {
    /// Carves what [`Dims::pair_row_layout`] counts.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let StructureConfig { pair_width, heads, .. } = dims.config;
        let mut arena = Arena::new(chunk)?;
        Ok(Self { codes: arena.take(dims.residues * pair_width)?, bias: arena.take(dims.residues * heads)? })
    }
}

/// Codes and bias of row `index` of `pairs`, as [`PairRow`] wrote them.
pub fn pair_row<'m>(dims: &Dims, pairs: &'m [u8], index: usize) -> (&'m [i16], &'m [i32]) {
    let StructureConfig { pair_width, heads, .. } = dims.config;
    let len = dims.pair_row_layout().bytes().unwrap_or(usize::MAX).max(1);
    let row = pairs.chunks_exact(len).nth(index).unwrap_or_default();
    let codes = dims.residues * pair_width;
    let at = Layout::new().add::<i16>(codes).bytes().unwrap_or(usize::MAX);
    let codes = row.get(..codes * size_of::<i16>()).unwrap_or_default();
    let bias = row.get(at..).and_then(|rest| rest.get(..dims.residues * heads * size_of::<i32>()));
    (
        bytemuck::try_cast_slice(codes).unwrap_or_default(),
        bytemuck::try_cast_slice(bias.unwrap_or_default()).unwrap_or_default(),
    )
}

/// A worker's scratch while it makes a row of pairs.
#[derive(Debug)]
pub struct PairScratch<'m> {
    /// The trunk's row, `[residues, trunk_pair_width]`.
    pub trunk: &'m mut [i32],
    /// Quantized pairs.
    pub codes: Codes<'m>,
    /// `[TILE, pair_width]`
    pub input: &'m mut [i32],
    /// `[TILE, pair_width]`
    pub normed: &'m mut [i32],
    /// `[TILE, heads]`
    pub bias: &'m mut [i32],
}

impl<'m> PairScratch<'m> {
    fn layout(dims: &Dims) -> Layout {
        let StructureConfig { pair_width, heads, .. } = dims.config;
        let layout = Layout::new().add::<i32>(dims.residues.saturating_mul(dims.trunk_pair_width));
        Codes::layout(layout, dims.trunk_pair_width.max(pair_width))
            .add::<i32>(TILE * pair_width)
            .add::<i32>(TILE * pair_width)
            .add::<i32>(TILE * heads)
    }

    /// Carves its part of a worker's scratch.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let StructureConfig { pair_width, heads, .. } = dims.config;
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            trunk: arena.take(dims.residues * dims.trunk_pair_width)?,
            codes: Codes::carve(&mut arena, dims.trunk_pair_width.max(pair_width))?,
            input: arena.take(TILE * pair_width)?,
            normed: arena.take(TILE * pair_width)?,
            bias: arena.take(TILE * heads)?,
        })
    }
}

/// A worker's scratch for operations on residues.
#[derive(Debug)]
pub struct ResidueScratch<'m> {
    /// Quantized rows.
    pub codes: Codes<'m>,
    /// The sequence representation of the rows at work, `[ROWS, width]`.
    pub sequence: &'m mut [i32],
    /// Outputs of Linears, `[ROWS, widest]` each.
    pub outputs: [&'m mut [i32]; 3],
    /// For attention.
    pub attention: AttentionScratch<'m>,
}

impl<'m> ResidueScratch<'m> {
    fn layout(dims: &Dims) -> Layout {
        let outputs = ROWS * dims.widest();
        let layout = Codes::layout(Layout::new(), dims.widest_input())
            .add::<i32>(ROWS * dims.config.width)
            .add::<i32>(outputs)
            .add::<i32>(outputs)
            .add::<i32>(outputs);
        AttentionScratch::layout(layout, dims)
    }

    /// Carves its part of a worker's scratch.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let outputs = ROWS * dims.widest();
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            codes: Codes::carve(&mut arena, dims.widest_input())?,
            sequence: arena.take(ROWS * dims.config.width)?,
            outputs: [arena.take(outputs)?, arena.take(outputs)?, arena.take(outputs)?],
            attention: AttentionScratch::carve(&mut arena, dims)?,
        })
    }
}

/// A worker's scratch while it attends.
#[derive(Debug)]
pub struct AttentionScratch<'m> {
    /// Scores of one head, `[residues]`.
    pub scores: &'m mut [i64],
    /// Squared distances of one head's points, `[residues]`.
    pub distances: &'m mut [i64],
    /// Weights, `[heads, residues]`.
    pub weights: &'m mut [i32],
    /// Sums over the weights of each head: their own, then those of a value or point each.
    pub sums: &'m mut [i64],
    /// Sums over pairs, `[heads, pair_width]`.
    pub pair_sums: &'m mut [i64],
    /// Values and points of the rows at work, `[ROWS, output_part(0)]`.
    pub points: &'m mut [i32],
    /// Pairs of the rows at work, `[ROWS, heads, pair_width]`.
    pub pairs: &'m mut [i32],
}

impl<'m> AttentionScratch<'m> {
    /// Values, or points' coordinates, of a head.
    const fn head_sums(dims: &Dims) -> usize {
        dims.config.head_width + 3 * dims.config.value_points
    }

    fn layout(layout: Layout, dims: &Dims) -> Layout {
        let StructureConfig { heads, pair_width, .. } = dims.config;
        layout
            .add::<i64>(dims.residues)
            .add::<i64>(dims.residues)
            .add::<i32>(dims.residues.saturating_mul(heads))
            .add::<i64>(Self::head_sums(dims))
            .add::<i64>(heads * pair_width)
            .add::<i32>(ROWS * dims.config.output_part(0))
            .add::<i32>(ROWS * heads * pair_width)
    }

    fn carve(arena: &mut Arena<'m>, dims: &Dims) -> Result<Self, ArenaError> {
        let StructureConfig { heads, pair_width, .. } = dims.config;
        Ok(Self {
            scores: arena.take(dims.residues)?,
            distances: arena.take(dims.residues)?,
            weights: arena.take(dims.residues * heads)?,
            sums: arena.take(Self::head_sums(dims))?,
            pair_sums: arena.take(heads * pair_width)?,
            points: arena.take(ROWS * dims.config.output_part(0))?,
            pairs: arena.take(ROWS * heads * pair_width)?,
        })
    }
}
