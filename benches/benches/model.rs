//! Whole passes of the default model on one thread. One element is one token.

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldpoint_core::esm::{HiddenLayers, LanguageModel, Request};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{AlignedBytes, Isa, Runtime, Serial};

fn model(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/default.fpm");
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let bytes = AlignedBytes::copy_of(&bytes);
    let file = ModelFile::parse(bytes.bytes()).expect("a model file");
    let model = LanguageModel::load(&file).expect("a language model");
    let mut group = criterion.benchmark_group("model");
    for (name, request) in [
        ("hidden states", Request::default().hidden(HiddenLayers::Last)),
        ("contacts", Request::default().contacts(true)),
    ] {
        for residues in [128, 512] {
            let tokens = tokens(residues);
            let needed = model.arena_bytes(tokens.len(), &request, &Runtime::serial()).expect("a plan");
            let mut arena = AlignedBytes::zeroed(needed);
            group.throughput(Throughput::Elements(tokens.len() as u64));
            for isa in Isa::all() {
                let runtime = Runtime::new(isa, &Serial);
                let id = BenchmarkId::new(isa.name(), format!("{name}, {residues} residues"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let arena = arena.bytes_mut();
                        let outputs = model.run(&tokens, &request, arena, &runtime).expect("a pass");
                        black_box(outputs.contacts);
                    });
                });
            }
        }
    }
    group.finish();
}

/// <cls>, every amino acid in turn, <eos>.
fn tokens(residues: usize) -> Vec<u8> {
    [0].into_iter().chain((4..24).cycle().take(residues)).chain([2]).collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = model
}
criterion_main!(benches);
