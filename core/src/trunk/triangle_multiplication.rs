//! Triangle multiplication: a pair (i, j) is updated from the pairs that i and j form with all other residues
//! k.
//!
//! Outgoing edges: `sum over k of a[i, k] * b[j, k]`. Incoming edges, `sum over k of a[k, i] * b[k, j]`, are
//! computed on the transposed representation: there the pair (r, s) is the pair (s, r) of the untransposed
//! one, and its sum is that of `b[r, k] * a[s, k]`; so a and b change places.
//!
//! Operands are 8-bit codes with a scale for each residue and channel, which all of a sum's products share:
//! the sum is an exact i32. Its LayerNorm is over channels of different scales, so they are brought to a
//! common unit first, chosen for each pair so that nothing overflows however large the product is (it exceeds
//! half precision in esmfold_v1).

use super::addends::Addends;
use super::scaled_epsilon::scaled_epsilon;
use super::scratch::PairScratch;
use super::shape::{Representation, Setting, Shape};
use crate::arena::{Arena, ArenaError, Reader, Source, bytes_of};
use crate::fixed::TokenScale;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::Backend;
use crate::kernels::attention::{pack, store_key};
use crate::kernels::linear::{Epilogue, GROUP, Linear, PANEL};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation;
use crate::nn::Norm;
use crate::nn::quantized_tile::{QuantizedRows, TILE};
use crate::nn::stream::{Formats, Stream};

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
    direction: Direction,
    norm_in: Norm<'a>,
    /// a, a's gate, b, b's gate: `width` to `4 * width`.
    projections: Linear<'a>,
    /// The output's gate: `width` to `width`; reads the same rows as the projections.
    gate: Linear<'a>,
    norm_out: Norm<'a>,
    /// `width` to `width`, pair units.
    output: Linear<'a>,
}

/// Codes in a row of operands: one for each k, padded.
const fn row_len(shape: &Shape) -> usize {
    shape.residues.next_multiple_of(GROUP)
}

/// The operands of a panel of 16 residues.
#[derive(Debug)]
pub struct Operands<S: Source> {
    /// `[width, 16, row_len]`
    rows: S::Piece<i8>,
    /// `[width, row_len / 4, 16, 4]`
    panels: S::Piece<i8>,
    /// `[16, width]`
    row_scales: S::Piece<u32>,
    /// `[16, width]`
    panel_scales: S::Piece<u32>,
    /// The pairs that they were made from, `[16, residues]`, which the output's gate reads.
    quantized: QuantizedRows<S>,
}

impl<S: Source> Operands<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let scales = shape.pair.width * PANEL;
        let codes = scales.saturating_mul(row_len(shape));
        Ok(Self {
            rows: source.take(codes)?,
            panels: source.take(codes)?,
            row_scales: source.take(scales)?,
            panel_scales: source.take(scales)?,
            quantized: QuantizedRows::take(source, PANEL * shape.residues, shape.quantized_pair)?,
        })
    }
}

/// The operands of all panels, to read.
#[derive(Clone, Copy, Debug)]
pub struct AllOperands<'r> {
    records: &'r [u8],
    record: usize,
}

impl<'r> AllOperands<'r> {
    fn of(&self, panel: usize, shape: &Shape) -> Result<Operands<Reader<'r>>, ArenaError> {
        Operands::take(&mut Reader::of_piece(self.records, panel, self.record), shape)
    }
}

/// A worker's scratch while it makes operands.
#[derive(Debug)]
pub struct ProjectScratch<S: Source> {
    pairs: PairScratch<S>,
    /// Operands of one residue, `[width, row_len]`, activation units: of the rows, then of the panels.
    operands: [S::Piece<i32>; 2],
    /// Codes of some rows, `[CHANNELS, row_len]`.
    codes: S::Piece<i8>,
}

impl<S: Source> ProjectScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let count = shape.pair.width.saturating_mul(row_len(shape));
        Ok(Self {
            pairs: PairScratch::take(source, shape)?,
            operands: [source.take(count)?, source.take(count)?],
            codes: source.take(CHANNELS * row_len(shape))?,
        })
    }
}

/// A worker's scratch while it multiplies.
#[derive(Debug)]
pub struct ProductScratch<S: Source> {
    pairs: PairScratch<S>,
    /// Products of some residues with a tile of others, `[ROWS, TILE, width]`.
    products: S::Piece<i32>,
    /// The channels of each product in the common unit of its pair, `[TILE, width]`.
    common: S::Piece<i32>,
}

impl<S: Source> ProductScratch<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let width = shape.pair.width;
        Ok(Self {
            pairs: PairScratch::take(source, shape)?,
            products: source.take(ROWS * TILE * width)?,
            common: source.take(TILE * width)?,
        })
    }
}

impl ProductScratch<Arena<'_>> {
    /// Fills the products of the rows from `from` on with a panel whose first residue is at `place` in the
    /// tile.
    fn multiply(&mut self, on: &Setting, [rows, panels]: [&[i8]; 2], from: usize, place: usize) {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, row_len) = (shape.pair.width, row_len(shape));
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
                (backend.transpose)(sums, channels, products, width);
            }
        }
    }
}

impl<'a> TriangleMultiplication<'a> {
    /// Reads the tensors below `name`, for pairs of `width` channels.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        direction: Direction,
        width: usize,
    ) -> Result<Self, FormatError> {
        let linear = |part, outputs| Linear::load(file, &join(name, part), width, outputs);
        let norm_in = Norm::load(file, &join(name, "norm_in"), width)?;
        let projections = linear("projections", 4 * width)?;
        let gate = linear("gate", width)?;
        let norm_out = Norm::load(file, &join(name, "norm_out"), width)?;
        let output = linear("output", width)?;
        let loaded = Self { direction, norm_in, projections, gate, norm_out, output };
        if loaded.gate.outliers() != loaded.projections.outliers() {
            return Err(FormatError::bad_value(name, "gate and projections have other outliers"));
        }
        Ok(loaded)
    }

    /// Codes of a quantized pair that is saved.
    pub const fn quantized_pair(&self) -> usize {
        self.projections.row_len()
    }

    /// Adds to the pair representation. `pair_records` and `scratch` are [`Memory`](super::memory::Memory)'s.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        formats: &Formats,
        pair: &mut [u8],
        pair_records: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let stream = Stream { codes: pair, format: formats.before };
        let operands = self.read(on, &stream, pair_records, scratch)?;
        self.add(on, operands, Addends { formats, codes: None }, pair, scratch)
    }

    /// The first half of [`run`](Self::run): all that it reads of `pair`. What comes of it lies in
    /// `pair_records`. Panels are read in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn read<'r>(
        &self,
        on: &Setting,
        pair: &Stream,
        pair_records: &'r mut [u8],
        scratch: &mut [u8],
    ) -> Result<AllOperands<'r>, ArenaError> {
        let Setting { context, shape } = *on;
        let record = bytes_of(|counter| Operands::take(counter, shape))?;
        let records = pair_records.get_mut(..record.saturating_mul(shape.panels())).unwrap_or_default();
        context.for_each(records, record, scratch, |panel, chunk, mut scratch| {
            let operands = Operands::take(&mut Arena::new(chunk)?, shape)?;
            let scratch = ProjectScratch::take(&mut scratch, shape)?;
            self.project(on, panel, pair, operands, scratch);
            Ok(())
        })?;
        Ok(AllOperands { records, record })
    }

    /// The second half: stores the sums of `addends` and of what [`read`](Self::read) has found in `sums`.
    /// Panels of rows are computed in parallel.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn add(
        &self,
        on: &Setting,
        operands: AllOperands,
        addends: Addends,
        sums: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        let chunk = PANEL * addends.sums_row(shape);
        context.for_each(sums, chunk, scratch, |panel, sums, mut scratch| {
            let scratch = ProductScratch::take(&mut scratch, shape)?;
            self.multiply(on, panel, operands, addends, sums, scratch)
        })
    }

    /// Makes a panel's operands.
    fn project(
        &self,
        on: &Setting,
        panel: usize,
        pairs: &Stream,
        mut operands: Operands<Arena>,
        mut scratch: ProjectScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, row_len) = (shape.pair.width, row_len(shape));
        for r in 0..PANEL {
            let i = panel * PANEL + r;
            if i < shape.residues {
                let quantized = (&mut operands.quantized, r * shape.residues);
                self.residue(on, i, pairs, quantized, &mut scratch);
            } else {
                scratch.operands.iter_mut().for_each(|operands| operands.fill(0));
            }
            let ProjectScratch { operands: [of_rows, of_panels], codes, .. } = &mut scratch;
            quantize(backend, Rows::new(of_rows, row_len), codes, |channel, scale, codes| {
                operands.row_scales[r * width + channel] = pack(scale);
                operands.rows[(channel * PANEL + r) * row_len..][..row_len].copy_from_slice(codes);
            });
            quantize(backend, Rows::new(of_panels, row_len), codes, |channel, scale, codes| {
                operands.panel_scales[r * width + channel] = pack(scale);
                store_key(codes, r, &mut operands.panels[channel * PANEL * row_len..]);
            });
        }
    }

    /// Fills `scratch.operands` from the pairs of residue `i`, and saves them quantized as rows `first` on.
    fn residue(
        &self,
        on: &Setting,
        i: usize,
        pairs: &Stream,
        (quantized, first): (&mut QuantizedRows<Arena>, usize),
        scratch: &mut ProjectScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let Shape { residues, pair: Representation { width, epsilon, .. }, .. } = *shape;
        let row_len = row_len(shape);
        let ProjectScratch { pairs: PairScratch { stream, tile, outputs, .. }, operands, .. } = scratch;
        let [rows, panels] = operands;
        let (a, b) = match self.direction {
            Direction::Outgoing => (rows, panels),
            Direction::Incoming => (panels, rows),
        };
        for from in (0..residues).step_by(TILE) {
            let count = TILE.min(residues - from);
            let stream = &mut stream[..count * width];
            pairs.decode(backend, i * residues + from, stream);
            tile.make_norm(backend, &self.norm_in, epsilon, stream);
            tile.apply_made(backend, &self.projections, count, Epilogue::Store, outputs);
            tile.save(&self.projections, count, quantized, first + from);
            // Channel by channel, so that a channel's values lie together.
            for (at, out) in [(0, &mut *a), (2 * width, &mut *b)] {
                let [values, gates] =
                    [at, at + width].map(|at| Rows { values: &outputs[at..], width, stride: 4 * width });
                (backend.transpose_gated)(values, gates, count, &mut out[from..], row_len);
            }
        }
        for out in [a, b] {
            out.chunks_exact_mut(row_len).for_each(|row| row[residues..].fill(0));
        }
    }

    /// Computes the sums of a panel of residues with all others.
    fn multiply(
        &self,
        on: &Setting,
        panel: usize,
        operands: AllOperands,
        addends: Addends,
        sums: &mut [u8],
        mut scratch: ProductScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let shape = on.shape;
        let width = shape.pair.width;
        let own = operands.of(panel, shape)?;
        for first in (0..shape.residues).step_by(TILE) {
            let others = (first / PANEL..shape.panels()).take(TILE / PANEL);
            let mut scales = [&[][..]; TILE / PANEL];
            for (scales, other) in scales.iter_mut().zip(others.clone()) {
                *scales = operands.of(other, shape)?.panel_scales;
            }
            for r in 0..shape.panel_rows(panel) {
                if r.is_multiple_of(ROWS) {
                    for (place, other) in others.clone().enumerate() {
                        let factors = [own.rows, operands.of(other, shape)?.panels];
                        scratch.multiply(on, factors, r, place * PANEL);
                    }
                }
                let tile = Tile {
                    row: r % ROWS,
                    count: TILE.min(shape.residues - first),
                    row_scales: own.row_scales.get(r * width..).unwrap_or_default(),
                    scales,
                    quantized: &own.quantized,
                    first: r * shape.residues + first,
                };
                let at = tile.first * addends.formats.after.code_row;
                let sums = sums.get_mut(at..).unwrap_or_default();
                self.update(on, &tile, panel, addends, sums, &mut scratch);
            }
        }
        Ok(())
    }

    /// Computes the sums of a panel's tile, whose products are in `scratch.products`.
    fn update(
        &self,
        on: &Setting,
        of: &Tile,
        panel: usize,
        addends: Addends,
        sums: &mut [u8],
        scratch: &mut ProductScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, count) = (shape.pair.width, of.count);
        let ProductScratch { pairs: PairScratch { stream, update, tile, .. }, products, common } = scratch;
        let (stream, update) = (&mut stream[..count * width], &mut update[..count * width]);
        let products = &products[of.row * TILE * width..];
        let mut epsilons = [0; TILE];
        let epsilons = &mut epsilons[..count];
        let pairs_of = products.chunks_exact(width).zip(common.chunks_exact_mut(width));
        for (index, (epsilon, (product, common))) in epsilons.iter_mut().zip(pairs_of).enumerate() {
            let scales = of.scales[index / PANEL].get(index % PANEL * width..).unwrap_or_default();
            let unit = (backend.common_unit)(of.row_scales, scales, product, common);
            *epsilon = scaled_epsilon(shape.epsilon_product, unit);
        }
        let common = Rows::new(common, width);
        self.norm_out.apply_each(backend, epsilons, common, &mut tile.rows()[..count * width]);
        tile.apply_made(backend, &self.output, count, Epilogue::Store, update);
        tile.restore(&self.gate, count, of.quantized, of.first);
        tile.gemm(backend, &self.gate, count, Epilogue::Gate, update);
        addends.decode(backend, panel * PANEL * shape.residues + of.first, sums, stream);
        activation::add(stream, update);
        addends.formats.after.encode(backend, stream, sums);
    }
}

/// Quantizes rows and calls `store` for each: its number, scale and codes. `codes` is memory for [`CHANNELS`]
/// of them.
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
    quantized: &'t QuantizedRows<Reader<'t>>,
    first: usize,
}
