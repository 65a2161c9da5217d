//! Stored residual streams: codes of rows, and the units on both sides of them.

use crate::fixed::ACT_FRAC;
use crate::fixed::saturate::to_i32;
use crate::kernels::Backend;
use crate::kernels::linear::{CodeRows, Epilogue};
use crate::quant::Site;

/// How the rows of a residual stream are stored: a code row each `code_row` bytes, whatever the site's width,
/// since sites of different widths replace each other in place.
#[derive(Clone, Copy, Debug)]
pub struct StreamFormat<'s> {
    /// The codec and the channels' exponents.
    pub site: Site<'s>,
    /// Bytes from one row to the next.
    pub code_row: usize,
}

/// How a residual stream is stored before and after an update.
#[derive(Clone, Copy, Debug)]
pub struct Formats<'s> {
    /// As the operation finds it.
    pub before: StreamFormat<'s>,
    /// As it leaves it.
    pub after: StreamFormat<'s>,
}

impl StreamFormat<'_> {
    /// The same, with a row each `code_row` bytes.
    #[must_use]
    pub const fn each(self, code_row: usize) -> Self {
        Self { code_row, ..self }
    }

    /// Decodes as many whole rows of `codes` as `x` holds.
    pub fn decode(&self, backend: &Backend, codes: &[u8], x: &mut [i32]) {
        (backend.decode)(&self.site, codes, self.code_row, x);
    }

    /// What stores a stream's last update in `codes`.
    pub const fn epilogue<'o>(&'o self, codes: &'o mut [u8]) -> Epilogue<'o> {
        Epilogue::Encode(CodeRows { site: &self.site, codes, code_row: self.code_row })
    }

    /// The reverse of [`decode`](Self::decode).
    pub fn encode(&self, backend: &Backend, x: &[i32], codes: &mut [u8]) {
        (backend.encode)(&self.site, x, codes, self.code_row);
    }
}

/// A stored residual stream, to read.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'s> {
    /// The codes of all rows.
    pub codes: &'s [u8],
    /// How they are stored.
    pub format: StreamFormat<'s>,
}

impl Stream<'_> {
    /// Decodes as many rows from row `first` on as `x` holds.
    pub fn decode(&self, backend: &Backend, first: usize, x: &mut [i32]) {
        let codes = self.codes.get(first.saturating_mul(self.format.code_row)..).unwrap_or_default();
        self.format.decode(backend, codes, x);
    }
}

/// From activation units to units of `2^-frac`, rounded half up. `frac` is at most 16.
pub const fn to_unit(x: i32, frac: u32) -> i32 {
    let shift = ACT_FRAC.saturating_sub(frac);
    ((x as i64 + ((1 << shift) >> 1)) >> shift) as i32
}

/// From units of `2^-frac` to activation units, saturating.
pub const fn to_activation(x: i32, frac: u32) -> i32 {
    to_i32((x as i64) << ACT_FRAC.saturating_sub(frac))
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
