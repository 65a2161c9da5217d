//! Tiles of rows on their way through Linears.

use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::fixed::{ACT_FRAC, TokenScale};
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, row_len};
use crate::quant::Site;

/// Rows that Linears work on at a time, so that their outputs stay in the cache.
pub const TILE: usize = 32;

/// Quantized rows, and one row before it is quantized.
#[derive(Debug)]
pub struct Codes<'m> {
    codes: &'m mut [i8],
    scales: [TokenScale; TILE],
    row: &'m mut [i32],
}

impl<'m> Codes<'m> {
    /// For rows of up to `inputs` channels, any number of which may have two limbs.
    pub fn layout(layout: Layout, inputs: usize) -> Layout {
        layout.add::<i8>(TILE * row_len(inputs, inputs)).add::<i32>(inputs)
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(arena: &mut Arena<'m>, inputs: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            codes: arena.take(TILE * row_len(inputs, inputs))?,
            scales: [TokenScale::covering(0, 0); TILE],
            row: arena.take(inputs)?,
        })
    }

    /// Quantizes `rows` rows (at most [`TILE`]) for `linear`; `fill` makes each of them in activation units.
    pub fn quantize(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        mut fill: impl FnMut(usize, &mut [i32]),
    ) {
        let row = &mut self.row[..linear.inputs()];
        let codes = self.codes.chunks_exact_mut(linear.row_len().max(1)).take(rows);
        for (index, (codes, scale)) in codes.zip(&mut self.scales).enumerate() {
            fill(index, row);
            *scale = (backend.quantize_row)(row, linear.outliers(), codes);
        }
    }

    /// Outputs of `linear` for the rows that were quantized for it, or for one with the same outliers.
    pub fn gemm(&self, backend: &Backend, linear: &Linear, rows: usize, out: &mut [i32]) {
        let out = &mut out[..rows * linear.outputs()];
        (backend.gemm)(linear, &self.codes[..rows * linear.row_len()], &self.scales[..rows], out);
    }

    /// [`quantize`](Self::quantize), then [`gemm`](Self::gemm).
    pub fn apply(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        fill: impl FnMut(usize, &mut [i32]),
        out: &mut [i32],
    ) {
        self.quantize(backend, linear, rows, fill);
        self.gemm(backend, linear, rows, out);
    }
}

/// How rows of a representation are stored: a code row each `code_row` bytes, whatever the site's width.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'s> {
    /// Their codec.
    pub site: Site<'s>,
    /// Bytes from one row to the next.
    pub code_row: usize,
}

impl Stored<'_> {
    /// Decodes as many whole rows of `codes` as `x` holds.
    pub fn decode(&self, backend: &Backend, codes: &[u8], x: &mut [i32]) {
        let width = self.site.exponents.len().max(1);
        for (x, codes) in x.chunks_exact_mut(width).zip(codes.chunks_exact(self.code_row.max(1))) {
            (backend.decode)(&self.site, codes, x);
        }
    }

    /// The reverse of [`decode`](Self::decode).
    pub fn encode(&self, backend: &Backend, x: &[i32], codes: &mut [u8]) {
        let width = self.site.exponents.len().max(1);
        for (x, codes) in x.chunks_exact(width).zip(codes.chunks_exact_mut(self.code_row.max(1))) {
            (backend.encode)(&self.site, x, codes);
        }
    }
}

/// LayerNorm of one row.
pub fn layer_norm(backend: &Backend, norm: &Norm, epsilon: u64, x: &[i32], y: &mut [i32]) {
    (backend.layer_norm)(x, norm.gain, norm.bias, epsilon, y);
}

/// `x += update`, saturating.
pub fn add(x: &mut [i32], update: &[i32]) {
    x.iter_mut().zip(update).for_each(|(x, &update)| *x = x.saturating_add(update));
}

/// From activation units to units of `2^-frac`, rounded half up. `frac` is at most 16.
pub const fn to_unit(x: i32, frac: u32) -> i32 {
    let shift = ACT_FRAC.saturating_sub(frac);
    ((x as i64 + ((1 << shift) >> 1)) >> shift) as i32
}

/// From units of `2^-frac` to activation units, saturating.
pub const fn to_activation(x: i32, frac: u32) -> i32 {
    let wide = (x as i64) << ACT_FRAC.saturating_sub(frac);
    if wide > i32::MAX as i64 {
        i32::MAX
    } else if wide < i32::MIN as i64 {
        i32::MIN
    } else {
        wide as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_round_half_up_and_saturate() {
        assert_eq!([to_unit(5, 15), to_unit(-5, 15), to_unit(7, 16)], [3, -2, 7]);
        assert_eq!([to_unit(i32::MAX, 0), to_unit(i32::MIN, 0)], [32768, -32768]);
        assert_eq!([to_activation(3, 14), to_activation(-3, 16)], [12, -3]);
        assert_eq!([to_activation(1 << 20, 0), to_activation(-(1 << 20), 0)], [i32::MAX, i32::MIN]);
    }
}
