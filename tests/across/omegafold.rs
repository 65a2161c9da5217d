//! A structure by OmegaFold depends on the model, the residues and the request alone.

use std::error::Error;
use std::ops::ControlFlow;

use foldpoint_core::AlignedBytes;
use foldpoint_core::format::ModelFile;
use foldpoint_core::geometry::Residue;
use foldpoint_core::omegafold::{Event, FoldingModel, MASKED_UP_TO, Request};
use foldpoint_core::{Executor, Isa, Runtime, Serial};
use foldpoint_tests::fixture::Backwards;
use foldpoint_tests::random_fold::StructureShape;
use foldpoint_tests::random_omegafold::{OmegaFoldShape, RELEASE_1_WIDTHS, TINY_OMEGAFOLD};
use proptest::prelude::*;

use super::folding::assert_bytes_of_a_pair;

/// Everything that folding computes: atoms and confidences of the best cycle, the confidence in it, which it
/// is, and the confidence in each cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmegaFold {
    pub atoms: Vec<[[i32; 3]; 14]>,
    pub confidence: Vec<u16>,
    pub overall: u32,
    pub cycle: usize,
    pub cycles: Vec<u32>,
}

/// Folds residues, given by their numbers. Working memory is full of `dirt` at first.
pub fn fold(
    file: &AlignedBytes,
    residues: &[usize],
    request: &Request,
    isa: Isa,
    executor: &dyn Executor,
    dirt: u8,
) -> Result<OmegaFold, Box<dyn Error>> {
    let parsed = ModelFile::parse(file.bytes())?;
    let model = FoldingModel::load(&parsed)?;
    let residues: Vec<Residue> = residues.iter().filter_map(|&index| Residue::from_index(index)).collect();
    let runtime = Runtime::new(isa, executor);
    let mut arena = AlignedBytes::filled(model.arena_bytes(residues.len(), request, &runtime)?, dirt);
    let mut cycles = Vec::new();
    let folded = model.run_with(&residues, request, arena.bytes_mut(), &runtime, &mut |event| {
        if let Event::Cycle(structure) = event {
            cycles.push(structure.overall);
        }
        ControlFlow::Continue(())
    })?;
    Ok(OmegaFold {
        atoms: folded.atoms.to_vec(),
        confidence: folded.confidence.to_vec(),
        overall: folded.overall,
        cycle: folded.cycle,
        cycles,
    })
}

fn shapes() -> impl Strategy<Value = OmegaFoldShape> {
    let heads = prop_oneof![Just((1, 1, 8)), Just((3, 1, 16)), Just((2, 2, 24)), Just((1, 2, 32))];
    let bits = || prop_oneof![Just(16), Just(8), Just(6)];
    // Width of the queries, and slices of values: 16 channels of these at a time.
    let values = prop_oneof![Just((8, 2)), Just((16, 1)), Just((16, 3)), Just((24, 2)), Just((32, 1))];
    let language_model = (1..3usize, 1..40usize, values, bits());
    let trunk = (1..3usize, heads, 1..3usize, 1..7usize, 0..9usize, bits(), bits());
    (language_model, trunk, 1..3usize, 1..4usize).prop_map(
        |(
            (layers, width, (query_width, slices), stream_bits),
            (blocks, heads, geometric_layers, outer_width, outliers, node_bits, pair_bits),
            iterations,
            structure_heads,
        )| OmegaFoldShape {
            layers,
            width,
            query_width,
            slices,
            blocks,
            node_heads: heads.0,
            pair_heads: heads.1,
            head_width: heads.2,
            geometric_layers,
            outer_width,
            outliers,
            stream_bits,
            node_bits,
            pair_bits,
            structure: StructureShape {
                iterations,
                heads: structure_heads,
                pair_width: heads.1 * heads.2,
                ..TINY_OMEGAFOLD.structure
            },
            ..TINY_OMEGAFOLD
        },
    )
}

fn residues() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![1..12usize, 1..50usize].prop_flat_map(|length| proptest::collection::vec(0..21usize, length))
}

/// No residue is masked, few are, as many as usual, or all.
fn requests() -> impl Strategy<Value = Request> {
    let masked = prop_oneof![Just(0), Just(MASKED_UP_TO), Just(1 << 23), Just(u32::MAX)];
    (1..4usize, 0..6usize, masked).prop_map(|(cycles, rows, masked_up_to)| {
        Request::default().cycles(cycles).rows(rows).masked_up_to(masked_up_to)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn backend_workers_order_and_old_memory_change_no_structure_of_an_omegafold(
        shape in shapes(),
        seed: u64,
        residues in residues(),
        request in requests(),
        workers in 1..5usize,
    ) {
        let file = AlignedBytes::copy_of(&shape.model(seed).unwrap());
        let expected = fold(&file, &residues, &request, Isa::scalar(), &Serial, 0).unwrap();
        for isa in Isa::all() {
            let outputs = fold(&file, &residues, &request, isa, &Backwards { workers }, 0xa5).unwrap();
            prop_assert!(outputs == expected, "{} on {workers} workers differs", isa.name());
        }
        let best = expected.cycles.iter().max().unwrap();
        prop_assert_eq!((&expected.overall, &expected.cycles[expected.cycle]), (best, best));
    }
}

/// What equal bits alone don't show: that they say anything about the input.
#[test]
fn structures_of_an_omegafold_follow_sequence_cycles_and_rows() {
    let file = AlignedBytes::copy_of(&TINY_OMEGAFOLD.model(3).unwrap());
    let request = Request::default().cycles(1).rows(2);
    let run = |residues: &[usize], request| fold(&file, residues, &request, Isa::best(), &Serial, 0).unwrap();
    let one = run(&[4, 5, 6, 7, 8, 9, 10, 11], request);
    let others = [
        run(&[4, 5, 6, 7, 8, 9, 10, 12], request),
        run(&[4, 5, 6, 7, 8, 9, 10, 11], request.rows(3)),
        run(&[4, 5, 6, 7, 8, 9, 10, 11], request.masked_up_to(1 << 23)),
    ];
    for other in &others {
        let same = one.atoms.iter().zip(&other.atoms).filter(|(a, b)| a == b).count();
        assert!(same == 0, "{same} residues are where they were");
        assert_ne!(one.confidence, other.confidence);
    }
    let cycles = run(&[4, 5, 6, 7, 8, 9, 10, 11], request.cycles(3)).cycles;
    assert!(cycles[0] != cycles[1] && cycles[1] != cycles[2], "{cycles:?}");
    assert!(one.confidence.iter().any(|c| *c != one.confidence[0]), "confidence differs between residues");
}

/// The pairs take almost all of a long chain's working memory: at most one KiB each in release 1, scratch and
/// all.
#[test]
fn a_pair_of_omegafolds_release_1_takes_at_most_one_kibibyte() {
    let file = AlignedBytes::copy_of(&RELEASE_1_WIDTHS.model(0).unwrap());
    let parsed = ModelFile::parse(file.bytes()).unwrap();
    let model = FoldingModel::load(&parsed).unwrap();
    assert_bytes_of_a_pair(1024, |residues, runtime| {
        model.arena_bytes(residues, &Request::default(), runtime).unwrap()
    });
}
