//! Tiles of rows on their way through Linears.

use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::Norm;
use crate::fixed::{ACT_FRAC, TokenScale};
use crate::kernels::Backend;
use crate::kernels::attention::{pack, unpack};
use crate::kernels::linear::{Coded, Linear, Then, row_len};
use crate::kernels::rows::Rows;
use crate::quant::Site;

/// Rows that Linears work on at a time, so that their outputs stay in the cache.
pub const TILE: usize = 32;

/// Quantized rows, and rows before they are quantized.
#[derive(Debug)]
pub struct Codes<'m> {
    codes: &'m mut [i8],
    scales: [TokenScale; TILE],
    rows: &'m mut [i32],
}

impl<'m> Codes<'m> {
    /// For rows of up to `inputs` channels, any number of which may have two limbs.
    pub fn layout(layout: Layout, inputs: usize) -> Layout {
        layout.add::<i8>(TILE * row_len(inputs, inputs)).add::<i32>(TILE * inputs)
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(arena: &mut Arena<'m>, inputs: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            codes: arena.take(TILE * row_len(inputs, inputs))?,
            scales: [TokenScale::covering(0, 0); TILE],
            rows: arena.take(TILE * inputs)?,
        })
    }

    /// [`Backend::gemm`] by `linear` of the rows that were quantized for it, or for one with the same outliers.
    pub fn gemm(&self, backend: &Backend, linear: &Linear, rows: usize, then: Then, out: &mut [i32]) {
        let out = &mut out[..rows * linear.outputs()];
        (backend.gemm)(linear, &self.codes[..rows * linear.row_len()], &self.scales[..rows], then, out);
    }

    /// Writes the `rows` rows that were quantized for `linear` to `out`, where they are rows `from` on.
    pub fn save(&self, linear: &Linear, rows: usize, out: &mut Saved, from: usize) {
        let row_len = linear.row_len();
        out.codes[from * row_len..][..rows * row_len].copy_from_slice(&self.codes[..rows * row_len]);
        for (out, &scale) in out.scales[from..][..rows].iter_mut().zip(&self.scales) {
            *out = pack(scale);
        }
    }

    /// The reverse of [`save`](Self::save).
    pub fn restore(&mut self, linear: &Linear, rows: usize, saved: &SavedRows, from: usize) {
        let row_len = linear.row_len();
        self.codes[..rows * row_len].copy_from_slice(&saved.codes[from * row_len..][..rows * row_len]);
        for (scale, &saved) in self.scales.iter_mut().zip(&saved.scales[from..][..rows]) {
            *scale = unpack(saved);
        }
    }

    /// [`Linear::apply`] to the first `rows` (at most [`TILE`]) of `inputs`, whose codes are kept.
    pub fn apply(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        inputs: Rows,
        then: Then,
        out: &mut [i32],
    ) {
        linear.apply(backend, inputs, self.codes, &mut self.scales[..rows], then, out);
    }

    /// [`apply`](Self::apply) to the LayerNorm of rows, each with its epsilon; rows beyond the last one are not read.
    #[expect(clippy::too_many_arguments, reason = "two operations' weights, inputs and outputs")]
    pub fn apply_to_norm(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        norm: &Norm,
        epsilons: &[u64],
        x: Rows,
        then: Then,
        out: &mut [i32],
    ) {
        let rows = epsilons.len();
        (backend.layer_norm_rows)(x, norm.gain, norm.bias, epsilons, &mut self.rows[..rows * x.width]);
        self.apply_to_made(backend, linear, rows, then, out);
    }

    /// [`apply`](Self::apply) to rows that `fill` makes one after another.
    pub fn apply_with(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        mut fill: impl FnMut(usize, &mut [i32]),
        then: Then,
        out: &mut [i32],
    ) {
        let width = linear.inputs();
        let inputs = &mut self.rows[..rows * width];
        inputs.chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, x)| fill(row, x));
        self.apply_to_made(backend, linear, rows, then, out);
    }

    fn apply_to_made(
        &mut self,
        backend: &Backend,
        linear: &Linear,
        rows: usize,
        then: Then,
        out: &mut [i32],
    ) {
        let made = Rows::new(self.rows, linear.inputs());
        linear.apply(backend, made, self.codes, &mut self.scales[..rows], then, out);
    }
}

/// Quantized rows that an operation saves for its next step, so that it makes them once.
#[derive(Debug)]
pub struct Saved<'m> {
    scales: &'m mut [u32],
    codes: &'m mut [i8],
}

impl<'m> Saved<'m> {
    /// For `rows` rows of at most `row_len` codes.
    pub fn layout(layout: Layout, rows: usize, row_len: usize) -> Layout {
        layout.add::<u32>(rows).add::<i8>(rows.saturating_mul(row_len))
    }

    /// Carves what [`layout`](Self::layout) counts.
    pub fn carve(arena: &mut Arena<'m>, rows: usize, row_len: usize) -> Result<Self, ArenaError> {
        Ok(Self { scales: arena.take(rows)?, codes: arena.take(rows * row_len)? })
    }
}

/// [`Saved`], to read.
#[derive(Clone, Copy, Debug)]
pub struct SavedRows<'r> {
    scales: &'r [u32],
    codes: &'r [i8],
}

impl<'r> SavedRows<'r> {
    /// Those that lie at `at` in `record`.
    pub fn read(record: &'r [u8], at: Layout, rows: usize, row_len: usize) -> Self {
        let codes = piece(record, at.add::<u32>(rows), rows * row_len);
        Self { scales: piece(record, at, rows), codes }
    }
}

/// `count` values of a record from an offset on; nothing if the record is too short.
pub fn piece<T: bytemuck::Pod>(record: &[u8], at: Layout, count: usize) -> &[T] {
    let at = at.bytes().unwrap_or(usize::MAX);
    let bytes = record.get(at..).and_then(|rest| rest.get(..count * size_of::<T>())).unwrap_or_default();
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
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
        (backend.decode)(&self.site, codes, self.code_row, x);
    }

    /// What stores a representation's last update in `codes`.
    pub const fn then<'o>(&'o self, codes: &'o mut [u8]) -> Then<'o> {
        Then::Encode(Coded { site: &self.site, codes, code_row: self.code_row })
    }

    /// The reverse of [`decode`](Self::decode).
    pub fn encode(&self, backend: &Backend, x: &[i32], codes: &mut [u8]) {
        (backend.encode)(&self.site, x, codes, self.code_row);
    }
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
