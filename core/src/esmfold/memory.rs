//! The sizes of a pass, and what lies in the arena.
//!
//! What lives as long as the pass comes first; the rest is one *shared* region that the language model, the trunk, the
//! structure module and the heads use one after another, each with a layout of its own.

use super::attention_rows::{Attending, Related, Shape};
use super::config::{ATOM_TYPES, Config, PAIR_BINS};
use super::rows::{Codes, TILE};
use super::run::{RunError, Want};
use super::{pair_bias, triangle_attention, triangle_multiplication};
use crate::arena::{Arena, ArenaError, Layout};
use crate::kernels::linear::PANEL;

/// Most residues: what the structure module's sums are proved for.
pub const RESIDUES_MAX: usize = 16_384;

/// Every size that the arena depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Residues, linkers included.
    pub residues: usize,
    /// Panels of 16 residues.
    pub panels: usize,
    /// Residues rounded up to a multiple of 32.
    pub stride: usize,
    /// Parts of the scratch memory.
    pub workers: usize,
    /// Bytes from one stored row of the sequence representation to the next.
    pub sequence_row: usize,
    /// Bytes from one stored row of the pair representation to the next.
    pub pair_row: usize,
    /// Codes of the longest quantized row of pairs that is saved: see [`rows::Saved`](super::rows::Saved).
    pub saved_row: usize,
    /// Channels of the language model.
    pub mix_width: usize,
    /// What is asked for.
    pub want: Want,
    /// The model's shape.
    pub config: Config,
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

    /// Pairs of residues. Saturates where addresses are narrow: the layout then says that it is too large.
    pub const fn pairs(&self) -> usize {
        self.residues.saturating_mul(self.residues)
    }

    /// Bytes of a row of pairs.
    pub const fn pair_rows(&self) -> usize {
        self.residues.saturating_mul(self.pair_row)
    }

    /// Residues of panel `panel`.
    pub fn panel_rows(&self, panel: usize) -> usize {
        self.residues.saturating_sub(panel * PANEL).min(PANEL)
    }

    /// The attention over the sequence: a record for each panel.
    pub const fn sequence_attention(&self) -> Shape {
        Shape {
            heads: self.config.sequence_heads,
            head_width: self.config.sequence_head_width(),
            rows: PANEL,
            keys: self.residues,
            stride: self.stride,
            temperature: self.config.sequence_temperature,
        }
    }

    /// Triangle attention: one record, a row of pairs.
    pub const fn triangle_attention(&self) -> Shape {
        Shape {
            heads: self.config.pair_heads,
            head_width: self.config.pair_head_width(),
            rows: self.panels * PANEL,
            keys: self.residues,
            stride: self.stride,
            temperature: self.config.pair_temperature,
        }
    }

    /// The bias of the attention over the sequence.
    pub const fn sequence_bias(&self) -> pair_bias::Shape {
        let Self { stride, config: Config { sequence_heads: heads, .. }, .. } = *self;
        pair_bias::Shape { heads, stride, saved: 0, row_len: 0 }
    }

    /// The bias of triangle attention, and what its rows start from.
    pub const fn triangle_bias(&self) -> pair_bias::Shape {
        let Self { stride, residues, saved_row, config: Config { pair_heads: heads, .. }, .. } = *self;
        pair_bias::Shape { heads, stride, saved: residues, row_len: saved_row }
    }

    /// What the operation that needs most keeps of all pairs while it works.
    fn pair_records(&self) -> Layout {
        let rows = |bias: pair_bias::Shape| Layout::new().repeat(bias.record(), self.residues);
        let operands = Layout::new().repeat(triangle_multiplication::operands(self).all, self.panels);
        most([rows(self.sequence_bias()), rows(self.triangle_bias()), operands])
    }

    /// The bytes that live as long as the pass.
    fn kept(&self) -> Layout {
        let Config { sequence_width, structure, .. } = self.config;
        Layout::new()
            .add::<[[i32; 3]; 14]>(self.residues)
            .add::<u16>(self.residues * ATOM_TYPES)
            .add::<u16>(if self.want.aligned_error { self.pairs() } else { 0 })
            .add::<u16>(self.want.chain_scores.saturating_mul(self.want.chain_scores))
            .add::<i32>(if self.want.distogram { self.pairs().saturating_mul(PAIR_BINS) } else { 0 })
            .add::<i32>(self.residues * structure.width)
            .add::<[i32; 3]>(self.residues)
            .add::<i32>(self.residues * sequence_width)
            .add::<u8>(self.residues * self.sequence_row)
            .add::<u8>(self.residues.saturating_mul(self.pair_rows()))
    }

    /// The whole arena, whose shared region holds what needs most.
    pub fn layout(&self, shared: usize) -> Layout {
        self.kept().add::<u8>(shared)
    }

    /// The trunk's part of the shared region.
    pub fn trunk_layout(&self) -> Layout {
        let record = self.sequence_attention().record();
        let layout = Layout::new().repeat(self.pair_records(), 1).repeat(record, self.panels);
        Related::layout(layout, &self.sequence_attention())
            .add::<i32>(self.residues * self.config.pair_width)
            .repeat(self.scratch_layout(), self.workers)
    }

    /// One worker's scratch in the trunk: what the operation that needs most needs.
    fn scratch_layout(&self) -> Layout {
        most([
            SequenceScratch::layout(self),
            PairScratch::layout(self),
            triangle_multiplication::ProjectScratch::layout(self),
            triangle_multiplication::ProductScratch::layout(self),
            triangle_attention::RowScratch::layout(self),
        ])
    }
}

/// The largest of layouts, or one that is too large.
fn most<const N: usize>(needs: [Layout; N]) -> Layout {
    needs.into_iter().fold(Layout::new(), |most, need| match (most.bytes(), need.bytes()) {
        (Ok(a), Ok(b)) if a >= b => most,
        (Err(_), _) => most,
        _ => need,
    })
}

/// What lives as long as the pass.
#[derive(Debug)]
pub struct Kept<'m> {
    /// Atoms of the last structure, `atom14`, unit 2^-16 angstrom.
    pub atoms: &'m mut [[[i32; 3]; 14]],
    /// pLDDT of every atom, `atom37`, unit 2^-16.
    pub plddt: &'m mut [[u16; ATOM_TYPES]],
    /// Predicted aligned error, `[residues, residues]`.
    pub aligned_error: &'m mut [u16],
    /// TM-scores of pairs of chains, `[chains, chains]`.
    pub chain_scores: &'m mut [u16],
    /// Logits of the distogram, `[residues, residues, 64]`.
    pub distogram: &'m mut [i32],
    /// The structure module's last state, `[residues, structure.width]`, activation units.
    pub state: &'m mut [i32],
    /// Virtual CB atoms of the pass before, unit 2^-16 angstrom.
    pub cbs: &'m mut [[i32; 3]],
    /// The embedded sequence, `[residues, sequence_width]`, sequence units.
    pub embedded: &'m mut [i32],
    /// The sequence representation's codes.
    pub sequence: &'m mut [u8],
    /// The pair representation's codes.
    pub pair: &'m mut [u8],
    /// The shared region.
    pub shared: &'m mut [u8],
}

impl<'m> Kept<'m> {
    /// Carves what [`Dims::layout`] counts.
    pub fn carve(dims: &Dims, shared: usize, memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        let needed = dims.layout(shared).bytes()?;
        let given = memory.len();
        let memory = memory.get_mut(..needed).ok_or(ArenaError::TooSmall { needed, given })?;
        let mut arena = Arena::new(memory)?;
        let residues = dims.residues;
        Ok(Self {
            atoms: arena.take(residues)?,
            plddt: arena.take::<u16>(residues * ATOM_TYPES)?.as_chunks_mut().0,
            aligned_error: arena.take(if dims.want.aligned_error { dims.pairs() } else { 0 })?,
            chain_scores: arena.take(dims.want.chain_scores.saturating_mul(dims.want.chain_scores))?,
            distogram: arena.take(if dims.want.distogram { dims.pairs() * PAIR_BINS } else { 0 })?,
            state: arena.take(residues * dims.config.structure.width)?,
            cbs: arena.take(residues)?,
            embedded: arena.take(residues * dims.config.sequence_width)?,
            sequence: arena.take(residues * dims.sequence_row)?,
            pair: arena.take(residues * dims.pair_rows())?,
            shared: arena.take(shared)?,
        })
    }
}

/// The trunk's part of the shared region.
#[derive(Debug)]
pub struct Trunk<'m> {
    /// What an operation keeps of all pairs: attention's bias, or the operands of triangle multiplication.
    pub pair_records: &'m mut [u8],
    /// Records of the attention over the sequence, one a panel.
    pub records: &'m mut [u8],
    /// Their relative scales.
    pub related: Related<'m>,
    /// Projections of the sequence that make pairs, `[residues, pair_width]`, activation units.
    pub outer: &'m mut [i32],
    /// The workers' scratch.
    pub scratch: &'m mut [u8],
}

impl<'m> Trunk<'m> {
    /// Carves what [`Dims::trunk_layout`] counts.
    pub fn carve(dims: &Dims, memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        let mut arena = Arena::new(memory)?;
        let shape = dims.sequence_attention();
        Ok(Self {
            pair_records: arena.take(dims.pair_records().bytes()?)?,
            records: arena.take(shape.record().bytes()? * dims.panels)?,
            related: Related::carve(&mut arena, &shape)?,
            outer: arena.take(dims.residues * dims.config.pair_width)?,
            scratch: arena.take(dims.scratch_layout().bytes()? * dims.workers)?,
        })
    }
}

/// A worker's scratch for operations on a panel of the sequence.
#[derive(Debug)]
pub struct SequenceScratch<'m> {
    /// Decoded rows, `[16, width]`.
    pub stream: &'m mut [i32],
    /// Context or updates, `[16, width]`.
    pub update: &'m mut [i32],
    /// Quantized rows.
    pub codes: Codes<'m>,
    /// Outputs of the widest Linear, `[16, 4 * width]`.
    pub outputs: &'m mut [i32],
    /// For attention.
    pub attending: Attending<'m>,
}

impl<'m> SequenceScratch<'m> {
    fn layout(dims: &Dims) -> Layout {
        let width = dims.config.sequence_width;
        let layout = Layout::new().add::<i32>(PANEL * width).add::<i32>(PANEL * width);
        let layout = Codes::layout(layout, 4 * width).add::<i32>(PANEL * 4 * width);
        Attending::layout(layout, &dims.sequence_attention())
    }

    /// Carves what its layout counts.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let width = dims.config.sequence_width;
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            stream: arena.take(PANEL * width)?,
            update: arena.take(PANEL * width)?,
            codes: Codes::carve(&mut arena, 4 * width)?,
            outputs: arena.take(PANEL * 4 * width)?,
            attending: Attending::carve(&mut arena, &dims.sequence_attention())?,
        })
    }
}

/// A worker's scratch for operations on pairs, tile by tile.
#[derive(Debug)]
pub struct PairScratch<'m> {
    /// Decoded rows, `[TILE, width]`.
    pub stream: &'m mut [i32],
    /// Updates, `[TILE, width]`.
    pub update: &'m mut [i32],
    /// Quantized rows.
    pub codes: Codes<'m>,
    /// Outputs of the widest Linear, `[TILE, 4 * width]` or one value a head.
    pub outputs: &'m mut [i32],
}

impl<'m> PairScratch<'m> {
    const fn outputs(dims: &Dims) -> usize {
        let (wide, heads) = (4 * dims.config.pair_width, dims.config.sequence_heads);
        TILE * if wide > heads { wide } else { heads }
    }

    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let width = dims.config.pair_width;
        let layout = Layout::new().add::<i32>(TILE * width).add::<i32>(TILE * width);
        Codes::layout(layout, 4 * width).add::<i32>(Self::outputs(dims))
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        Self::take(dims, &mut Arena::new(chunk)?)
    }

    /// As [`carve`](Self::carve), from an arena.
    pub fn take(dims: &Dims, arena: &mut Arena<'m>) -> Result<Self, ArenaError> {
        let width = dims.config.pair_width;
        Ok(Self {
            stream: arena.take(TILE * width)?,
            update: arena.take(TILE * width)?,
            codes: Codes::carve(arena, 4 * width)?,
            outputs: arena.take(Self::outputs(dims))?,
        })
    }
}
