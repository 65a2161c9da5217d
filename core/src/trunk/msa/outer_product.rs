//! What an MSA adds to the pairs: the outer product of two residues' channels, summed over the rows that keep
//! both, by a linear layer; divided by the number of those rows.
//!
//! For a residue i the left sides and the weights are multiplied first: to a matrix from all rows' right sides
//! to the channels of a pair. Quantized, it is a linear layer that is made while the model runs; the pairs of
//! i with all others are one product by it. So no outer product is ever held, and a pair takes as many
//! multiplications as there are rows times channels of a side times channels of a pair.

use super::memory::Memory;
use super::outer_shares::Shares;
use super::outer_sides::{AllSides, SideScratch, SideWeights, Sides, has};
use super::scratch::{LEFT_ROWS, ProductScratch};
use super::shape::Setting;
use crate::arena::{Arena, ArenaError, bytes_of};
use crate::fixed::{ACT_FRAC, TokenScale};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::attention::store_keys;
use crate::kernels::linear::{Epilogue, Linear, PANEL};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;
use crate::nn::Norm;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{Formats, Stream};

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct OuterProduct<'a> {
    norm: Norm<'a>,
    /// `width` to both sides, the left one first.
    projection: Linear<'a>,
    /// A left side to a matrix, `[outer width, pair width]`, from a right side to what it adds to a pair.
    weights: Linear<'a>,
    /// Added to the sum, pair units.
    bias: &'a [i32],
    /// Fractional bits of the pair unit, at most 16.
    pair_frac: u32,
}

impl<'a> OuterProduct<'a> {
    /// Reads the tensors of the block `name`, for an MSA representation of `width` channels, sides of `outer`
    /// channels, and pairs of `pair_width` channels in units of `2^-pair_frac`.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        [width, outer, pair_width]: [usize; 3],
        pair_frac: u32,
    ) -> Result<Self, FormatError> {
        let name = join(name, "outer_product");
        let norm = Norm::load(file, &join(&name, "norm"), width)?;
        let projection = Linear::load(file, &join(&name, "projection"), width, 2 * outer)?;
        let weights = Linear::load(file, &join(&name, "weights"), outer, outer * pair_width)?;
        let bias = file.part(&name, "bias", &[pair_width])?;
        Ok(Self { norm, projection, weights, bias, pair_frac })
    }

    /// Adds to the pair representation. `msa` is `[residues, rows]`.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        msa: &Stream,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        let Setting { context, shape, .. } = *on;
        let Memory { records, shares, scratch, .. } = memory;
        shares.fill(self.bias);
        let record = bytes_of(|counter| Sides::take(counter, shape))?;
        let records = records.get_mut(..record.saturating_mul(shape.tiles())).unwrap_or_default();
        let weights = SideWeights { norm: &self.norm, projection: &self.projection };
        context.for_each(records, record, scratch, |tile, chunk, mut scratch| {
            let sides = Sides::take(&mut Arena::new(chunk)?, shape)?;
            weights.run(on, tile, msa, sides, SideScratch::take(&mut scratch, shape)?);
            Ok(())
        })?;
        let sides = AllSides { shape, records, record };
        let shares = &*shares;
        context.for_each(pair, shape.trunk.pair_row(), scratch, |i, codes, mut scratch| {
            let scratch = ProductScratch::take(&mut scratch, shape)?;
            self.row(on, i, (&sides, shares), formats, codes, scratch)
        })
    }

    /// Adds to the pairs of residue `i`.
    fn row(
        &self,
        on: &Setting,
        i: usize,
        (sides, shares): (&AllSides, &Shares<Arena>),
        formats: &Formats,
        codes: &mut [u8],
        mut scratch: ProductScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, residues) = (shape.trunk.pair.width, shape.trunk.residues);
        let (left, kept) = sides.of(i / TILE)?.left(shape, i % TILE);
        self.matrix(on, (left, kept), &mut scratch);
        let ProductScratch { codes: some, matrix, weight, bias, mantissa, shift, row_sum, stream, .. } =
            scratch;
        bias.fill(0);
        for first in (0..width).step_by(PANEL) {
            let values = matrix.get(first * shape.outer_row()..).unwrap_or_default();
            let rows = Rows { values, width: shape.outer_inputs(), stride: shape.outer_row() };
            let panel = &mut weight[first * shape.outer_row()..][..PANEL * shape.outer_row()];
            let channels = first..width.min(first + PANEL);
            let panel = PanelParts {
                weight: panel,
                mantissa: &mut mantissa[channels.clone()],
                shift: &mut shift[channels.clone()],
                row_sum: &mut row_sum[channels],
            };
            panel.fill(on, rows, some, ACT_FRAC + 1 + ACT_FRAC.saturating_sub(self.pair_frac));
        }
        let linear = Linear::from_parts(weight, bias, mantissa, shift, row_sum, &[], shape.outer_inputs());
        let linear = linear.map_err(|_| ArenaError::TooLarge)?;
        for (tile, from) in (0..residues).step_by(TILE).enumerate() {
            let count = TILE.min(residues - from);
            let others = sides.of(tile)?;
            let stream = &mut stream[..count * width];
            let codes = codes.get_mut(from * shape.trunk.pair.code_row..).unwrap_or_default();
            formats.before.decode(backend, codes, stream);
            let mut scales = [TokenScale::covering(0, 0); TILE];
            let pairs = stream.chunks_exact_mut(width.max(1)).zip(&mut scales);
            for (place, (pair, scale)) in pairs.enumerate() {
                let common = others.common(shape, place, kept);
                *scale = others.scale(place).times(shares.of(common));
                add(pair, shares.bias(common, width));
            }
            let rows = others.right.get(..count * shape.outer_row()).unwrap_or_default();
            (backend.gemm)(&linear, rows, &scales[..count], formats.after.epilogue(codes), stream);
        }
        Ok(())
    }

    /// Fills `scratch.matrix` from a residue's left sides.
    fn matrix(&self, on: &Setting, (left, kept): (&[i32], &[u32]), scratch: &mut ProductScratch<Arena>) {
        let (backend, shape) = (on.context.backend, on.shape);
        let (width, outer, row_len) = (shape.trunk.pair.width, shape.outer_width, shape.outer_row());
        let ProductScratch { tile, products, matrix, .. } = scratch;
        // Masked rows have columns of zeros; the others get theirs from the left sides in their order.
        for row in (0..shape.rows).filter(|&row| !has(kept, row)) {
            let columns = matrix.chunks_exact_mut(row_len.max(1));
            columns.for_each(|columns| columns[row * outer..][..outer].fill(0));
        }
        let mut rows = (0..shape.rows).filter(|&row| has(kept, row));
        for left in left.chunks((LEFT_ROWS * outer).max(1)) {
            let count = left.len() / outer.max(1);
            tile.apply(backend, &self.weights, count, Rows::new(left, outer), Epilogue::Store, products);
            let matrices = products.chunks_exact((outer * width).max(1)).take(count);
            for (product, row) in matrices.zip(rows.by_ref()) {
                (backend.transpose)(Rows::new(product, width), outer, &mut matrix[row * outer..], row_len);
            }
        }
    }
}

/// Sixteen outputs of the linear layer that is made.
struct PanelParts<'p> {
    weight: &'p mut [i8],
    mantissa: &'p mut [u16],
    shift: &'p mut [i8],
    row_sum: &'p mut [i32],
}

impl PanelParts<'_> {
    /// Quantizes the rows of a matrix, as many as there are outputs. A product of codes, times both scales and
    /// `2^-shift`, is in the units of the outputs. `codes` is memory.
    fn fill(self, on: &Setting, rows: Rows, codes: &mut [i8], shift: u32) {
        let row_len = on.shape.outer_row();
        let count = self.mantissa.len();
        let mut scales = [TokenScale::covering(0, 0); PANEL];
        (on.context.backend.quantize_rows)(rows, &[], codes, &mut scales[..count]);
        if count < PANEL {
            self.weight.fill(0);
        }
        store_keys(&codes[..count * row_len], row_len, 0, self.weight);
        let parts = self.mantissa.iter_mut().zip(self.shift).zip(self.row_sum);
        for (part, (codes, scale)) in parts.zip(codes.chunks_exact(row_len.max(1)).zip(scales)) {
            let ((mantissa, of_scale), row_sum) = part;
            // A Linear's mantissas have 16 bits, those of scales 15.
            *mantissa = scale.mantissa << 1;
            *of_scale = (shift as i32 - i32::from(scale.exponent)) as i8;
            *row_sum = codes.iter().map(|&code| i32::from(code)).sum();
        }
    }
}
