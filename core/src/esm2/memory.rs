//! The working memory of a pass: what lies where in the arena.
//!
//! Tokens are split into blocks of rows. A block's residual stream and contact rows lie together (its *state*), and so do its
//! queries, keys and values, so that an [`Executor`](crate::executor::Executor) can hand a block to a worker as one chunk of
//! bytes. All of it is sized by [`Dims`].

use super::config::Config;
use super::run::{HiddenLayers, RunError, Want};
use crate::arena::{Arena, ArenaError, Layout};
use crate::fixed::TokenScale;
use crate::kernels::attention::{KEYS_MAX, QUERY_TILE};
use crate::kernels::head_store::HeadStore;
use crate::kernels::linear::{PANEL, row_len};

/// Most rows that the linear layers work on at a time: enough to read weights seldom, few enough that their outputs stay in the cache.
pub const ROW_TILE: usize = 64;

/// Most rows of a block.
const BLOCK_ROWS_MAX: usize = 128;

/// Every size that the arena depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Tokens of the sequence, `<cls>` and `<eos>` included.
    pub tokens: usize,
    /// Rows of a block, a multiple of 16.
    pub block_rows: usize,
    /// Rows of a block that the linear layers work on at a time, at most [`ROW_TILE`].
    pub tile_rows: usize,
    /// Blocks.
    pub blocks: usize,
    /// Tokens rounded up to an odd multiple of 32, so that the same token of several rows does not share a set of the first cache.
    pub stride: usize,
    /// Bytes of a stored residual value, at the site that takes most.
    pub code_bytes: usize,
    /// Longest quantized row.
    pub row_len: usize,
    /// Parts of the scratch memory.
    pub workers: usize,
    /// What is asked for.
    pub want: Want,
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
        want: Want,
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
            tile_rows: block_rows.div_ceil(block_rows.div_ceil(ROW_TILE)),
            blocks: tokens.div_ceil(block_rows),
            stride: (tokens.div_ceil(32) | 1) * 32,
            code_bytes,
            // A site may make every channel an outlier.
            row_len: row_len(config.width.max(config.ffn), config.width.max(config.ffn)),
            workers,
            want,
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

    /// Whether a block begins with the next layer while others still read this one's keys and values, so that workers meet once a layer. A
    /// single worker needs no such thing, nor the memory for it.
    pub const fn projects_ahead(&self) -> bool {
        self.workers > 1
    }

    /// Blocks that have memory for their queries, keys and values of the next layer.
    const fn blocks_ahead(&self) -> usize {
        if self.projects_ahead() { self.blocks } else { 0 }
    }

    /// Bytes from one row of stored codes to the next, at every residual site: sites of different widths replace each
    /// other in place, so a row must never reach into its neighbour.
    pub const fn code_row(&self) -> usize {
        self.config.width * self.code_bytes
    }

    /// Attention maps of the model.
    pub const fn maps(&self) -> usize {
        self.config.layers * self.config.heads
    }

    /// Pairs of residues. Saturates where addresses are narrow: the layout then says that it is too large.
    const fn pairs(&self) -> usize {
        self.residues().saturating_mul(self.residues())
    }

    /// Rows of all attention maps, saturating as [`pairs`](Self::pairs) does.
    const fn map_rows(&self) -> usize {
        self.maps().saturating_mul(self.residues())
    }

    fn if_contacts(&self, count: usize) -> usize {
        if self.want.contacts { count } else { 0 }
    }

    fn if_logits(&self, count: usize) -> usize {
        if self.want.logits { count } else { 0 }
    }

    /// Bytes of one block's state.
    pub fn state_layout(&self) -> Layout {
        let rows = self.block_rows;
        Layout::new()
            .add::<u8>(rows * self.code_row())
            .add::<i32>(self.if_contacts(rows * self.stride))
            .add::<u32>(self.if_contacts(self.config.heads * self.stride))
            .add::<u32>(self.if_contacts(self.config.heads * rows))
    }

    /// Bytes of one block's queries, keys and values.
    pub fn heads_layout(&self) -> HeadsLayout {
        let codes = self.block_rows * self.config.width;
        let scales = self.block_rows * self.config.heads;
        let queries = Layout::new();
        let keys = queries.add::<i8>(codes);
        let values = keys.add::<i8>(codes);
        let all = values.add::<i8>(codes).add::<u32>(scales).add::<u32>(scales).add::<u32>(scales);
        HeadsLayout { keys, values, all }
    }

    /// Carves what [`heads_layout`](Self::heads_layout) counts.
    pub fn heads<'m>(&self, chunk: &'m mut [u8]) -> Result<HeadStore<'m>, ArenaError> {
        let Config { heads, .. } = self.config;
        HeadStore::take(&mut Arena::new(chunk)?, heads, self.block_rows, self.config.head_width())
    }

    /// Bytes of one worker's scratch.
    pub fn scratch_layout(&self) -> Layout {
        let (rows, width) = (self.tile_rows, self.config.width);
        Layout::new()
            .add::<i32>(rows * width)
            .add::<i32>(rows * width)
            .add::<i8>(rows * self.row_len)
            .add::<i32>(rows * self.widest_output())
            .add::<i32>(QUERY_TILE * self.stride)
            .add::<i16>(QUERY_TILE * self.stride)
            .add::<i64>(self.if_contacts(self.stride))
    }

    fn widest_output(&self) -> usize {
        let Config { width, ffn, vocab, .. } = self.config;
        (3 * width).max(ffn).max(vocab)
    }

    /// Bytes of the whole arena.
    pub fn layout(&self) -> Layout {
        let heads = self.config.heads;
        Layout::new()
            .add::<u16>(self.if_contacts(self.pairs()))
            .add::<i32>(self.if_logits(self.tokens * self.config.vocab))
            .add::<[i32; 2]>(self.tokens * (self.config.head_width() / 2))
            .repeat(self.state_layout(), self.blocks)
            .repeat(self.heads_layout().all, self.blocks)
            .repeat(self.heads_layout().all, self.blocks_ahead())
            .add::<i16>(heads * self.stride)
            .add::<i16>(heads * self.stride)
            .add::<u32>(heads * self.stride)
            .add::<u32>(2 * heads)
            .add::<u32>(self.if_contacts(self.map_rows()))
            .add::<i64>(self.if_contacts(self.maps()))
            .add::<i32>(if self.want.hidden == HiddenLayers::None { 0 } else { 2 * self.config.width })
            .repeat(self.scratch_layout(), self.workers)
    }
}

/// Where the parts of a block's queries, keys and values start.
#[derive(Clone, Copy, Debug)]
pub struct HeadsLayout {
    /// What lies before the keys.
    pub keys: Layout,
    /// What lies before the values.
    pub values: Layout,
    /// All of it.
    pub all: Layout,
}

/// Rows of a block: a multiple of 16 that keeps every worker equally busy.
fn block_rows(tokens: usize, workers: usize) -> usize {
    // Every block costs a little by itself. Of several workers one may be late by half a block, for which the others wait.
    let waiting = |rows: usize| if workers > 1 { rows / 2 } else { 0 };
    let cost = |rows: &usize| tokens.div_ceil(*rows).div_ceil(workers) * (rows + 8) + waiting(*rows);
    (1..=BLOCK_ROWS_MAX / PANEL).rev().map(|panels| panels * PANEL).min_by_key(cost).unwrap_or(BLOCK_ROWS_MAX)
}

/// The arena, carved.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Contact probabilities, `[residues, residues]`.
    pub contacts: &'m mut [u16],
    /// Logits, `[tokens, vocab]`.
    pub logits: &'m mut [i32],
    /// `[tokens, head_width / 2]` pairs of cosine and sine.
    pub rotary: &'m mut [[i32; 2]],
    /// One state a block.
    pub states: &'m mut [u8],
    /// Queries, keys and values, one piece a block.
    pub heads: &'m mut [u8],
    /// Those of the next layer, while blocks still read these; nothing unless [`Dims::projects_ahead`].
    pub next_heads: &'m mut [u8],
    /// Relative key scales, `[heads, stride]`.
    pub key_scale: &'m mut [i16],
    /// Relative value scales, `[heads, stride]`.
    pub value_scale: &'m mut [i16],
    /// Packed token scales of one kind, `[heads, stride]`, while they are made relative.
    pub gathered: &'m mut [u32],
    /// The largest key scale of every head, then the largest value scale.
    pub largest: &'m mut [u32],
    /// Row sums of every symmetrised attention map, `[maps, residues]`, unit 2^-16.
    pub map_rows: &'m mut [u32],
    /// Total of every symmetrised attention map.
    pub map_totals: &'m mut [i64],
    /// Two rows of hidden states.
    pub hidden: &'m mut [i32],
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
        let heads = dims.config.heads;
        let pieces = |layout: Layout, count: usize| Ok::<_, ArenaError>(layout.bytes()? * count);
        Ok(Self {
            contacts: arena.take(dims.if_contacts(dims.pairs()))?,
            logits: arena.take(dims.if_logits(dims.tokens * dims.config.vocab))?,
            rotary: arena.take(dims.tokens * (dims.config.head_width() / 2))?,
            states: arena.take(pieces(dims.state_layout(), dims.blocks)?)?,
            heads: arena.take(pieces(dims.heads_layout().all, dims.blocks)?)?,
            next_heads: arena.take(pieces(dims.heads_layout().all, dims.blocks_ahead())?)?,
            key_scale: arena.take(heads * dims.stride)?,
            value_scale: arena.take(heads * dims.stride)?,
            gathered: arena.take(heads * dims.stride)?,
            largest: arena.take(2 * heads)?,
            map_rows: arena.take(dims.if_contacts(dims.map_rows()))?,
            map_totals: arena.take(dims.if_contacts(dims.maps()))?,
            hidden: arena.take(if dims.want.hidden == HiddenLayers::None {
                0
            } else {
                2 * dims.config.width
            })?,
            scratch: arena.take(pieces(dims.scratch_layout(), dims.workers)?)?,
        })
    }
}

/// A block's state.
#[derive(Debug)]
pub struct State<'m> {
    /// Codes of the residual stream, `[rows, width]`, a row every [`Dims::code_row`] bytes.
    pub codes: &'m mut [u8],
    /// Weighted attention maps so far, `[rows, stride]`, contact logit units.
    pub contact_rows: &'m mut [i32],
    /// Column sums of this block's rows in the layer's maps, `[heads, stride]`.
    pub columns: &'m mut [u32],
    /// Row sums in the layer's maps, `[heads, rows]`.
    pub row_sums: &'m mut [u32],
}

impl<'m> State<'m> {
    /// Carves what [`Dims::state_layout`] counts.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let rows = dims.block_rows;
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            codes: arena.take(rows * dims.code_row())?,
            contact_rows: arena.take(dims.if_contacts(rows * dims.stride))?,
            columns: arena.take(dims.if_contacts(dims.config.heads * dims.stride))?,
            row_sums: arena.take(dims.if_contacts(dims.config.heads * rows))?,
        })
    }
}

/// A worker's scratch.
#[derive(Debug)]
pub struct Scratch<'m> {
    /// Decoded rows of the stream, `[tile_rows, width]`.
    pub stream: &'m mut [i32],
    /// Context vectors, or other rows on their way to a linear layer, `[tile_rows, width]`.
    pub context: &'m mut [i32],
    /// Quantized rows.
    pub codes: &'m mut [i8],
    /// Their scales.
    pub scales: [TokenScale; ROW_TILE],
    /// Outputs of a linear layer.
    pub outputs: &'m mut [i32],
    /// `[QUERY_TILE, stride]`
    pub scores: &'m mut [i32],
    /// `[QUERY_TILE, stride]`
    pub weights: &'m mut [i16],
    /// Sums of one row of a contact map.
    pub wide_row: &'m mut [i64],
}

impl<'m> Scratch<'m> {
    /// Carves what [`Dims::scratch_layout`] counts.
    pub fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let (rows, width) = (dims.tile_rows, dims.config.width);
        let mut arena = Arena::new(chunk)?;
        let (stream, context) = (arena.take(rows * width)?, arena.take(rows * width)?);
        let codes = arena.take(rows * dims.row_len)?;
        Ok(Self {
            stream,
            context,
            codes,
            scales: [TokenScale::covering(0, 0); ROW_TILE],
            outputs: arena.take(rows * dims.widest_output())?,
            scores: arena.take(QUERY_TILE * dims.stride)?,
            weights: arena.take(QUERY_TILE * dims.stride)?,
            wide_row: arena.take(dims.if_contacts(dims.stride))?,
        })
    }
}
