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
use super::rows::{Stored, TILE, add, layer_norm};
use super::run::{Pass, RunError};
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::fixed::requantize;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::attention::{pack, unpack};
use crate::kernels::linear::{GROUP, Linear, PANEL};

/// Which edges are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Outgoing edges.
    Outgoing,
    /// Incoming edges: the pair representation is transposed.
    Incoming,
}

/// Bits of the largest channel of a product in the unit that its LayerNorm reads.
const PRODUCT_BITS: i32 = 22;

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
    /// All of it.
    pub all: Layout,
}

/// Codes in a row of operands: one for each k, padded.
const fn row_len(dims: &Dims) -> usize {
    dims.residues.next_multiple_of(GROUP)
}

/// The operands of a panel of 16 residues: rows `[width, 16, row_len]`, panels `[width, row_len / 4, 16, 4]`, scales of both
/// `[width, 16]`.
pub fn operands(dims: &Dims) -> Operands {
    let width = dims.config.pair_width;
    let codes = width * PANEL * row_len(dims);
    let panels = Layout::new().add::<i8>(codes);
    let row_scales = panels.add::<i8>(codes);
    let panel_scales = row_scales.add::<u32>(width * PANEL);
    Operands { panels, row_scales, panel_scales, all: panel_scales.add::<u32>(width * PANEL) }
}

/// A worker's scratch while it makes operands.
#[derive(Debug)]
pub struct ProjectScratch<'m> {
    pairs: PairScratch<'m>,
    /// Operands of one residue, `[width, row_len]`, activation units: of the rows, then of the panels.
    operands: [&'m mut [i32]; 2],
    /// Codes of one row.
    codes: &'m mut [i8],
}

impl<'m> ProjectScratch<'m> {
    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let count = dims.config.pair_width * row_len(dims);
        PairScratch::layout(dims).add::<i32>(count).add::<i32>(count).add::<i8>(row_len(dims))
    }

    fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let count = dims.config.pair_width * row_len(dims);
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: PairScratch::take(dims, &mut arena)?,
            operands: [arena.take(count)?, arena.take(count)?],
            codes: arena.take(row_len(dims))?,
        })
    }
}

/// A worker's scratch while it multiplies.
#[derive(Debug)]
pub struct ProductScratch<'m> {
    pairs: PairScratch<'m>,
    /// Products of 16 by 16 pairs, `[16, 16, width]`.
    products: &'m mut [i32],
    /// One channel of a product in the common unit of its pair, `[width]`.
    row: &'m mut [i32],
    /// Gates of the output, `[16, width]`.
    gates: &'m mut [i32],
}

impl<'m> ProductScratch<'m> {
    /// Its bytes.
    pub fn layout(dims: &Dims) -> Layout {
        let width = dims.config.pair_width;
        PairScratch::layout(dims)
            .add::<i32>(PANEL * PANEL * width)
            .add::<i32>(width)
            .add::<i32>(PANEL * width)
    }

    fn carve(dims: &Dims, chunk: &'m mut [u8]) -> Result<Self, ArenaError> {
        let width = dims.config.pair_width;
        let mut arena = Arena::new(chunk)?;
        Ok(Self {
            pairs: PairScratch::take(dims, &mut arena)?,
            products: arena.take(PANEL * PANEL * width)?,
            row: arena.take(width)?,
            gates: arena.take(PANEL * width)?,
        })
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
        executor.for_each(trunk.operands, record, trunk.scratch, &|panel, chunk, scratch| {
            // Both chunks are as long as the layouts say, so carving them succeeds.
            if let Ok(scratch) = ProjectScratch::carve(dims, scratch) {
                let _ = self.project(pass, direction, panel, stored, read, chunk, scratch);
            }
        });
        let operands = &*trunk.operands;
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
        for r in 0..PANEL {
            let i = panel * PANEL + r;
            if i < dims.residues {
                let pairs = pair.get(i * dims.pair_rows()..).unwrap_or_default();
                self.residue(pass, direction, stored, pairs, &mut scratch);
            } else {
                scratch.operands.iter_mut().for_each(|operands| operands.fill(0));
            }
            let ProjectScratch { operands: [of_rows, of_panels], codes, .. } = &mut scratch;
            for (channel, values) in of_rows.chunks_exact(row_len).enumerate() {
                let at = channel * PANEL + r;
                let out = &mut rows[at * row_len..][..row_len];
                row_scales[at] = pack((pass.backend.quantize_row)(values, &[], out));
            }
            for (channel, values) in of_panels.chunks_exact(row_len).enumerate() {
                panel_scales[channel * PANEL + r] = pack((pass.backend.quantize_row)(values, &[], codes));
                let panel = panels[channel * PANEL * row_len..].chunks_exact_mut(PANEL * GROUP);
                for (out, group) in panel.zip(codes.chunks_exact(GROUP)) {
                    out[r * GROUP..][..GROUP].copy_from_slice(group);
                }
            }
        }
        Ok(())
    }

    /// Fills `scratch.operands` from the pairs of one residue.
    fn residue(
        &self,
        pass: &Pass,
        direction: Direction,
        stored: &Stored,
        pairs: &[u8],
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
            let input = |row: usize, x: &mut [i32]| {
                let epsilon = dims.config.epsilon_pair;
                layer_norm(pass.backend, &self.norm_in, epsilon, &stream[row * width..][..width], x);
            };
            codes.apply(pass.backend, &self.projections, count, input, outputs);
            for (row, outputs) in outputs.chunks_exact_mut(4 * width).take(count).enumerate() {
                let (of_a, of_b) = outputs.split_at_mut(2 * width);
                for (values, out) in [(of_a, &mut *a), (of_b, &mut *b)] {
                    let (values, gate) = values.split_at_mut(width);
                    (pass.backend.gate)(values, gate);
                    // Channel by channel, so that a channel's values lie together.
                    for (out, &value) in out.chunks_exact_mut(row_len).zip(&*values) {
                        out[from + row] = value;
                    }
                }
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
        for other in 0..dims.panels {
            let panels: &[i8] = piece(of(other), offsets.panels, count);
            let channels = rows.chunks_exact(PANEL * row_len).zip(panels.chunks_exact(PANEL * row_len));
            for (channel, (rows, panel)) in channels.enumerate() {
                let mut sums = [0; PANEL * PANEL];
                (pass.backend.product)(rows, panel, row_len, &mut sums);
                // Each pair's channels together, as its LayerNorm reads them.
                for (product, sum) in scratch.products.chunks_exact_mut(width).zip(sums) {
                    product[channel] = sum;
                }
            }
            let panel_scales: &[u32] = piece(of(other), offsets.panel_scales, width * PANEL);
            for r in 0..dims.panel_rows(panel) {
                let at = r * dims.pair_rows() + other * PANEL * stored.code_row;
                let pairs = codes.get_mut(at..).unwrap_or_default();
                let scales = Scales { rows: row_scales, panels: panel_scales, row: r };
                self.update(pass, dims.panel_rows(other), &scales, stored, next, pairs, &mut scratch);
            }
        }
    }

    /// Updates up to 16 pairs of one residue, whose products are in `scratch.products`.
    #[expect(clippy::too_many_arguments, reason = "one tile's inputs and outputs")]
    fn update(
        &self,
        pass: &Pass,
        count: usize,
        scales: &Scales,
        stored: &Stored,
        next: &Stored,
        pairs: &mut [u8],
        scratch: &mut ProductScratch,
    ) {
        let config = &pass.dims.config;
        let width = config.pair_width;
        let ProductScratch { pairs: PairScratch { stream, update, codes, .. }, products, row, gates } =
            scratch;
        let (stream, update) = (&mut stream[..count * width], &mut update[..count * width]);
        stored.decode(pass.backend, pairs, stream);
        let input = |index: usize, x: &mut [i32]| {
            let values = &stream[index * width..][..width];
            layer_norm(pass.backend, &self.norm_in, config.epsilon_pair, values, x);
        };
        codes.apply(pass.backend, &self.gate, count, input, gates);
        let products = &products[scales.row * PANEL * width..];
        let input = |index: usize, x: &mut [i32]| {
            let epsilon = scales.common(index, &products[index * width..][..width], row);
            let epsilon = scaled_epsilon(config.epsilon_product, epsilon);
            layer_norm(pass.backend, &self.norm_out, epsilon, row, x);
        };
        codes.apply(pass.backend, &self.output, count, input, update);
        (pass.backend.gate)(update, &gates[..count * width]);
        add(stream, update);
        next.encode(pass.backend, stream, pairs);
    }
}

/// Typed values of a panel's operands; nothing if they are too short.
fn piece<T: bytemuck::Pod>(bytes: &[u8], at: Layout, count: usize) -> &[T] {
    let at = at.bytes().unwrap_or(usize::MAX);
    let bytes = bytes.get(at..).and_then(|rest| rest.get(..count * size_of::<T>())).unwrap_or_default();
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// The scales of the products of one residue with a panel of others.
struct Scales<'s> {
    /// `[width, 16]`
    rows: &'s [u32],
    /// `[width, 16]`
    panels: &'s [u32],
    /// The residue's place in its panel.
    row: usize,
}

impl Scales<'_> {
    /// Brings the channels of the product with the panel's residue `index` to a common unit `2^E` times that of a product of two
    /// activations, such that the largest has at most [`PRODUCT_BITS`] bits; returns E.
    fn common(&self, index: usize, product: &[i32], out: &mut [i32]) -> i32 {
        let scale = |channel: usize| {
            let [row, panel] = [(self.rows, self.row), (self.panels, index)]
                .map(|(scales, place)| unpack(scales.get(channel * PANEL + place).copied().unwrap_or(0)));
            // Below 2^30.
            let mantissa = i32::from(row.mantissa & 0x7fff) * i32::from(panel.mantissa & 0x7fff);
            (mantissa, i32::from(row.exponent) + i32::from(panel.exponent))
        };
        let bits = |(channel, &value): (usize, &i32)| {
            let (mantissa, exponent) = scale(channel);
            let magnitude = u64::from(value.unsigned_abs()) * u64::from(mantissa.unsigned_abs());
            if magnitude == 0 { i32::MIN } else { 64 - magnitude.leading_zeros() as i32 + exponent }
        };
        let largest = product.iter().enumerate().map(bits).max().unwrap_or(i32::MIN);
        let unit = if largest == i32::MIN { 0 } else { largest - PRODUCT_BITS };
        for (channel, (out, &value)) in out.iter_mut().zip(product).enumerate() {
            let (mantissa, exponent) = scale(channel);
            *out = requantize(value, mantissa, unit - exponent);
        }
        unit
    }
}

/// `epsilon` in squares of a unit that is `2^exponent` times as large.
fn scaled_epsilon(epsilon: u64, exponent: i32) -> u64 {
    let places = 2 * exponent;
    if places >= 0 {
        epsilon.checked_shr(places as u32).unwrap_or(0)
    } else if places.unsigned_abs() > epsilon.leading_zeros() {
        u64::MAX
    } else {
        epsilon << places.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::TokenScale;
    use std::vec::Vec;

    #[test]
    fn products_come_to_a_unit_that_holds_the_largest() {
        let packed = |mantissa: u16, exponent: i8| pack(TokenScale { mantissa, exponent });
        // Three channels; the residue is at place 2, the other at place 5.
        let mut rows = [0; 3 * PANEL];
        let mut panels = [0; 3 * PANEL];
        for (channel, exponent) in [-20i8, 3, -28].into_iter().enumerate() {
            rows[channel * PANEL + 2] = packed(20_000 + channel as u16, exponent);
            panels[channel * PANEL + 5] = packed(30_000, -10);
        }
        let scales = Scales { rows: &rows, panels: &panels, row: 2 };
        let product = [1_000_000, -77, 5];
        let mut out = [0; 3];
        let unit = scales.common(5, &product, &mut out);
        let real: Vec<f64> = [-20, 3, -28]
            .iter()
            .enumerate()
            .map(|(c, &e)| {
                f64::from(product[c]) * (20_000 + c) as f64 * 30_000.0 * libm::exp2(f64::from(e) - 10.0)
            })
            .collect();
        for (out, real) in out.iter().zip(real) {
            assert!(
                (f64::from(*out) * libm::exp2(unit.into()) - real).abs() <= 0.5 * libm::exp2(unit.into())
            );
        }
        let largest = out.iter().map(|v| v.unsigned_abs()).max().unwrap();
        assert!((1 << 21..=1 << 22).contains(&largest), "{out:?}");
    }

    #[test]
    fn a_product_of_zeros_stays_zero() {
        let scales = Scales { rows: &[0; PANEL], panels: &[0; PANEL], row: 0 };
        let mut out = [7];
        assert_eq!((scales.common(0, &[0], &mut out), out), (0, [0]));
    }

    #[test]
    fn epsilon_follows_the_unit() {
        assert_eq!(
            [scaled_epsilon(1000, 2), scaled_epsilon(1000, -2), scaled_epsilon(9, 0)],
            [62, 16_000, 9]
        );
        assert_eq!(
            [scaled_epsilon(1 << 40, -20), scaled_epsilon(1, 40), scaled_epsilon(1, 32)],
            [u64::MAX, 0, 0]
        );
        assert_eq!(scaled_epsilon(0, -40), u64::MAX);
    }
}
