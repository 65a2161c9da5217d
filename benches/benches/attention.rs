//! Attention of one head for a tile of queries. One element is one product: Gelem/s are GMAC/s.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldpoint_benches::inputs::{HeadInput, bell};
use foldpoint_core::Isa;
use foldpoint_core::fixed::Multiplier;
use foldpoint_core::kernels::attention::{Logits, QUERY_TILE, RowTile};

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    for (keys, width) in [(128, 16), (1024, 16), (512, 24), (512, 32), (512, 64), (512, 128)] {
        let input = HeadInput::new(keys, width);
        let stride = keys.next_multiple_of(32);
        let mut scores = vec![0; QUERY_TILE * stride];
        let mut weights = vec![0; QUERY_TILE * stride];
        let mut out = vec![0; QUERY_TILE * width];
        group.throughput(Throughput::Elements(input.products()));
        let factors = [Multiplier { mantissa: 3 << 29, shift: 42 }; QUERY_TILE];
        let bias = bell(QUERY_TILE * stride, 1 << 15);
        let biased = Logits::Biased { factors: &factors, bias: &bias, bias_stride: stride };
        let kinds = [("", Logits::Plain(&input.temperatures)), (", biased", biased)];
        for (isa, (kind, logits)) in Isa::all().flat_map(|isa| kinds.map(|kind| (isa, kind))) {
            let id = BenchmarkId::new(isa.name(), format!("{keys} keys of {width}{kind}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    let mut sums = [0; QUERY_TILE];
                    let tile = RowTile {
                        queries: &input.queries,
                        logits,
                        scores: &mut scores,
                        weights: &mut weights,
                        stride,
                        sums: &mut sums,
                        out: &mut out,
                        out_stride: width,
                    };
                    (isa.backend().attention)(&input.head(), tile);
                    black_box(&mut out);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, attention);
criterion_main!(benches);
