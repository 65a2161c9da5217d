//! Tiles of rows on their way through linear layers.

use super::norm::Norm;
use crate::arena::{Arena, ArenaError, Reader, Source};
use crate::fixed::TokenScale;
use crate::kernels::Backend;
use crate::kernels::attention::{pack, unpack};
use crate::kernels::linear::{Epilogue, Linear, row_len};
use crate::kernels::rows::Rows;

/// Rows that linear layers work on at a time where rows are short, so that their outputs stay in the L1
/// cache.
pub const TILE: usize = 32;

/// Most rows of a tile.
pub const TILE_MAX: usize = 64;

/// Rows before they are quantized, and quantized.
#[derive(Debug)]
pub struct QuantizedTile<S: Source> {
    codes: S::Piece<i8>,
    scales: [TokenScale; TILE_MAX],
    rows: S::Piece<i32>,
}

impl<S: Source> QuantizedTile<S> {
    /// For up to [`TILE`] rows of up to `inputs` channels, any number of which may have two limbs.
    pub fn take(source: &mut S, inputs: usize) -> Result<Self, ArenaError> {
        Self::of_rows(source, TILE, inputs, inputs)
    }

    /// For up to `rows` rows (at most [`TILE_MAX`]) of up to `inputs` channels, of which those that are made
    /// here have up to `width`.
    pub fn of_rows(source: &mut S, rows: usize, inputs: usize, width: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            codes: source.take(rows * row_len(inputs, inputs))?,
            scales: [TokenScale::covering(0, 0); TILE_MAX],
            rows: source.take(rows * width)?,
        })
    }
}

impl QuantizedTile<Arena<'_>> {
    /// The rows before they are quantized, to be made: [`apply_made`](Self::apply_made) is what follows.
    pub fn rows(&mut self) -> &mut [i32] {
        self.rows
    }

    /// Makes rows one after another, `width` values each.
    pub fn make(&mut self, rows: usize, width: usize, mut fill: impl FnMut(usize, &mut [i32])) {
        let made = &mut self.rows[..rows * width];
        made.chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, x)| fill(row, x));
    }

    /// Makes the LayerNorm of the rows of `x`, `[rows, width]`.
    pub fn make_norm(&mut self, backend: &Backend, norm: &Norm, epsilon: u64, x: &[i32]) {
        norm.apply(backend, epsilon, x, &mut self.rows[..x.len()]);
    }

    /// Quantizes the first `rows` rows that were made, multiplies them by `linear`, and keeps their codes.
    pub fn apply_made(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        epilogue: Epilogue,
        out: &mut [i32],
    ) {
        let made = Rows::new(self.rows, linear.inputs());
        linear.apply(backend, made, self.codes, &mut self.scales[..rows], epilogue, out);
    }

    /// As [`apply_made`](Self::apply_made), of rows that lie elsewhere.
    pub fn apply(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        inputs: Rows,
        epilogue: Epilogue,
        out: &mut [i32],
    ) {
        linear.apply(backend, inputs, self.codes, &mut self.scales[..rows], epilogue, out);
    }

    /// [`Backend::gemm`] by `linear` of the rows that were quantized for it, or for one with the same
    /// outliers.
    pub fn gemm(&self, backend: &Backend, linear: &Linear, rows: usize, epilogue: Epilogue, out: &mut [i32]) {
        let out = &mut out[..rows * linear.outputs()];
        (backend.gemm)(linear, &self.codes[..rows * linear.row_len()], &self.scales[..rows], epilogue, out);
    }

    /// Writes the `rows` rows that were quantized for `linear` to `out`, where they are rows `from` on.
    pub fn save(&self, linear: &Linear, rows: usize, out: &mut QuantizedRows<Arena>, from: usize) {
        let row_len = linear.row_len();
        out.codes[from * row_len..][..rows * row_len].copy_from_slice(&self.codes[..rows * row_len]);
        for (out, &scale) in out.scales[from..][..rows].iter_mut().zip(&self.scales) {
            *out = pack(scale);
        }
    }

    /// The reverse of [`save`](Self::save).
    pub fn restore(&mut self, linear: &Linear, rows: usize, saved: &QuantizedRows<Reader>, from: usize) {
        let row_len = linear.row_len();
        self.codes[..rows * row_len].copy_from_slice(&saved.codes[from * row_len..][..rows * row_len]);
        for (scale, &saved) in self.scales.iter_mut().zip(&saved.scales[from..][..rows]) {
            *scale = unpack(saved);
        }
    }
}

/// Quantized rows that an operation saves for its next step, so that it makes them once.
#[derive(Debug)]
pub struct QuantizedRows<S: Source> {
    scales: S::Piece<u32>,
    codes: S::Piece<i8>,
}

impl<S: Source> QuantizedRows<S> {
    /// For `rows` rows of at most `row_len` codes.
    pub fn take(source: &mut S, rows: usize, row_len: usize) -> Result<Self, ArenaError> {
        Ok(Self { scales: source.take(rows)?, codes: source.take(rows.saturating_mul(row_len))? })
    }
}
