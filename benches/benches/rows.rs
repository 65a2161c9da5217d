//! Operations on one row of 1280 channels. One element is one value.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldpoint_benches::inputs::{bell, every};
use foldpoint_core::Isa;
use foldpoint_core::fixed::TokenScale;
use foldpoint_core::kernels::attention::ContactWeight;
use foldpoint_core::kernels::rows::Rows;
use foldpoint_core::quant::{Codec, Piecewise, Site};

const CHANNELS: usize = 1280;

/// 1.0 in activation units.
const ONE: i32 = 1 << 16;

/// 1.0 in stream units of 12 fractional bits.
const STREAM_ONE: i32 = 1 << 12;

fn each_isa(criterion: &mut Criterion, operation: &str, mut run: impl FnMut(Isa, BenchmarkId, &mut Group)) {
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(CHANNELS as u64));
    for isa in Isa::all() {
        run(isa, BenchmarkId::new(isa.name(), operation), &mut group);
    }
    group.finish();
}

type Group<'g> = BenchmarkGroup<'g, WallTime>;

fn layer_norm(criterion: &mut Criterion) {
    let (x, gain, bias) = (bell(CHANNELS, STREAM_ONE), vec![1 << 20; CHANNELS], vec![0; CHANNELS]);
    let mut y = vec![0; CHANNELS];
    each_isa(criterion, "layer_norm", |isa, id, group| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| isa.backend().layer_norm(black_box(&x), &gain, &bias, 168, &mut y));
        });
    });
}

/// Rows of pairs.
fn layer_norm_rows(criterion: &mut Criterion) {
    const WIDTH: usize = 64;
    let (x, gain, bias) = (bell(CHANNELS, STREAM_ONE), vec![1 << 20; WIDTH], vec![0; WIDTH]);
    let (epsilons, mut y) = ([168; CHANNELS / WIDTH], vec![0; CHANNELS]);
    each_isa(criterion, "layer_norm_rows of 64", |isa, id, group| {
        group.bench_function(id, |bencher| {
            let rows = Rows::new(&x, WIDTH);
            bencher
                .iter(|| (isa.backend().layer_norm_rows)(black_box(rows), &gain, &bias, &epsilons, &mut y));
        });
    });
}

fn transpose(criterion: &mut Criterion) {
    let (x, mut y) = (bell(CHANNELS, ONE), vec![0; CHANNELS]);
    each_isa(criterion, "transpose rows of 40", |isa, id, group| {
        group.bench_function(id, |bencher| {
            let rows = Rows::new(&x, 40);
            bencher.iter(|| (isa.backend().transpose)(black_box(rows), 32, &mut y, 32));
        });
    });
}

fn rotary(criterion: &mut Criterion) {
    const WIDTH: usize = 64;
    let angles = [[1 << 29, 1 << 29]; WIDTH / 2];
    let x = bell(CHANNELS, ONE);
    let mut y = x.clone();
    each_isa(criterion, "rotary", |isa, id, group| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                y.copy_from_slice(&x);
                (isa.backend().rotary)(black_box(&mut y), &angles);
            });
        });
    });
}

fn gate(criterion: &mut Criterion) {
    let (x, gates) = (bell(CHANNELS, ONE), bell(CHANNELS, 2 * ONE));
    let mut y = x.clone();
    each_isa(criterion, "gate", |isa, id, group| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                y.copy_from_slice(&x);
                (isa.backend().gate)(black_box(&mut y), &gates);
            });
        });
    });
}

fn quantize_row(criterion: &mut Criterion) {
    let x = bell(CHANNELS, ONE);
    let outliers = every(32, CHANNELS);
    let mut codes = vec![0; CHANNELS + outliers.len()];
    each_isa(criterion, "quantize_row", |isa, id, group| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| isa.backend().quantize_row(black_box(&x), &outliers, &mut codes));
        });
    });
}

/// Short rows, as heads have them.
fn quantize_rows(criterion: &mut Criterion) {
    let x = bell(CHANNELS, ONE);
    for width in [16, 64] {
        let mut codes = vec![0; CHANNELS];
        let mut scales = vec![TokenScale::covering(0, 0); CHANNELS / width];
        each_isa(criterion, &format!("quantize_rows of {width}"), |isa, id, group| {
            group.bench_function(id, |bencher| {
                let rows = Rows::new(&x, width);
                bencher.iter(|| {
                    (isa.backend().quantize_rows)(black_box(rows), &[], &mut codes, &mut scales);
                });
            });
        });
    }
}

fn residual(criterion: &mut Criterion) {
    let exponents = vec![1; CHANNELS];
    let piecewise = Piecewise::new([16, 111, 111, 16], [2000, 150, 2000]).expect("a codec");
    for (name, codec) in [("8 bits", Codec::Piecewise(piecewise)), ("16 bits", Codec::Wide { step: 4 })] {
        let site = Site { codec, exponents: &exponents };
        let mut x = bell(CHANNELS, STREAM_ONE);
        let code_row = CHANNELS * codec.bytes_per_value();
        let mut codes = vec![0; code_row];
        each_isa(criterion, &format!("encode {name}"), |isa, id, group| {
            group.bench_function(id, |bencher| {
                bencher.iter(|| (isa.backend().encode)(&site, black_box(&x), &mut codes, code_row));
            });
        });
        each_isa(criterion, &format!("decode {name}"), |isa, id, group| {
            group.bench_function(id, |bencher| {
                bencher.iter(|| (isa.backend().decode)(&site, black_box(&codes), code_row, &mut x));
            });
        });
    }
}

fn contact(criterion: &mut Criterion) {
    let weights: Vec<i16> =
        bell(CHANNELS, 1 << 12).iter().map(|x| x.unsigned_abs().min(32_767) as i16).collect();
    let (mut row, mut columns) = (vec![0; CHANNELS], vec![0; CHANNELS]);
    let head = ContactWeight { weight: 9000, shift: 12 };
    each_isa(criterion, "contact", |isa, id, group| {
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                (isa.backend().contact)(black_box(&weights), 9_000_000, head, &mut row, &mut columns)
            });
        });
    });
}

criterion_group!(
    benches,
    layer_norm,
    layer_norm_rows,
    transpose,
    gate,
    rotary,
    quantize_row,
    quantize_rows,
    contact,
    residual
);
criterion_main!(benches);
