//! Kernels of which a profiler counts the instructions, on operands of the models' shapes.

use std::hint::black_box;

use fastrand::Rng;
use foldpoint_core::AlignedBytes;
use foldpoint_core::fixed::{Multiplier, TokenScale};
use foldpoint_core::kernels::Backend;
use foldpoint_core::kernels::attention::{Logits, QUERY_TILE, RowTile};
use foldpoint_core::kernels::linear::{Epilogue, row_len};
use foldpoint_core::kernels::rows::Rows;
use foldpoint_core::quant::{Codec, Site};

use crate::inputs::{HeadInput, LinearInput, bell, every};

/// Rows that operations on rows get at a time, as in the models.
const ROWS: usize = 64;

/// 1.0 in activation units.
const ONE: i32 = 1 << 16;

/// Makes a kernel's operands and runs it once, inside [`counted_work`].
pub type Run = fn(&Backend);

/// The kernels by name.
pub const KERNELS: [(&str, Run); 22] = [
    // ESM-2's; one row, as heads of few rows have it; esmfold_v1's pairs, the default model's, and their
    // transition.
    ("gemm 128x320x1280, 5% outliers", |b| gemm(b, [128, 320, 1280], every(20, 1280), Epilogue::Store)),
    ("gemm 128x1280x320, 5% outliers, GELU", |b| gemm(b, [128, 1280, 320], every(20, 320), Epilogue::Gelu)),
    ("gemm 1x1280x1280, 5% outliers", |b| gemm(b, [1, 1280, 1280], every(20, 1280), Epilogue::Store)),
    ("gemm 1024x128x128", |b| gemm(b, [1024, 128, 128], vec![], Epilogue::Store)),
    ("gemm 4096x64x64, all outliers", |b| gemm(b, [4096, 64, 64], every(1, 64), Epilogue::Store)),
    ("gemm 4096x256x64, all outliers", |b| gemm(b, [4096, 256, 64], every(1, 64), Epilogue::Store)),
    ("product 16x128x128", |b| product(b, 128)),
    ("attention 128 keys of 24", |b| attention(b, 128, 24, false)),
    ("attention 1024 keys of 24", |b| attention(b, 1024, 24, false)),
    ("attention 128 keys of 32, biased", |b| attention(b, 128, 32, true)),
    ("quantize_rows of 320, 5% outliers", |b| quantize_rows(b, 320, &every(20, 320))),
    ("quantize_rows of 64, all outliers", |b| quantize_rows(b, 64, &every(1, 64))),
    ("quantize_rows of 128", |b| quantize_rows(b, 128, &[])),
    ("layer_norm_rows of 64", |b| layer_norm_rows(b, 64)),
    ("layer_norm_rows of 128", |b| layer_norm_rows(b, 128)),
    ("layer_norm_rows of 320", |b| layer_norm_rows(b, 320)),
    ("gate of 64", |b| gate(b, 64)),
    ("transpose_gated of 64", |b| transpose_gated(b, 64)),
    ("encode of 64", |b| encode(b, 64)),
    ("encode of 128", |b| encode(b, 128)),
    ("decode of 64", |b| decode(b, 64)),
    ("decode of 128", |b| decode(b, 128)),
];

/// Does `work`. Profilers start and stop at this function, which they know by its name.
#[inline(never)]
pub fn counted_work<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn gemm(backend: &Backend, [rows, outputs, inputs]: [usize; 3], outliers: Vec<u16>, epilogue: Epilogue) {
    let input = LinearInput::new(rows, outputs, inputs, outliers);
    let mut out = vec![0; rows * outputs];
    counted_work(|| (backend.gemm)(&input.layer(), &input.codes, &input.scales, epilogue, &mut out));
    black_box(out);
}

fn product(backend: &Backend, residues: usize) {
    const ROWS: usize = 16;
    let mut random = Rng::with_seed(1);
    let mut codes = |count: usize| {
        let mut codes = AlignedBytes::zeroed(count);
        codes.bytes_mut().fill_with(|| random.u8(..));
        codes
    };
    let (rows, panels) = (codes(ROWS * residues), codes(residues * residues));
    let (rows, panels) = (bytemuck::cast_slice(rows.bytes()), bytemuck::cast_slice(panels.bytes()));
    let mut out = vec![0; ROWS * residues];
    counted_work(|| (backend.product)(rows, panels, residues, &mut out));
    black_box(out);
}

fn attention(backend: &Backend, keys: usize, width: usize, biased: bool) {
    let input = HeadInput::new(keys, width);
    let stride = keys.next_multiple_of(32);
    let (mut scores, mut weights) = (vec![0; QUERY_TILE * stride], vec![0; QUERY_TILE * stride]);
    let mut out = vec![0; QUERY_TILE * width];
    let factors = [Multiplier { mantissa: 3 << 29, shift: 42 }; QUERY_TILE];
    let bias = bell(QUERY_TILE * stride, 1 << 15);
    counted_work(|| {
        let tile = RowTile {
            queries: &input.queries,
            logits: match biased {
                true => Logits::Biased { factors: &factors, bias: &bias, bias_stride: stride },
                false => Logits::Plain(&input.temperatures),
            },
            scores: &mut scores,
            weights: &mut weights,
            stride,
            sums: &mut [0; QUERY_TILE],
            out: &mut out,
            out_stride: width,
        };
        (backend.attention)(&input.head(), tile);
    });
    black_box(out);
}

fn quantize_rows(backend: &Backend, width: usize, outliers: &[u16]) {
    let x = bell(ROWS * width, ONE);
    let mut codes = vec![0; ROWS * row_len(width, outliers.len())];
    let mut scales = vec![TokenScale::covering(0, 0); ROWS];
    counted_work(|| (backend.quantize_rows)(Rows::new(&x, width), outliers, &mut codes, &mut scales));
    black_box((codes, scales));
}

fn layer_norm_rows(backend: &Backend, width: usize) {
    let (x, gain, bias) = (bell(ROWS * width, 1 << 12), vec![1 << 20; width], vec![0; width]);
    let mut y = vec![0; ROWS * width];
    counted_work(|| (backend.layer_norm_rows)(Rows::new(&x, width), &gain, &bias, &[168; ROWS], &mut y));
    black_box(y);
}

fn gate(backend: &Backend, width: usize) {
    let (mut x, gates) = (bell(ROWS * width, ONE), bell(ROWS * width, 2 * ONE));
    counted_work(|| (backend.gate)(&mut x, &gates));
    black_box(x);
}

fn transpose_gated(backend: &Backend, width: usize) {
    let (x, gates) = (bell(ROWS * width, ONE), bell(ROWS * width, 2 * ONE));
    let mut y = vec![0; ROWS * width];
    counted_work(|| {
        (backend.transpose_gated)(Rows::new(&x, width), Rows::new(&gates, width), ROWS, &mut y, ROWS)
    });
    black_box(y);
}

fn encode(backend: &Backend, width: usize) {
    let site = Site { codec: Codec::Wide { step: 4 }, exponents: &vec![1; width] };
    let x = bell(ROWS * width, 1 << 12);
    let mut codes = vec![0; 2 * ROWS * width];
    counted_work(|| (backend.encode)(&site, &x, &mut codes, 2 * width));
    black_box(codes);
}

fn decode(backend: &Backend, width: usize) {
    let site = Site { codec: Codec::Wide { step: 4 }, exponents: &vec![1; width] };
    let codes: Vec<u8> = bell(2 * ROWS * width, 1 << 12).into_iter().map(|x| x as u8).collect();
    let mut x = vec![0; ROWS * width];
    counted_work(|| (backend.decode)(&site, &codes, 2 * width, &mut x));
    black_box(x);
}
