//! The stored residual stream.

use super::multiply::{upper, upper_each};
use crate::kernels::scalar;
use crate::quant::{Codec, EXPONENT_MAX, Piecewise, STREAM_MAX, Site, Step, VALUE_MAX};

/// The specification's [`decode`](scalar::residual::decode).
#[inline(always)]
pub fn decode(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
    match site.codec {
        Codec::Wide { step } if fits(site, step.saturating_mul(32_768)) => {
            let rows = x.chunks_mut(site.exponents.len().max(1)).zip(codes.chunks(code_row.max(1)));
            for (x, codes) in rows {
                let codes = codes.as_chunks::<2>().0;
                for ((x, &e), &code) in x.iter_mut().zip(site.exponents).zip(codes) {
                    *x = (i32::from(i16::from_le_bytes(code)) * step) << e;
                }
            }
        }
        _ => scalar::residual::decode(site, codes, code_row, x),
    }
}

/// The specification's [`encode`](scalar::residual::encode), 16 bits `N` values at a time. `upper` is [`upper_each`].
#[inline(always)]
pub fn encode<const N: usize>(
    site: &Site,
    x: &[i32],
    codes: &mut [u8],
    code_row: usize,
    upper: impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let width = site.exponents.len().max(1);
    match &site.codec {
        Codec::Piecewise(codec) if fits(site, codec.largest()) => {
            let divisions = codec.divisions().map(Division::by);
            for (x, codes) in x.chunks(width).zip(codes.chunks_mut(code_row.max(1))) {
                encode_piecewise(codec, divisions, site.exponents, x, codes);
            }
        }
        Codec::Wide { step } if fits(site, step.saturating_mul(32_767)) => {
            let division = Division::by(Step::new(*step));
            for (x, codes) in x.chunks(width).zip(codes.chunks_mut(code_row.max(1))) {
                encode_wide(*step, division, site.exponents, x, codes.as_chunks_mut::<2>().0, &upper);
            }
        }
        _ => scalar::residual::encode(site, x, codes, code_row),
    }
}

/// Whether `largest`, a codec's largest level or step, is at most 2^24 on every channel, as it is in every model file.
#[inline(always)]
fn fits(site: &Site, largest: i32) -> bool {
    let exponent = site.exponents.iter().copied().fold(0, u8::max).min(EXPONENT_MAX + 1);
    exponent <= EXPONENT_MAX && largest > 0 && i64::from(largest) << exponent <= 2 * i64::from(STREAM_MAX)
}

/// Division of numbers below 2^25, as [`Step`] does it.
#[derive(Clone, Copy)]
struct Division {
    reciprocal: i32,
    places: u32,
}

impl Division {
    /// Places by which a number below 2^25 and a reciprocal of at most 2^26 may be shifted left.
    const PLACES: [u32; 2] = [6, 4];

    #[inline(always)]
    const fn by(step: Step) -> Self {
        let [number, reciprocal] = Self::PLACES;
        let places = step.shift + number + reciprocal - 32;
        Self { reciprocal: (step.reciprocal << reciprocal) as i32, places }
    }

    #[inline(always)]
    fn of(self, number: i32) -> i32 {
        upper(number << Self::PLACES[0], self.reciprocal) >> self.places
    }
}

#[inline(always)]
fn encode_wide<const N: usize>(
    step: i32,
    division: Division,
    exponents: &[u8],
    x: &[i32],
    codes: &mut [[u8; 2]],
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let count = x.len().min(exponents.len()).min(codes.len());
    let (exponents, rest_of_exponents) = exponents[..count].as_chunks::<N>();
    let ((x, rest), (codes, rest_of_codes)) = (x[..count].as_chunks(), codes[..count].as_chunks_mut());
    for ((codes, x), exponents) in codes.iter_mut().zip(x).zip(exponents) {
        *codes = wide_codes(step, division, exponents, x, upper);
    }
    for ((code, &x), &e) in rest_of_codes.iter_mut().zip(rest).zip(rest_of_exponents) {
        [*code] = wide_codes(step, division, &[e], &[x], &upper_each);
    }
}

/// Codes of 16 bits.
#[inline(always)]
fn wide_codes<const N: usize>(
    step: i32,
    division: Division,
    exponents: &[u8; N],
    x: &[i32; N],
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) -> [[u8; 2]; N] {
    let mut numbers = [0; N];
    for lane in 0..N {
        // The outermost level is below this, so that nothing changes.
        let magnitude = x[lane].unsigned_abs().min(VALUE_MAX.unsigned_abs()).cast_signed();
        let half = (step << exponents[lane]) >> 1;
        numbers[lane] = ((magnitude + half) >> exponents[lane]) << Division::PLACES[0];
    }
    let counts = upper(numbers, [division.reciprocal; N]);
    let mut codes = [[0; 2]; N];
    for lane in 0..N {
        let count = (counts[lane] >> division.places).min(32_767);
        codes[lane] = (if x[lane] < 0 { -count } else { count } as i16).to_le_bytes();
    }
    codes
}

#[inline(always)]
fn encode_piecewise(
    codec: &Piecewise,
    divisions: [Division; 3],
    exponents: &[u8],
    x: &[i32],
    codes: &mut [u8],
) {
    let [neg, mid, pos] = codec.divisions();
    let [n_neg, a, b, n_pos] = codec.counts();
    let (low, high) = codec.breakpoints();
    for ((code, &x), &e) in codes.iter_mut().zip(x).zip(exponents) {
        let (low, high) = (low << e, high << e);
        let x = x.clamp(-VALUE_MAX, VALUE_MAX);
        let (below, above) = (x < low, x > high);
        let choose = |neg: i32, mid: i32, pos: i32| {
            if below {
                neg
            } else if above {
                pos
            } else {
                mid
            }
        };
        let distance = choose(low - x, x.abs(), x - high);
        let half = (choose(neg.size, mid.size, pos.size) << e) >> 1;
        let [reciprocal, places] = {
            let [neg, mid, pos] = divisions;
            let places = choose(neg.places as i32, mid.places as i32, pos.places as i32);
            [choose(neg.reciprocal, mid.reciprocal, pos.reciprocal), places]
        };
        let division = Division { reciprocal, places: places as u32 };
        let count = division.of((distance + half) >> e).min(choose(n_neg, i32::MAX, n_pos));
        let base = choose(n_neg, n_neg + a, n_neg + a + b);
        *code = (if x < 0 { base - count } else { base + count }) as u8;
    }
}
