//! The working memory of a pass: what lies where in the arena.
//!
//! Tokens are split into blocks of rows. A block's residual stream and contact rows lie together (its
//! *state*), and so do its queries, keys and values, so that an [`Executor`](crate::executor::Executor) can
//! hand a block to a worker as one chunk of bytes. All of it is sized by [`Dims`].

use super::config::Config;
use super::request::{HiddenLayers, Request, RunError};
use crate::arena::{ArenaError, Source, bytes_of};
use crate::kernels::attention::KEYS_MAX;
use crate::kernels::linear::PANEL;
use crate::nn::attention::{self, Record, RelativeScales};
use crate::nn::quantized_tile::{QuantizedTile, TILE_MAX};

/// Most rows of a block.
const BLOCK_ROWS_MAX: usize = 128;

/// Every size that the arena depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Tokens of the sequence, `<cls>` and `<eos>` included.
    pub tokens: usize,
    /// Rows of a block, a multiple of 16.
    pub block_rows: usize,
    /// Rows of a block that the linear layers work on at a time: enough to read weights seldom, few enough
    /// that their outputs stay in the L1 cache.
    pub tile_rows: usize,
    /// Blocks.
    pub blocks: usize,
    /// Tokens rounded up to an odd multiple of 32, so that the same token of several rows does not share a
    /// set of the L1 cache.
    pub stride: usize,
    /// Bytes of a stored residual value, at the site that takes most.
    pub code_bytes: usize,
    /// Parts of the scratch memory.
    pub workers: usize,
    /// What is asked for.
    pub request: Request,
    /// The model's shape.
    pub config: Config,
}

impl Dims {
    /// Sizes for a sequence of `tokens` tokens.
    pub fn new(
        config: &Config,
        code_bytes: usize,
        tokens: usize,
        workers: usize,
        request: Request,
    ) -> Result<Self, RunError> {
        if tokens < 3 {
            return Err(RunError::EmptyInput);
        }
        if tokens > KEYS_MAX {
            return Err(RunError::TooLong { tokens, limit: KEYS_MAX });
        }
        let workers = workers.max(1);
        let block_rows = block_rows(tokens, workers);
        Ok(Self {
            tokens,
            block_rows,
            tile_rows: block_rows.div_ceil(block_rows.div_ceil(TILE_MAX)),
            blocks: tokens.div_ceil(block_rows),
            stride: (tokens.div_ceil(32) | 1) * 32,
            code_bytes,
            workers,
            request,
            config: *config,
        })
    }

    /// Residues: tokens without `<cls>` and `<eos>`.
    pub const fn residues(&self) -> usize {
        self.tokens - 2
    }

    /// Tokens of a block.
    pub fn rows_of(&self, block: usize) -> usize {
        self.block_rows.min(self.tokens.saturating_sub(block * self.block_rows))
    }

    /// Whether a block begins with the next layer while others still read this one's keys and values, so that
    /// workers meet once a layer. A single worker needs no such thing, nor the memory for it.
    pub const fn projects_ahead(&self) -> bool {
        self.workers > 1
    }

    /// Blocks that have memory for their queries, keys and values of the next layer.
    const fn blocks_ahead(&self) -> usize {
        if self.projects_ahead() { self.blocks } else { 0 }
    }

    /// Bytes from one row of stored codes to the next, at every residual site: sites of different widths
    /// replace each other in place, so a row must never reach into its neighbour.
    pub const fn code_row(&self) -> usize {
        self.config.width * self.code_bytes
    }

    /// Attention maps of the model.
    pub const fn maps(&self) -> usize {
        self.config.layers * self.config.heads
    }

    /// Pairs of residues. Saturates where addresses are narrow: counting then says that it is too large.
    const fn pairs(&self) -> usize {
        self.residues().saturating_mul(self.residues())
    }

    /// Rows of all attention maps, saturating as [`pairs`](Self::pairs) does.
    const fn map_rows(&self) -> usize {
        self.maps().saturating_mul(self.residues())
    }

    const fn if_contacts(&self, count: usize) -> usize {
        if self.request.contacts { count } else { 0 }
    }

    const fn if_logits(&self, count: usize) -> usize {
        if self.request.logits { count } else { 0 }
    }

    /// The attention of a layer: a record for each block.
    pub const fn attention(&self) -> attention::Shape {
        attention::Shape {
            heads: self.config.heads,
            head_width: self.config.head_width(),
            rows: self.block_rows,
            keys: self.tokens,
            stride: self.stride,
            gated: false,
            temperature: self.config.temperature,
        }
    }

    /// Bytes of one block's state.
    pub fn state_bytes(&self) -> Result<usize, ArenaError> {
        bytes_of(|counter| State::take(counter, self))
    }

    /// Bytes of one block's queries, keys and values.
    pub fn record_bytes(&self) -> Result<usize, ArenaError> {
        bytes_of(|counter| Record::take(counter, &self.attention()))
    }

    fn widest_output(&self) -> usize {
        let Config { width, ffn, vocab, .. } = self.config;
        (3 * width).max(ffn).max(vocab)
    }
}

/// Rows of a block: a multiple of 16 that keeps every worker equally busy.
fn block_rows(tokens: usize, workers: usize) -> usize {
    // Every block costs a little by itself. Of several workers one may be late by half a block, for which the
    // others wait.
    let waiting = |rows: usize| if workers > 1 { rows / 2 } else { 0 };
    let cost = |rows: &usize| tokens.div_ceil(*rows).div_ceil(workers) * (rows + 8) + waiting(*rows);
    (1..=BLOCK_ROWS_MAX / PANEL).rev().map(|panels| panels * PANEL).min_by_key(cost).unwrap_or(BLOCK_ROWS_MAX)
}

/// The whole arena.
#[derive(Debug)]
pub struct Memory<S: Source> {
    /// Contact probabilities, `[residues, residues]`.
    pub contacts: S::Piece<u16>,
    /// Logits, `[tokens, vocab]`.
    pub logits: S::Piece<i32>,
    /// `[tokens, head_width / 2]` pairs of cosine and sine.
    pub rotary: S::Piece<[i32; 2]>,
    /// One state a block.
    pub states: S::Piece<u8>,
    /// Queries, keys and values, one record a block.
    pub records: S::Piece<u8>,
    /// Those of the next layer, while blocks still read these; nothing unless [`Dims::projects_ahead`].
    pub next_records: S::Piece<u8>,
    /// Relative scales of keys and values.
    pub scales: RelativeScales<S>,
    /// Row sums of every symmetrised attention map, `[maps, residues]`, unit 2^-16.
    pub map_rows: S::Piece<u32>,
    /// Total of every symmetrised attention map.
    pub map_totals: S::Piece<i64>,
    /// Two rows of hidden states.
    pub hidden: S::Piece<i32>,
    /// The workers' scratch.
    pub scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let hidden = dims.request.hidden != HiddenLayers::None;
        let (state, record) = (dims.state_bytes()?, dims.record_bytes()?);
        let scratch = bytes_of(|counter| Scratch::take(counter, dims))?;
        Ok(Self {
            contacts: source.take(dims.if_contacts(dims.pairs()))?,
            logits: source.take(dims.if_logits(dims.tokens * dims.config.vocab))?,
            rotary: source.take(dims.tokens * (dims.config.head_width() / 2))?,
            states: source.take(state.saturating_mul(dims.blocks))?,
            records: source.take(record.saturating_mul(dims.blocks))?,
            next_records: source.take(record.saturating_mul(dims.blocks_ahead()))?,
            scales: RelativeScales::take(source, &dims.attention())?,
            map_rows: source.take(dims.if_contacts(dims.map_rows()))?,
            map_totals: source.take(dims.if_contacts(dims.maps()))?,
            hidden: source.take(if hidden { 2 * dims.config.width } else { 0 })?,
            scratch: source.take(scratch.saturating_mul(dims.workers))?,
        })
    }
}

/// A block's state.
#[derive(Debug)]
pub struct State<S: Source> {
    /// Codes of the residual stream, `[rows, width]`, a row every [`Dims::code_row`] bytes.
    pub codes: S::Piece<u8>,
    /// Weighted attention maps so far, `[rows, stride]`, contact logit units.
    pub contact_rows: S::Piece<i32>,
    /// Column sums of this block's rows in the layer's maps, `[heads, stride]`.
    pub columns: S::Piece<u32>,
    /// Row sums in the layer's maps, `[heads, rows]`.
    pub row_sums: S::Piece<u32>,
}

impl<S: Source> State<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let (rows, heads) = (dims.block_rows, dims.config.heads);
        Ok(Self {
            codes: source.take(rows * dims.code_row())?,
            contact_rows: source.take(dims.if_contacts(rows * dims.stride))?,
            columns: source.take(dims.if_contacts(heads * dims.stride))?,
            row_sums: source.take(dims.if_contacts(heads * rows))?,
        })
    }
}

/// A worker's scratch.
#[derive(Debug)]
pub struct Scratch<S: Source> {
    /// Decoded rows of the stream, `[tile_rows, width]`.
    pub stream: S::Piece<i32>,
    /// Rows on their way to a linear layer: of the stream's width before, of any after they are quantized.
    pub tile: QuantizedTile<S>,
    /// Outputs of a linear layer.
    pub outputs: S::Piece<i32>,
    /// For attention.
    pub attention: attention::Scratch<S>,
    /// Sums of one row of a contact map.
    pub wide_row: S::Piece<i64>,
}

impl<S: Source> Scratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, dims: &Dims) -> Result<Self, ArenaError> {
        let (rows, width) = (dims.tile_rows, dims.config.width);
        Ok(Self {
            stream: source.take(rows * width)?,
            tile: QuantizedTile::of_rows(source, rows, width.max(dims.config.ffn), width)?,
            outputs: source.take(rows * dims.widest_output())?,
            attention: attention::Scratch::take(source, &dims.attention())?,
            wide_row: source.take(dims.if_contacts(dims.stride))?,
        })
    }
}
