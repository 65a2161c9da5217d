//! Linear layers: i8 x i8 to i32, requantized, and what becomes of that.

use super::{activation, residual};
use crate::fixed::{TokenScale, requantize};
use crate::kernels::linear::{Epilogue, GROUP, LIMB_BITS, Linear, PANEL, Panel, rows};

/// `y[m][n] = requantize(acc, mantissa_m * mantissa_n, shift_n - exponent_m) + bias[n]`, saturating, where
/// `acc = (sum of high limbs x high columns) * 128 + sum of codes x columns` (exact: see [`Linear`]'s bound).
///
/// `codes` is `[M, layer.row_len()]`, `scales` `[M]`; y is in the layer's output unit and [`put`] into `out`,
/// `[M, layer.outputs()]`.
pub fn gemm(layer: &Linear, codes: &[i8], scales: &[TokenScale], mut epilogue: Epilogue, out: &mut [i32]) {
    let outputs = layer.outputs().max(1);
    let rows = rows(codes, layer.row_len()).zip(scales).zip(out.chunks_exact_mut(outputs));
    for (row, ((codes, &scale), out)) in rows.enumerate() {
        let (high, low) = codes.split_at_checked(layer.high_groups() * GROUP).unwrap_or((&[], codes));
        for (index, (panel, out)) in layer.panels().zip(out.chunks_mut(PANEL)).enumerate() {
            let high = dot_panel(high, panel.high);
            let low = dot_panel(low, panel.low);
            let mut acc = [0; PANEL];
            for ((acc, high), low) in acc.iter_mut().zip(high).zip(low) {
                *acc = high.wrapping_shl(LIMB_BITS).wrapping_add(low);
            }
            let mut y = [0; PANEL];
            finish(&panel, &acc, scale, &mut y);
            put(&mut epilogue, [row, index * PANEL], &y, out);
        }
    }
}

/// Dot products of one row with the sixteen columns of a packed part: `codes` `[groups * 4]`, `weight`
/// `[groups, 16, 4]`.
pub fn dot_panel(codes: &[i8], weight: &[i8]) -> [i32; PANEL] {
    let mut acc = [0i32; PANEL];
    for (codes, weight) in codes.chunks_exact(GROUP).zip(weight.chunks_exact(GROUP * PANEL)) {
        for (acc, weight) in acc.iter_mut().zip(weight.chunks_exact(GROUP)) {
            for (&code, &weight) in codes.iter().zip(weight) {
                *acc = acc.wrapping_add(i32::from(code) * i32::from(weight));
            }
        }
    }
    acc
}

/// Scales and rounds sixteen accumulators, and adds the bias.
pub fn finish(panel: &Panel, acc: &[i32; PANEL], scale: TokenScale, out: &mut [i32]) {
    let channels = panel.mantissa.iter().zip(panel.shift).zip(panel.bias);
    for ((out, &acc), ((&mantissa, &shift), &bias)) in out.iter_mut().zip(acc).zip(channels) {
        // Below 2^15 * 2^16.
        let mantissa = i32::from(scale.mantissa & 0x7fff) * i32::from(mantissa);
        let shift = i32::from(shift) - i32::from(scale.exponent);
        *out = requantize(acc, mantissa, shift).saturating_add(bias);
    }
}

/// What [`Epilogue`] says of sixteen outputs of one row, the first of which is `column`; `out` is theirs,
/// shorter at the row's end.
pub fn put(epilogue: &mut Epilogue, [row, column]: [usize; 2], y: &[i32; PANEL], out: &mut [i32]) {
    let count = out.len().min(PANEL);
    let (out, y) = (&mut out[..count], &y[..count]);
    match epilogue {
        Epilogue::Add => activation::add(out, y),
        Epilogue::Gate => activation::gate(out, y),
        Epilogue::Encode(coded) => {
            let mut sums = [0; PANEL];
            sums.iter_mut().zip(&*out).for_each(|(sum, &out)| *sum = out);
            activation::add(&mut sums, y);
            residual::encode_row(&coded.channels(column, count), &sums, coded.row(row, column));
        }
        Epilogue::Store => out.copy_from_slice(y),
        Epilogue::Gelu => {
            out.copy_from_slice(y);
            activation::gelu(out);
        }
        Epilogue::Relu => {
            out.copy_from_slice(y);
            activation::relu(out);
        }
    }
}
