//! Activation functions, and what becomes of a linear layer's outputs.

use crate::fixed::tables::{GELU_TAIL, SIGMOID_TAIL};
use crate::fixed::{ACT_FRAC, CubicColumns, gelu_of_tail, gelu_tail_at, sigmoid_of_tail, sigmoid_tail_at};
use crate::kernels::linear::{CodeRows, Epilogue, PANEL};
use crate::kernels::scalar;
use crate::quant::Site;

/// Looks entries up in memory: for any instructions.
#[inline(always)]
pub fn look_up<const N: usize>(table: &[i32; 16], indices: [i32; N]) -> [i32; N] {
    let mut entries = indices;
    entries.iter_mut().for_each(|entry| *entry = table[(*entry & 15) as usize]);
    entries
}

/// Sixteen outputs of some rows, on their way to where they belong.
pub struct Outputs<'y> {
    /// A row's outputs each. They go elsewhere; what is left here means nothing.
    pub y: &'y mut [[i32; PANEL]],
    /// The number of the first row, and of the first output.
    pub at: [usize; 2],
    /// How many of the sixteen are meant.
    pub channels: usize,
}

/// The specification's [`put`](scalar::gemm::put) for some rows, the first of which is `out`'s; each is
/// `stride` from the one before. `look_up` as for [`gelu`], `encode` is
/// [`Backend::encode`](crate::kernels::Backend::encode).
#[inline(always)]
pub fn put<const N: usize>(
    epilogue: &mut Epilogue,
    outputs: Outputs,
    out: &mut [i32],
    stride: usize,
    look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
    encode: impl Fn(&Site, &[i32], &mut [u8], usize),
) {
    let Outputs { y, at, channels } = outputs;
    // A loop for each, so that none asks which it is.
    match epilogue {
        Epilogue::Store => put_each(&Epilogue::Store, y, channels, out, stride, look_up),
        Epilogue::Gelu => put_each(&Epilogue::Gelu, y, channels, out, stride, look_up),
        Epilogue::Relu => put_each(&Epilogue::Relu, y, channels, out, stride, look_up),
        Epilogue::Add => put_each(&Epilogue::Add, y, channels, out, stride, look_up),
        Epilogue::Gate => put_each(&Epilogue::Gate, y, channels, out, stride, look_up),
        Epilogue::Encode(coded) => encode_each(coded, at, y, channels, out, stride, encode),
    }
}

#[inline(always)]
fn encode_each(
    coded: &mut CodeRows,
    [row, column]: [usize; 2],
    y: &mut [[i32; PANEL]],
    channels: usize,
    out: &[i32],
    stride: usize,
    encode: impl Fn(&Site, &[i32], &mut [u8], usize),
) {
    let bytes = coded.site.codec.bytes_per_value();
    let site = coded.channels(column, channels);
    let whole = site.exponents.len() == PANEL && (column + PANEL) * bytes <= coded.code_row;
    if whole && stride >= PANEL {
        let mut rest = out;
        for y in &mut *y {
            let Some((x, after)) = rest.split_first_chunk() else { break };
            *y = sum(*x, *y);
            rest = after.get(stride - PANEL..).unwrap_or_default();
        }
    } else {
        y.iter_mut().zip(out.chunks(stride.max(1))).for_each(|(y, out)| scalar::activation::add(y, out));
    }
    if whole {
        let codes = coded.codes.get_mut(row * coded.code_row + column * bytes..).unwrap_or_default();
        encode(&site, y.as_flattened(), codes, coded.code_row);
    } else {
        let rows = y.iter().zip(out.chunks(stride.max(1))).enumerate();
        rows.for_each(|(index, (y, _))| {
            scalar::residual::encode_row(&site, y, coded.row(row + index, column));
        });
    }
}

/// The sum of both: values, so that compilers keep them in vectors.
#[inline(always)]
fn sum(mut x: [i32; PANEL], y: [i32; PANEL]) -> [i32; PANEL] {
    scalar::activation::add(&mut x, &y);
    x
}

#[inline(always)]
fn put_each<const N: usize>(
    epilogue: &Epilogue,
    y: &[[i32; PANEL]],
    channels: usize,
    out: &mut [i32],
    stride: usize,
    look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
) {
    if channels == PANEL && stride >= PANEL {
        let mut rest = out;
        for &y in y {
            let Some((x, after)) = rest.split_first_chunk_mut() else { return };
            *x = put_row(epilogue, *x, y, &look_up);
            rest = after.get_mut(stride - PANEL..).unwrap_or_default();
        }
        return;
    }
    for (&y, out) in y.iter().zip(out.chunks_mut(stride.max(1))) {
        let mut x = [0; PANEL];
        x.iter_mut().zip(&*out).for_each(|(x, &out)| *x = out);
        let x = put_row(epilogue, x, y, &look_up);
        out.iter_mut().zip(x).take(channels).for_each(|(out, x)| *out = x);
    }
}

/// What becomes of `x` and a row's outputs: values, so that compilers keep both in vectors.
#[inline(always)]
fn put_row<const N: usize>(
    epilogue: &Epilogue,
    mut x: [i32; PANEL],
    mut y: [i32; PANEL],
    look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
) -> [i32; PANEL] {
    match epilogue {
        Epilogue::Store | Epilogue::Encode(_) => return y,
        Epilogue::Gelu => gelu(&mut y, look_up),
        Epilogue::Relu => scalar::activation::relu(&mut y),
        Epilogue::Add => return sum(x, y),
        Epilogue::Gate => {
            gate(&mut x, &y, look_up);
            return x;
        }
    }
    y
}

/// The specification's [`gelu`](scalar::activation::gelu), `N` values at a time. `look_up(column, indices)`
/// is the entry of a table for every index below 16.
#[inline(always)]
pub fn gelu<const N: usize>(values: &mut [i32], look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N]) {
    const COLUMNS: CubicColumns = GELU_TAIL.columns();
    let (chunks, rest) = values.as_chunks_mut::<N>();
    for values in chunks {
        let mut at = *values;
        at.iter_mut().for_each(|x| *x = gelu_tail_at(*x));
        let tails = COLUMNS.eval(at, &look_up);
        values.iter_mut().zip(tails).for_each(|(value, tail)| *value = gelu_of_tail(*value, tail));
    }
    scalar::activation::gelu(rest);
}

/// The specification's [`gate`](scalar::activation::gate), as [`gelu`].
#[inline(always)]
pub fn gate<const N: usize>(
    x: &mut [i32],
    gates: &[i32],
    look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
) {
    const COLUMNS: CubicColumns = SIGMOID_TAIL.columns();
    let count = x.len().min(gates.len()) / N * N;
    let ((x, rest), (gates, rest_of_gates)) = (x.split_at_mut(count), gates.split_at(count));
    for (x, gates) in x.as_chunks_mut::<N>().0.iter_mut().zip(gates.as_chunks::<N>().0) {
        let mut at = *gates;
        at.iter_mut().for_each(|x| *x = sigmoid_tail_at(*x));
        let tails = COLUMNS.eval(at, &look_up);
        for ((x, &gate), tail) in x.iter_mut().zip(gates).zip(tails) {
            *x = share(*x, sigmoid_of_tail(gate, tail));
        }
    }
    scalar::activation::gate(rest, rest_of_gates);
}

/// `x * sigmoid` rounded half up, the sigmoid in `0..=65536`: times the upper half of `x` it is whole.
#[inline(always)]
fn share(x: i32, sigmoid: i32) -> i32 {
    let lower = (x & 0xffff).wrapping_mul(sigmoid).wrapping_add(1 << (ACT_FRAC - 1));
    (x >> ACT_FRAC).wrapping_mul(sigmoid).wrapping_add((lower.cast_unsigned() >> ACT_FRAC).cast_signed())
}
