//! Linear layers.

use super::matrix::{Output, Rows, products};
use super::vectors::{Channels, Vectors};
use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, LIMB_BITS, Linear, PANEL, Panel};
use crate::kernels::scalar::gemm::{finish, gemm as defined};

/// Most panels whose epilogues are at hand.
const PANELS_MAX: usize = 4;

/// The largest shift that [`Vectors::requantize`] does.
const SHIFT_MAX: i32 = 62;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm).
#[inline(always)]
pub fn gemm<V: Vectors>(v: V, layer: &Linear, codes: &[i8], scales: &[TokenScale], out: &mut [i32]) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs());
    if row_len == 0 || outputs == 0 {
        return defined(layer, codes, scales, out);
    }
    let count = scales.len().min(codes.len() / row_len).min(out.len() / outputs);
    let (codes, _) = codes[..count * row_len].as_chunks();
    let high = layer.high_groups();
    let rows = Rows { codes, count, groups: row_len / GROUP, panel_groups: layer.panel_groups(), high };
    let (panels, _) = layer.weight().as_chunks();
    // A column's sum is at most 2^`bits`: products of at most 2^14, high limbs counting 128 times.
    let bits =
        14 + (layer.inputs() + ((high * GROUP) << LIMB_BITS)).next_power_of_two().trailing_zeros() as i32;
    let output =
        Requantized { v, layer, scales, out, bits, first: 0, epilogues: [Epilogue::NONE; PANELS_MAX] };
    products(v, rows, panels, output);
}

/// A layer's outputs.
struct Requantized<'o, V> {
    v: V,
    layer: &'o Linear<'o>,
    scales: &'o [TokenScale],
    out: &'o mut [i32],
    bits: i32,
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
    fn take(&mut self, row: usize, panel: usize, sums: &[i32; PANEL]) {
        let (epilogue, scale) = (&self.epilogues[panel], self.scales[row]);
        let out = &mut self.out[row * self.layer.outputs() + (self.first + panel) * PANEL..];
        let exponent = i32::from(scale.exponent);
        // Then an output before its bias is at most 2^30.
        if epilogue.lowest - exponent > self.bits && epilogue.highest - exponent <= SHIFT_MAX {
            let values = self.v.requantize(sums, &epilogue.channels, scale);
            if epilogue.panel.bias.len() == PANEL {
                out[..PANEL].copy_from_slice(&values);
            } else {
                out.iter_mut()
                    .zip(&values)
                    .take(epilogue.panel.bias.len())
                    .for_each(|(out, &value)| *out = value);
            }
        } else {
            finish(&epilogue.panel, sums, scale, out);
        }
    }
}

/// A panel's channels, ready for vectors.
#[derive(Clone, Copy)]
struct Epilogue<'a> {
    panel: Panel<'a>,
    channels: Channels,
    /// The least shift; so little that no row's is enough if a bias is above 2^30.
    lowest: i32,
    /// The largest shift.
    highest: i32,
}

impl<'a> Epilogue<'a> {
    const NONE: Self = Self {
        panel: Panel { high: &[], low: &[], bias: &[], mantissa: &[], shift: &[] },
        channels: Channels { mantissa: [0; PANEL], shift_less_one: [0; PANEL], bias: [0; PANEL] },
        lowest: 0,
        highest: 0,
    };

    #[inline(always)]
    fn new(panel: Panel<'a>) -> Self {
        let shifts = || panel.shift.iter().copied().map(i32::from);
        let (lowest, highest) = (shifts().min().unwrap_or(0), shifts().max().unwrap_or(0));
        let mut channels =
            Channels { mantissa: [0; PANEL], shift_less_one: [highest - 1; PANEL], bias: [0; PANEL] };
        channels.mantissa.iter_mut().zip(panel.mantissa).for_each(|(to, &from)| *to = from.into());
        channels.shift_less_one.iter_mut().zip(shifts()).for_each(|(to, from)| *to = from - 1);
        channels.bias.iter_mut().zip(panel.bias).for_each(|(to, &from)| *to = from);
        let small = panel.bias.iter().all(|bias| bias.unsigned_abs() < 1 << 30);
        Self { panel, channels, lowest: if small { lowest } else { i32::MIN / 2 }, highest }
    }
}
