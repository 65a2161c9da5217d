//! Linear layers. One element is one product: Gelem/s are GMAC/s.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use foldpoint_benches::inputs::{LinearInput, every};
use foldpoint_benches::share;
use foldpoint_core::Isa;
use foldpoint_core::kernels::linear::{CodeRows, Epilogue, EpilogueKind};
use foldpoint_core::quant::{Codec, Site};

/// Rows, outputs and inputs: one row; triangle attention's bias; ESM-2 8M's width, 650M's width; a long
/// sequence.
const SHAPES: [[usize; 3]; 5] =
    [[1, 1280, 1280], [128, 4, 128], [128, 320, 1280], [128, 1280, 1280], [1024, 1280, 1280]];

fn gemm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    for [rows, outputs, inputs] in SHAPES {
        for (kind, outliers) in [("", vec![]), (" 3% outliers", every(32, inputs))] {
            let input = LinearInput::new(rows, outputs, inputs, outliers);
            let mut out = vec![0; rows * outputs];
            group.throughput(Throughput::Elements(input.products()));
            for isa in Isa::all() {
                let id = BenchmarkId::new(isa.name(), format!("{rows}x{outputs}x{inputs}{kind}"));
                group.bench_function(id, |bencher| {
                    let layer = input.layer();
                    bencher.iter(|| {
                        (isa.backend().gemm)(&layer, &input.codes, &input.scales, Epilogue::Store, &mut out);
                        black_box(&mut out);
                    });
                });
            }
        }
    }
    group.finish();
}

/// A layer of few inputs, whose time is largely that of what becomes of its outputs.
fn epilogue(criterion: &mut Criterion) {
    let [rows, outputs, inputs] = [128, 1280, 320];
    let input = LinearInput::new(rows, outputs, inputs, every(32, inputs));
    let mut group =
        criterion.benchmark_group(format!("gemm {rows}x{outputs}x{inputs} 3% outliers, epilogue"));
    group.throughput(Throughput::Elements(input.products()));
    let site = Site { codec: Codec::Wide { step: 4 }, exponents: &vec![0; outputs] };
    for kind in EpilogueKind::ALL {
        let (mut out, mut codes) = (vec![0; rows * outputs], vec![0; 2 * rows * outputs]);
        for isa in Isa::all() {
            group.bench_function(BenchmarkId::new(isa.name(), format!("{kind:?}")), |bencher| {
                let layer = input.layer();
                bencher.iter(|| {
                    let coded = CodeRows { site: &site, codes: &mut codes, code_row: 2 * outputs };
                    let epilogue = kind.epilogue(coded);
                    (isa.backend().gemm)(&layer, &input.codes, &input.scales, epilogue, &mut out);
                    black_box(&mut out);
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = gemm, epilogue
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    share::print(1024, 1280, 1280);
}
