//! Linear layers.

use super::loops::Loops;
use super::matrix::{Output, PASS_ROWS, Rows, TAKEN_ROWS};
use super::vectors::{Channels, RowScale, SHIFTS, UPPER};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::Outputs as Values;
use crate::kernels::linear::{Epilogue, GROUP, Linear, PANEL, Panel};
use crate::kernels::scalar::gemm::{finish, gemm as defined};

/// Most panels whose requantizers are at hand.
const PANELS_MAX: usize = 4;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm). `put` is
/// [`put`](crate::kernels::lanes::activation::put) with these instructions' tables.
#[inline(always)]
pub fn gemm<V: Loops>(
    v: V,
    layer: &Linear,
    codes: &[i8],
    scales: &[TokenScale],
    epilogue: Epilogue,
    out: &mut [i32],
    put: impl Put,
) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs());
    if row_len == 0 || outputs == 0 {
        return defined(layer, codes, scales, epilogue, out);
    }
    let count = scales.len().min(codes.len() / row_len).min(out.len() / outputs);
    let (codes, _) = codes[..count * row_len].as_chunks();
    let (groups, high) = (row_len / GROUP, layer.high_groups());
    let rows =
        Rows { codes, count, groups, panel_groups: layer.panel_groups(), high, outliers: layer.outliers() };
    let (panels, _) = layer.weight().as_chunks();
    let mut output = Outputs {
        v,
        layer,
        scales,
        epilogue,
        out,
        put,
        rows: [RowScale::default(); PASS_ROWS],
        exponents: [0; 2],
        first: [0; 2],
        requantizers: [Requantizer::NONE; PANELS_MAX],
        y: [[0; PANEL]; TAKEN_ROWS],
    };
    v.products(rows, panels, &mut output);
}

/// Takes outputs where they belong: what becomes of them, the outputs, `out`, its stride.
pub trait Put: Fn(&mut Epilogue, Values, &mut [i32], usize) {}

impl<F: Fn(&mut Epilogue, Values, &mut [i32], usize)> Put for F {}

/// A layer's outputs.
struct Outputs<'o, V, F> {
    v: V,
    layer: &'o Linear<'o>,
    scales: &'o [TokenScale],
    epilogue: Epilogue<'o>,
    out: &'o mut [i32],
    put: F,
    /// The scales of the rows at hand.
    rows: [RowScale; PASS_ROWS],
    /// Their least exponent, and their largest.
    exponents: [i32; 2],
    /// The first row at hand, and the first panel.
    first: [usize; 2],
    requantizers: [Requantizer<'o>; PANELS_MAX],
    /// A tile's outputs with one panel on their way.
    y: [[i32; PANEL]; TAKEN_ROWS],
}

impl<V: Loops, F: Put> Output for Outputs<'_, V, F> {
    #[inline(always)]
    fn rows(&mut self, first: usize, count: usize) {
        self.first[0] = first;
        let scales = self.scales[first..][..count].iter().map(|&scale| RowScale::from(scale));
        self.rows.iter_mut().zip(scales.clone()).for_each(|(row, scale)| *row = scale);
        self.exponents = scales.fold([i32::MAX, i32::MIN], |[least, largest], scale| {
            [least.min(scale.exponent), largest.max(scale.exponent)]
        });
    }

    #[inline(always)]
    fn panels(&mut self, first: usize, count: usize) {
        self.first[1] = first;
        for (requantizer, index) in self.requantizers.iter_mut().zip(first..first + count) {
            *requantizer = self.layer.panel(index).map_or(Requantizer::NONE, Requantizer::new);
        }
    }

    #[inline(always)]
    fn take(&mut self, row: usize, panel: usize, sums: &[[i32; PANEL]], excess: &[i32]) {
        let requantizer = &self.requantizers[panel];
        let tile = Tile {
            sums,
            excess,
            rows: &self.rows[row - self.first[0]..],
            exponents: self.exponents,
            scales: &self.scales[row..],
        };
        let outputs = self.layer.outputs();
        let column = (self.first[1] + panel) * PANEL;
        let out = &mut self.out[row * outputs + column..];
        if matches!(self.epilogue, Epilogue::Store) {
            return tile.requantize(self.v, requantizer, out, outputs);
        }
        let y = &mut self.y[..sums.len()];
        tile.requantize(self.v, requantizer, y.as_flattened_mut(), PANEL);
        let y = Values { y, at: [row, column], channels: requantizer.panel.bias.len() };
        (self.put)(&mut self.epilogue, y, out, outputs);
    }
}

/// A tile's sums with one panel.
struct Tile<'t> {
    sums: &'t [[i32; PANEL]],
    excess: &'t [i32],
    /// The scales of these rows, and others.
    rows: &'t [RowScale],
    /// The least exponent of those at hand, and the largest.
    exponents: [i32; 2],
    /// The same scales, as the specification has them.
    scales: &'t [TokenScale],
}

impl Tile<'_> {
    /// The layer's outputs; a row's are `stride` from those of the one before.
    #[inline(always)]
    fn requantize(&self, v: impl Loops, requantizer: &Requantizer, out: &mut [i32], stride: usize) {
        let Requantizer { panel, channels, lowest, highest } = requantizer;
        let usual = |[least, largest]: [i32; 2]| {
            SHIFTS.contains(&(lowest - largest)) && SHIFTS.contains(&(highest - least))
        };
        let rows = self.sums.iter().zip(self.excess).zip(self.rows);
        let exact = usual(self.exponents)
            && panel.bias.len() == PANEL
            && if highest - self.exponents[0] <= UPPER {
                requantize_rows::<_, false>(v, rows.clone(), channels, out, stride)
            } else {
                requantize_rows::<_, true>(v, rows.clone(), channels, out, stride)
            };
        if exact {
            return;
        }
        for ((out, ((sums, &excess), &scale)), &specified) in
            out.chunks_mut(stride).zip(rows).zip(self.scales)
        {
            let mut values = [0; PANEL];
            if usual([scale.exponent; 2]) && v.requantize::<true>(sums, excess, channels, scale, &mut values)
            {
                out.iter_mut().zip(&values).take(panel.bias.len()).for_each(|(out, &value)| *out = value);
            } else {
                finish(panel, &sums.map(|sum| sum.wrapping_sub(excess)), specified, out);
            }
        }
    }
}

/// [`Vectors::requantize`](super::vectors::Vectors::requantize) for each row, given with its sums and their
/// excess; its outputs are `stride` from those of the one before. False if it is for any.
#[inline(always)]
fn requantize_rows<'r, V: Loops, const RIGHT: bool>(
    v: V,
    rows: impl ExactSizeIterator<Item = ((&'r [i32; PANEL], &'r i32), &'r RowScale)>,
    channels: &Channels,
    out: &mut [i32],
    stride: usize,
) -> bool {
    if out.len() < rows.len().saturating_sub(1) * stride + PANEL {
        return false;
    }
    let mut exact = true;
    for (row, ((sums, &excess), &scale)) in rows.enumerate() {
        // SAFETY: the last row's outputs end within `out`; arrays are aligned as what is in them.
        let out = unsafe { &mut *out.as_mut_ptr().add(row * stride).cast() };
        exact &= v.requantize::<RIGHT>(sums, excess, channels, scale, out);
    }
    exact
}

/// A panel's channels, ready for vectors.
#[derive(Clone, Copy)]
struct Requantizer<'a> {
    panel: Panel<'a>,
    channels: Channels,
    /// The least shift; so little that no row's is usual if a bias is beyond what [`Channels`] hold.
    lowest: i32,
    /// The largest shift.
    highest: i32,
}

impl<'a> Requantizer<'a> {
    const NONE: Self = Self {
        panel: Panel { high: &[], low: &[], bias: &[], mantissa: &[], shift: &[] },
        channels: Channels { mantissa: [0; PANEL], shift: [0; PANEL], bias: [0; PANEL] },
        lowest: 0,
        highest: 0,
    };

    #[inline(always)]
    fn new(panel: Panel<'a>) -> Self {
        let last = panel.shift.last().copied().unwrap_or(0);
        let (mantissa, bias) = (sixteen(panel.mantissa, 0), sixteen(panel.bias, 0));
        let shift = sixteen(panel.shift, last);
        let (lowest, highest) = shift.iter().fold((last, last), |(l, h), &s| (l.min(s), h.max(s)));
        let small = bias.iter().fold(0, |all, bias| all | (bias ^ (bias >> 31))) < 1 << 29;
        let channels = Channels {
            mantissa: mantissa.map(i32::from),
            shift: shift.map(i32::from),
            bias: bias.map(|bias| bias.wrapping_mul(2).wrapping_add(1)),
        };
        let lowest = if small { i32::from(lowest) } else { i32::MIN / 2 };
        Self { panel, channels, lowest, highest: highest.into() }
    }
}

/// The values of a panel's channels; `rest` where there are none.
#[inline(always)]
fn sixteen<T: Copy>(values: &[T], rest: T) -> [T; PANEL] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut all = [rest; PANEL];
        all.iter_mut().zip(values).for_each(|(to, &from)| *to = from);
        all
    })
}
