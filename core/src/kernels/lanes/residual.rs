//! The stored residual stream.

use super::multiply::{upper, upper_each};
use crate::kernels::linear::PANEL;
use crate::kernels::scalar;
use crate::quant::{Codec, EXPONENT_MAX, Piecewise, STREAM_MAX, Site, Step, VALUE_MAX};

/// The specification's [`decode`](scalar::residual::decode).
#[inline(always)]
pub fn decode(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
    let wide = wide_rows(site, codes, code_row, x);
    decode_by(site, codes, code_row, x, wide, decode_wide);
}

/// The step of a site with 16 bits whose values fit the lanes, and how many rows are whole; no rows of
/// another.
#[inline(always)]
pub fn wide_rows(site: &Site, codes: &[u8], code_row: usize, x: &[i32]) -> (i32, usize) {
    match &site.codec {
        Codec::Wide { step } if fits(site, step.saturating_mul(32_768)) => {
            (*step, whole_rows(site.exponents.len(), x.len(), codes.len(), code_row))
        }
        _ => (0, 0),
    }
}

/// [`decode`] by a function for those rows: `(step, exponents, rows, codes, code row, x)`.
#[inline(always)]
pub fn decode_by(
    site: &Site,
    codes: &[u8],
    code_row: usize,
    x: &mut [i32],
    (step, rows): (i32, usize),
    decode_wide: impl Fn(i32, &[u8], usize, &[u8], usize, &mut [i32]),
) {
    decode_wide(step, site.exponents, rows, codes, code_row, x);
    let [x_from, codes_from] = [rows * site.exponents.len(), rows * code_row];
    let (codes, x) = (codes.get(codes_from..), x.get_mut(x_from..));
    scalar::residual::decode(site, codes.unwrap_or_default(), code_row, x.unwrap_or_default());
}

/// The specification's [`encode`](scalar::residual::encode), 16 bits `N` values at a time. `upper` is
/// [`upper_each`].
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
            let rows = whole_rows(site.exponents.len(), x.len(), codes.len(), code_row);
            encode_wide(*step, site.exponents, rows, x, codes, code_row, &upper);
            let [x_from, codes_from] = [rows * site.exponents.len(), rows * code_row];
            let (x, codes) = (x.get(x_from..), codes.get_mut(codes_from..));
            scalar::residual::encode(site, x.unwrap_or_default(), codes.unwrap_or_default(), code_row);
        }
        _ => scalar::residual::encode(site, x, codes, code_row),
    }
}

/// Whether `largest`, a codec's largest level or step, is at most 2^24 on every channel, as it is in every
/// model file.
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

/// Channels whose steps are made for all rows.
const CHANNELS: usize = 128;

/// Values of a row that are decoded at a time.
const DECODED: usize = 16;

/// How many rows are whole, where their codes have 16 bits.
#[inline(always)]
fn whole_rows(width: usize, values: usize, bytes: usize, code_row: usize) -> usize {
    let needed = 2 * width;
    if needed == 0 || needed > code_row.min(bytes) {
        return 0;
    }
    (values / width).min((bytes - needed) / code_row + 1)
}

/// Rows of codes of 16 bits whose channels' steps are less than 2^10.
#[inline(always)]
fn decode_wide(step: i32, exponents: &[u8], rows: usize, codes: &[u8], code_row: usize, x: &mut [i32]) {
    let (mut memory, width) = ([0; CHANNELS], exponents.len());
    for (channels, first) in exponents.chunks(CHANNELS).zip((0..).step_by(CHANNELS)) {
        let steps = &mut memory[..channels.len()];
        steps.iter_mut().zip(channels).for_each(|(of_channel, &e)| *of_channel = step << e);
        let (mut from, mut codes_from) = (first, 2 * first);
        for _ in 0..rows {
            let codes = codes.get(codes_from..).and_then(|codes| codes.get(..2 * channels.len()));
            let x = x.get_mut(from..).and_then(|x| x.get_mut(..channels.len()));
            let (Some(codes), Some(x)) = (codes, x) else { break };
            decode_channels(steps, codes.as_chunks().0, x);
            (from, codes_from) = (from + width, codes_from.saturating_add(code_row));
        }
    }
}

/// Some channels of a row.
#[inline(always)]
fn decode_channels(steps: &[i32], codes: &[[u8; 2]], x: &mut [i32]) {
    let count = steps.len().min(codes.len()).min(x.len());
    let (steps, rest_of_steps) = steps[..count].as_chunks::<DECODED>();
    let (codes, rest_of_codes) = codes[..count].as_chunks::<DECODED>();
    let (x, rest) = x[..count].as_chunks_mut::<DECODED>();
    for ((x, steps), codes) in x.iter_mut().zip(steps).zip(codes) {
        // Values, so that compilers keep them in vectors.
        let (mut values, steps) = ([0; DECODED], *steps);
        values.iter_mut().zip(codes).for_each(|(value, &code)| *value = i16::from_le_bytes(code).into());
        for lane in 0..DECODED {
            values[lane] *= steps[lane];
        }
        *x = values;
    }
    for ((x, &step), &code) in rest.iter_mut().zip(rest_of_steps).zip(rest_of_codes) {
        *x = i32::from(i16::from_le_bytes(code)) * step;
    }
}

#[inline(always)]
fn encode_wide<const N: usize>(
    step: i32,
    exponents: &[u8],
    rows: usize,
    x: &[i32],
    codes: &mut [u8],
    code_row: usize,
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let division = Division::by(Step::new(step));
    if let Ok(exponents) = exponents.try_into() {
        let whole = rows.saturating_mul(PANEL).min(x.len());
        return encode_panel(step, division, exponents, &x[..whole], codes, code_row, upper);
    }
    let (mut memory, width) = ([[0; CHANNELS]; 2], exponents.len());
    for (channels, first) in exponents.chunks(CHANNELS).zip((0..).step_by(CHANNELS)) {
        let [halves, shifts] = &mut memory;
        let (halves, shifts) = (&mut halves[..channels.len()], &mut shifts[..channels.len()]);
        for ((half, shift), &e) in halves.iter_mut().zip(&mut *shifts).zip(channels) {
            (*half, *shift) = ((step << e) >> 1, i32::from(e));
        }
        let of_channels = [&*halves, &*shifts];
        let (mut from, mut codes_from) = (first, 2 * first);
        for _ in 0..rows {
            let x = x.get(from..).and_then(|x| x.get(..channels.len()));
            let codes = codes.get_mut(codes_from..).and_then(|codes| codes.get_mut(..2 * channels.len()));
            let (Some(x), Some(codes)) = (x, codes) else { break };
            encode_channels(division, of_channels, x, codes.as_chunks_mut().0, upper);
            (from, codes_from) = (from + width, codes_from.saturating_add(code_row));
        }
    }
}

/// Rows of a linear layer's panel.
#[inline(always)]
fn encode_panel<const N: usize>(
    step: i32,
    division: Division,
    exponents: &[u8; PANEL],
    x: &[i32],
    codes: &mut [u8],
    code_row: usize,
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let (mut halves, mut shifts) = ([0; PANEL], [0; PANEL]);
    for lane in 0..PANEL {
        shifts[lane] = i32::from(exponents[lane]);
        halves[lane] = (step << shifts[lane]) >> 1;
    }
    let mut rest = codes;
    for x in x.as_chunks::<PANEL>().0 {
        let Some(codes) = rest.as_chunks_mut::<2>().0.first_chunk_mut::<PANEL>() else { return };
        if PANEL.is_multiple_of(N) {
            let parts = x.as_chunks::<N>().0.iter().zip(codes.as_chunks_mut::<N>().0);
            let of_parts = halves.as_chunks::<N>().0.iter().zip(shifts.as_chunks::<N>().0);
            for ((x, codes), (halves, shifts)) in parts.zip(of_parts) {
                *codes = wide_codes(division, halves, shifts, x, upper);
            }
        } else {
            encode_channels(division, [&halves, &shifts], x, codes, upper);
        }
        rest = rest.get_mut(code_row..).unwrap_or_default();
    }
}

/// Some channels of a row: half a step each, and its exponent.
#[inline(always)]
fn encode_channels<const N: usize>(
    division: Division,
    [halves, shifts]: [&[i32]; 2],
    x: &[i32],
    codes: &mut [[u8; 2]],
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) {
    let count = x.len().min(halves.len()).min(shifts.len()).min(codes.len());
    let (halves, rest_of_halves) = halves[..count].as_chunks::<N>();
    let (shifts, rest_of_shifts) = shifts[..count].as_chunks::<N>();
    let ((x, rest), (codes, rest_of_codes)) = (x[..count].as_chunks(), codes[..count].as_chunks_mut());
    for ((codes, x), (halves, shifts)) in codes.iter_mut().zip(x).zip(halves.iter().zip(shifts)) {
        *codes = wide_codes(division, halves, shifts, x, upper);
    }
    let rest = rest_of_codes.iter_mut().zip(rest).zip(rest_of_halves.iter().zip(rest_of_shifts));
    for ((code, &x), (&half, &shift)) in rest {
        [*code] = wide_codes(division, &[half], &[shift], &[x], &upper_each);
    }
}

/// Codes of 16 bits.
#[inline(always)]
fn wide_codes<const N: usize>(
    division: Division,
    halves: &[i32; N],
    shifts: &[i32; N],
    x: &[i32; N],
    upper: &impl Fn([i32; N], [i32; N]) -> [i32; N],
) -> [[u8; 2]; N] {
    let mut numbers = [0; N];
    for lane in 0..N {
        // The outermost level is below this, so that nothing changes.
        let magnitude = x[lane].unsigned_abs().min(VALUE_MAX.unsigned_abs()).cast_signed();
        numbers[lane] = ((magnitude + halves[lane]) >> (shifts[lane] & 31)) << Division::PLACES[0];
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
