//! Linear layers.

use super::matrix::{Output, Rows, products};
use super::vectors::{Channels, SHIFTS, Vectors};
use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, Linear, PANEL, Panel};
use crate::kernels::scalar::gemm::{finish, gemm as defined};

/// Most panels whose epilogues are at hand.
const PANELS_MAX: usize = 4;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm).
#[inline(always)]
pub fn gemm<V: Vectors>(v: V, layer: &Linear, codes: &[i8], scales: &[TokenScale], out: &mut [i32]) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs());
    if row_len == 0 || outputs == 0 {
        return defined(layer, codes, scales, out);
    }
    let count = scales.len().min(codes.len() / row_len).min(out.len() / outputs);
    let (codes, _) = codes[..count * row_len].as_chunks();
    let (groups, high) = (row_len / GROUP, layer.high_groups());
    let rows = Rows { codes, count, groups, panel_groups: layer.panel_groups(), high };
    let (panels, _) = layer.weight().as_chunks();
    let output = Requantized { v, layer, scales, out, first: 0, epilogues: [Epilogue::NONE; PANELS_MAX] };
    products(v, rows, panels, output);
}

/// A layer's outputs.
struct Requantized<'o, V> {
    v: V,
    layer: &'o Linear<'o>,
    scales: &'o [TokenScale],
    out: &'o mut [i32],
    first: usize,
    epilogues: [Epilogue<'o>; PANELS_MAX],
}

impl<V: Vectors> Output for Requantized<'_, V> {
    #[inline(always)]
    fn panels(&mut self, first: usize, count: usize) {
        self.first = first;
        for (epilogue, index) in self.epilogues.iter_mut().zip(first..first + count) {
            *epilogue = self.layer.panel(index).map_or(Epilogue::NONE, Epilogue::new);
        }
    }

    #[inline(always)]
    fn take(&mut self, row: usize, panel: usize, sums: &[[i32; PANEL]], excess: &[i32]) {
        let Epilogue { panel: of, channels, lowest, highest } = &self.epilogues[panel];
        let (outputs, count) = (self.layer.outputs(), of.bias.len());
        let out = &mut self.out[row * outputs + (self.first + panel) * PANEL..];
        let rows = out.chunks_mut(outputs).zip(sums).zip(excess).zip(&self.scales[row..]);
        for (((out, sums), &excess), &scale) in rows {
            let exponent = i32::from(scale.exponent);
            let usual = SHIFTS.contains(&(lowest - exponent)) && SHIFTS.contains(&(highest - exponent));
            let mut values = [0; PANEL];
            let exact = usual
                && match out.first_chunk_mut() {
                    Some(out) if count == PANEL => self.v.requantize(sums, excess, channels, scale, out),
                    _ => {
                        let exact = self.v.requantize(sums, excess, channels, scale, &mut values);
                        out.iter_mut().zip(&values).take(count).for_each(|(out, &value)| *out = value);
                        exact
                    }
                };
            if !exact {
                finish(of, &sums.map(|sum| sum.wrapping_sub(excess)), scale, out);
            }
        }
    }
}

/// A panel's channels, ready for vectors.
#[derive(Clone, Copy)]
struct Epilogue<'a> {
    panel: Panel<'a>,
    channels: Channels,
    /// The least shift; so little that no row's is usual if a bias is beyond what [`Channels`] hold.
    lowest: i32,
    /// The largest shift.
    highest: i32,
}

impl<'a> Epilogue<'a> {
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
