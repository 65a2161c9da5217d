//! Triangle multiplication: a pair (i, j) is updated from the pairs that i and j form with all other residues k.
//!
//! Outgoing edges: `sum over k of a[i, k] * b[j, k]`. Incoming edges, `sum over k of a[k, i] * b[k, j]`, are computed on the
//! transposed representation: there the pair (r, s) is the pair (s, r) of the untransposed one, and its sum is that of
//! `b[r, k] * a[s, k]`; so a and b change places.
//!
//! Operands are 8-bit codes with a scale for each residue and channel, which all of a sum's products share: the sum is an exact
//! i32. Its LayerNorm is over channels of different scales, so they are brought to a common unit first, chosen for
//! each pair so that nothing overflows however large the product is (it exceeds half precision in esmfold_v1).

use super::config::Config;
use super::memory::{Dims, PairScratch, Trunk};
use super::rows::{Saved, SavedRows, Stored, TILE, piece};
use super::run::{Pass, RunError};
use super::scaled_epsilon::scaled_epsilon;
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::fixed::TokenScale;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::Backend;
use crate::kernels::attention::{pack, store_key};
use crate::kernels::linear::{GROUP, Linear, PANEL, Then};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;

/// Residues of a panel that are multiplied with a tile of others at a time.
const ROWS: usize = 8;

/// Channels that are quantized at a time.
const CHANNELS: usize = 16;

/// Products of one channel with a panel.
const PRODUCTS: usize = ROWS * PANEL;

/// Which edges are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Outgoing edges.
    Outgoing,
    /// Incoming edges: the pair representation is transposed.
    Incoming,
}

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct TriangleMultiplication<'a> {
    norm_in: Norm<'a>,
    /// a, a's gate, b, b's gate: `width` to `4 * width`.
    projections: Linear<'a>,
    /// The output's gate: `width` to `width`; reads the same rows as the projections.
    gate: Linear<'a>,
    norm_out: Norm<'a>,
    /// `width` to `width`, pair units.
    output: Linear<'a>,
}

/// Where the parts of a panel's operands start.
pub struct Operands {
    panels: Layout,
    row_scales: Layout,
    panel_scales: Layout,
    saved: Layout,
    /// All of it.
    pub all: Layout,
}

/// Codes in a row of operands: one for each k, padded.
const fn row_len(dims: &Dims) -> usize {
    dims.residues.next_multiple_of(GROUP)
}

/// The operands of a panel of 16 residues: rows `[width, 16, row_len]`, panels `[width, row_len / 4, 16, 4]`, scales of both
/// `[16, width]`; and the rows that they were made from, quantized, `[16, residues]`, which the output's gate reads.
pub fn operands(dims: &Dims) -> Operands {
    let width = dims.config.pair_width;
    let codes = width * PANEL * row_len(dims);
    let panels = Layout::new().add::<i8>(codes);
    let row_scales = panels.add::<i8>(codes);
    let panel_scales = row_scales.add::<u32>(width * PANEL);
    let saved = panel_scales.add::<u32>(width * PANEL);
    let all = Saved::layout(saved, PANEL * dims.residues, dims.saved_row);
    Operands { panels, row_scales, panel_scales, saved, all }
}

/// A worker's scratch while it makes operands.
#[derive(Debug)]
pub struct ProjectScratch<'m> {
    pairs: PairScratch<'m>,
    /// Operands of one residue, `[width, row_len]`, activation units: of the rows, then of the panels.
    operands: [&'m mut [i32]; 2],
    /// Codes of some rows, `[CHANNELS, row_len]`.
    codes: &'m mut [i8],
}

impl<'m> ProjectScratch<'m> {
    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let count = dims.config.pair_width * row_len(dims);
        PairScratch::layout(dims).add::<i32>(count).add::<i32>(count).add::<i8>(CHANNELS * row_len(dims))
    }

    fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let count = dims.config.pair_width * row_len(dims);
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: PairScratch::take(dims, &mut arena)?,
            operands: [arena.take(count)?, arena.take(count)?],
            codes: arena.take(CHANNELS * row_len(dims))?,
        })
    }
}

/// A worker's scratch while it multiplies.
#[derive(Debug)]
pub struct ProductScratch<'m> {
    pairs: PairScratch<'m>,
    /// Products of some residues with a tile of others, `[ROWS, TILE, width]`.
    products: &'m mut [i32],
    /// The channels of each product in the common unit of its pair, `[TILE, width]`.
    common: &'m mut [i32],
}

impl<'m> ProductScratch<'m> {
    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let width = dims.config.pair_width;
        PairScratch::layout(dims).add::<i32>(ROWS * TILE * width).add::<i32>(TILE * width)
    }

    fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let width = dims.config.pair_width;
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: PairScratch::take(dims, &mut arena)?,
            products: arena.take(ROWS * TILE * width)?,
            common: arena.take(TILE * width)?,
        })
    }

    /// Fills the products of the rows from `from` on with a panel whose first residue is at `place` in the tile; nothing if there is no
    /// panel.
    fn multiply(
        &mut self,
        backend: &Backend,
        [rows, panels]: [&[i8]; 2],
        row_len: usize,
        from: usize,
        place: usize,
        width: usize,
    ) {
        let sums = &mut *self.pairs.outputs;
        let (len, most) = (PANEL * row_len, sums.len() / PRODUCTS);
        let groups = rows.chunks(most * len).zip(panels.chunks(most * len));
        for (group, (rows, panels)) in groups.enumerate() {
            let channels = rows.chunks_exact(len).zip(panels.chunks_exact(len));
            for ((rows, panel), sums) in channels.zip(sums.chunks_exact_mut(PRODUCTS)) {
                let rows = &rows[from * row_len..][..ROWS * row_len];
                (backend.product)(rows, panel, row_len, sums);
            }
            // Each pair's channels together, as its LayerNorm reads them.
            let channels = rows.len() / len;
            for (r, products) in self.products.chunks_exact_mut(TILE * width).enumerate() {
                let products = &mut products[place * width + group * most..];
                let sums = Rows { values: &sums[r * PANEL..], width: PANEL, stride: PRODUCTS };
                (backend.turn)(sums, channels, products, width);
            }
        }
    }
}

impl<'a> TriangleMultiplication<'a> {
    /// Reads the tensors below `name`.
    pub fn load(file: &ModelFile<'a>, name: &str, config: &Config) -> Result<Self, FormatError> {
        let width = config.pair_width;
        let linear = |part, outputs| Linear::load(file, &join(name, part)?, width, outputs);
        let loaded = Self {
            norm_in: Norm::load(file, &join(name, "norm_in")?, width)?,
            projections: linear("projections", 4 * width)?,
            gate: linear("gate", width)?,
            norm_out: Norm::load(file, &join(name, "norm_out")?, width)?,
            output: linear("output", width)?,
        };
        if loaded.gate.outliers() != loaded.projections.outliers() {
            return Err(FormatError::bad_value(name, "gate and projections have other outliers"));
        }
        Ok(loaded)
    }

    /// Codes of a row of pairs that is saved.
    pub const fn saved_row(&self) -> usize {
        self.projections.row_len()
    }

    /// Adds to the pair representation, stored at `stored` and then at `next`.
    #[expect(clippy::too_many_arguments, reason = "an operation's weights, inputs and outputs")]
    pub fn run(
        &self,
        pass: &Pass,
        direction: Direction,
        stored: &Stored,
        next: &Stored,
        pair: &mut [u8],
        trunk: &mut Trunk,
        executor: &dyn Executor,
    ) -> Result<(), RunError> {
        let dims = &pass.dims;
        let record = operands(dims).all.bytes()?;
        let read = &*pair;
        let records = trunk.pair_records.get_mut(..record * dims.panels).unwrap_or_default();
        executor.for_each(records, record, trunk.scratch, &|panel, chunk, scratch| {
            // Both chunks are as long as the layouts say, so carving them succeeds.
            if let Ok(scratch) = ProjectScratch::carve(dims, scratch) {
                let _ = self.project(pass, direction, panel, stored, read, chunk, scratch);
            }
        });
        let operands = &*records;
        executor.for_each(pair, PANEL * dims.pair_rows(), trunk.scratch, &|panel, codes, scratch| {
            if let Ok(scratch) = ProductScratch::carve(dims, scratch) {
                self.multiply(pass, panel, operands, record, stored, next, codes, scratch);
            }
        });
        Ok(())
    }

    /// Makes a panel's operands.
    #[expect(clippy::too_many_arguments, reason = "one panel's inputs and outputs")]
    fn project(
        &self,
        pass: &Pass,
        direction: Direction,
        panel: usize,
        stored: &Stored,
        pair: &[u8],
        chunk: &mut [u8],
        mut scratch: ProjectScratch,
    ) -> Result<(), ArenaError> {
        let dims = &pass.dims;
        let (width, row_len) = (dims.config.pair_width, row_len(dims));
        let mut arena = Arena::new(chunk)?;
        let rows: &mut [i8] = arena.take(width * PANEL * row_len)?;
        let panels: &mut [i8] = arena.take(width * PANEL * row_len)?;
        let row_scales: &mut [u32] = arena.take(width * PANEL)?;
        let panel_scales: &mut [u32] = arena.take(width * PANEL)?;
        let mut saved = Saved::carve(&mut arena, PANEL * dims.residues, dims.saved_row)?;
        for r in 0..PANEL {
            let i = panel * PANEL + r;
            if i < dims.residues {
                let pairs = pair.get(i * dims.pair_rows()..).unwrap_or_default();
                self.residue(pass, direction, stored, pairs, &mut saved, r * dims.residues, &mut scratch);
            } else {
                scratch.operands.iter_mut().for_each(|operands| operands.fill(0));
            }
            let ProjectScratch { operands: [of_rows, of_panels], codes, .. } = &mut scratch;
            quantize(pass.backend, Rows::new(of_rows, row_len), codes, |channel, scale, codes| {
                row_scales[r * width + channel] = pack(scale);
                rows[(channel * PANEL + r) * row_len..][..row_len].copy_from_slice(codes);
            });
            quantize(pass.backend, Rows::new(of_panels, row_len), codes, |channel, scale, codes| {
                panel_scales[r * width + channel] = pack(scale);
                store_key(codes, r, &mut panels[channel * PANEL * row_len..]);
            });
        }
        Ok(())
    }

    /// Fills `scratch.operands` from the pairs of one residue, and saves them quantized as rows `first` on.
    #[expect(clippy::too_many_arguments, reason = "one residue's inputs and outputs")]
    fn residue(
        &self,
        pass: &Pass,
        direction: Direction,
        stored: &Stored,
        pairs: &[u8],
        saved: &mut Saved,
        first: usize,
        scratch: &mut ProjectScratch,
    ) {
        let dims = &pass.dims;
        let (width, row_len) = (dims.config.pair_width, row_len(dims));
        let ProjectScratch { pairs: PairScratch { stream, codes, outputs, .. }, operands, .. } = scratch;
        let [rows, panels] = operands;
        let (a, b) = match direction {
            Direction::Outgoing => (rows, panels),
            Direction::Incoming => (panels, rows),
        };
        for from in (0..dims.residues).step_by(TILE) {
            let count = TILE.min(dims.residues - from);
            let stream = &mut stream[..count * width];
            stored.decode(pass.backend, &pairs[from * stored.code_row..], stream);
            let epsilons = &[dims.config.epsilon_pair; TILE][..count];
            let stream = Rows::new(stream, width);
            codes.apply_to_norm(
                pass.backend,
                &self.projections,
                &self.norm_in,
                epsilons,
                stream,
                Then::Store,
                outputs,
            );
            codes.save(&self.projections, count, saved, first + from);
            // Channel by channel, so that a channel's values lie together.
            for (at, out) in [(0, &mut *a), (2 * width, &mut *b)] {
                let [values, gates] =
                    [at, at + width].map(|at| Rows { values: &outputs[at..], width, stride: 4 * width });
                (pass.backend.turn_gated)(values, gates, count, &mut out[from..], row_len);
            }
        }
        for out in [a, b] {
            out.chunks_exact_mut(row_len).for_each(|row| row[dims.residues..].fill(0));
        }
    }

    /// Updates the pairs of a panel of residues with all others.
    #[expect(clippy::too_many_arguments, reason = "one panel's inputs and outputs")]
    fn multiply(
        &self,
        pass: &Pass,
        panel: usize,
        operands: &[u8],
        record: usize,
        stored: &Stored,
        next: &Stored,
        codes: &mut [u8],
        mut scratch: ProductScratch,
    ) {
        let dims = &pass.dims;
        let (width, row_len) = (dims.config.pair_width, row_len(dims));
        let offsets = self::operands(dims);
        let of = |panel: usize| operands.get(panel * record..).unwrap_or_default();
        let count = width * PANEL * row_len;
        let rows: &[i8] = piece(of(panel), Layout::new(), count);
        let row_scales: &[u32] = piece(of(panel), offsets.row_scales, width * PANEL);
        let saved = SavedRows::read(of(panel), offsets.saved, PANEL * dims.residues, dims.saved_row);
        for first in (0..dims.residues).step_by(TILE) {
            let others = [0, 1].map(|next| of(first / PANEL + next));
            let scales = others.map(|other| piece(other, offsets.panel_scales, width * PANEL));
            for r in 0..dims.panel_rows(panel) {
                if r.is_multiple_of(ROWS) {
                    for (place, other) in others.into_iter().enumerate() {
                        let operands = [rows, piece(other, offsets.panels, count)];
                        scratch.multiply(pass.backend, operands, row_len, r, place * PANEL, width);
                    }
                }
                let tile = Tile {
                    row: r % ROWS,
                    count: TILE.min(dims.residues - first),
                    row_scales: row_scales.get(r * width..).unwrap_or_default(),
                    scales,
                    saved,
                    first: r * dims.residues + first,
                };
                let at = r * dims.pair_rows() + first * stored.code_row;
                let pairs = codes.get_mut(at..).unwrap_or_default();
                self.update(pass, &tile, stored, next, pairs, &mut scratch);
            }
        }
    }

    /// Updates the pairs of a tile, whose products are in `scratch.products`.
    fn update(
        &self,
        pass: &Pass,
        tile: &Tile,
        stored: &Stored,
        next: &Stored,
        pairs: &mut [u8],
        scratch: &mut ProductScratch,
    ) {
        let config = &pass.dims.config;
        let (width, count) = (config.pair_width, tile.count);
        let ProductScratch { pairs: PairScratch { stream, update, codes, .. }, products, common } = scratch;
        let (stream, update) = (&mut stream[..count * width], &mut update[..count * width]);
        let products = &products[tile.row * TILE * width..];
        let mut epsilons = [0; TILE];
        let epsilons = &mut epsilons[..count];
        let pairs_of = products.chunks_exact(width).zip(common.chunks_exact_mut(width));
        for (index, (epsilon, (product, common))) in epsilons.iter_mut().zip(pairs_of).enumerate() {
            let scales = tile.scales[index / PANEL].get(index % PANEL * width..).unwrap_or_default();
            let unit = (pass.backend.common_unit)(tile.row_scales, scales, product, common);
            *epsilon = scaled_epsilon(config.epsilon_product, unit);
        }
        let common = Rows::new(common, width);
        codes.apply_to_norm(
            pass.backend,
            &self.output,
            &self.norm_out,
            epsilons,
            common,
            Then::Store,
            update,
        );
        codes.restore(&self.gate, count, &tile.saved, tile.first);
        codes.gemm(pass.backend, &self.gate, count, Then::Gate, update);
        stored.decode(pass.backend, pairs, stream);
        add(stream, update);
        next.encode(pass.backend, stream, pairs);
    }
}

/// Quantizes rows and calls `store` for each: its number, scale and codes. `codes` is memory for [`CHANNELS`] of them.
fn quantize(
    backend: &Backend,
    rows: Rows,
    codes: &mut [i8],
    mut store: impl FnMut(usize, TokenScale, &[i8]),
) {
    let mut scales = [TokenScale::covering(0, 0); CHANNELS];
    for first in (0..rows.count()).step_by(CHANNELS) {
        let some = Rows { values: &rows.values[first * rows.stride..], ..rows };
        (backend.quantize_rows)(some, &[], codes, &mut scales);
        let quantized = scales.iter().zip(codes.chunks_exact(rows.width)).take(some.count());
        quantized.enumerate().for_each(|(row, (&scale, codes))| store(first + row, scale, codes));
    }
}

/// Pairs of one residue of a panel with up to [`TILE`] others.
struct Tile<'t> {
    /// The residue's place in the products.
    row: usize,
    /// Pairs.
    count: usize,
    /// `[width]`
    row_scales: &'t [u32],
    /// The others' scales, `[16, width]` for each panel of them.
    scales: [&'t [u32]; TILE / PANEL],
    /// What the gate reads; the tile's first pair is row `first`.
    saved: SavedRows<'t>,
    first: usize,
}
