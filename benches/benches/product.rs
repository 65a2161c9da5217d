//! Triangle multiplication's matrix product of one channel. One element is one product: Gelem/s are GMAC/s.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use foldpoint_core::{AlignedBytes, Isa};

/// Rows of a tile; the other operand has as many as there are residues.
const ROWS: usize = 16;

fn product(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    let mut random = Rng::with_seed(1);
    for residues in [128, 256] {
        let mut codes = |count: usize| {
            let mut codes = AlignedBytes::zeroed(count);
            codes.bytes_mut().fill_with(|| random.u8(..));
            codes
        };
        let (rows, panels) = (codes(ROWS * residues), codes(residues * residues));
        let (rows, panels) = (bytemuck::cast_slice(rows.bytes()), bytemuck::cast_slice(panels.bytes()));
        let mut out = vec![0; ROWS * residues];
        group.throughput(Throughput::Elements((ROWS * residues * residues) as u64));
        for isa in Isa::all() {
            let id = BenchmarkId::new(isa.name(), format!("{ROWS}x{residues}x{residues}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    (isa.backend().product)(rows, panels, residues, &mut out);
                    black_box(&mut out);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, product);
criterion_main!(benches);
