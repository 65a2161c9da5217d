//! A structure depends on the model, the input and the number of passes alone.

use std::error::Error;

use foldpoint_core::AlignedBytes;
use foldpoint_core::arena::ArenaError;
use foldpoint_core::chains::LINKER;
use foldpoint_core::esmfold::{FoldingModel, Input, Request, RunError, Step};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{Executor, Isa, Runtime, Serial};
use foldpoint_tests::fixture::Backwards;
use foldpoint_tests::random_fold::{ESMFOLD_V1_WIDTHS, FoldShape, StructureShape, TINY_FOLD};
use proptest::prelude::*;
use std::ops::ControlFlow;

use crate::outputs::tokens;

/// Everything that folding computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    pub atoms: Vec<[[i32; 3]; 14]>,
    pub plddt: Vec<[u16; 37]>,
    pub aligned_error: Vec<u16>,
    pub distogram: Vec<i32>,
    pub scores: (u16, Option<u16>),
    pub chain_scores: Vec<u16>,
}

/// Folds `chains`, joined without linkers. Working memory is full of `dirt` at first.
pub fn fold(
    file: &AlignedBytes,
    chains: &[&[u8]],
    passes: usize,
    isa: Isa,
    executor: &dyn Executor,
    dirt: u8,
) -> Result<Fold, Box<dyn Error>> {
    let parsed = ModelFile::parse(file.bytes())?;
    let model = FoldingModel::load(&parsed)?;
    let residues = chains.concat();
    let numbers = chains.iter().enumerate().flat_map(|(c, chain)| (0..chain.len()).map(move |i| (c, i)));
    let residue_index: Vec<i32> = numbers.clone().map(|(c, i)| (512 * c + i) as i32).collect();
    let numbers: Vec<u16> = numbers.map(|(c, _)| c as u16).collect();
    let tokens = tokens(&residues);
    let input = Input { tokens: &tokens, residue_index: &residue_index, chains: &numbers };
    let request =
        Request::default().passes(passes).aligned_error(true).distogram(true).chain_scores(chains.len());
    let runtime = Runtime::new(isa, executor);
    let mut arena = AlignedBytes::filled(model.arena_bytes(residues.len(), &request, &runtime)?, dirt);
    let folded = model.run(&input, &request, arena.bytes_mut(), &runtime)?;
    Ok(Fold {
        atoms: folded.atoms.to_vec(),
        plddt: folded.plddt.to_vec(),
        aligned_error: folded.aligned_error.unwrap_or_default().to_vec(),
        distogram: folded.distogram.unwrap_or_default().to_vec(),
        scores: (folded.ptm, folded.iptm),
        chain_scores: folded.chain_scores.unwrap_or_default().to_vec(),
    })
}

fn shapes() -> impl Strategy<Value = FoldShape> {
    let heads = prop_oneof![Just((1, 1, 8)), Just((3, 1, 16)), Just((2, 2, 24)), Just((1, 2, 32))];
    let bits = || prop_oneof![Just(16), Just(8), Just(6)];
    (1..3usize, heads, 0..9usize, bits(), bits(), 1..3usize, 1..4usize).prop_map(
        |(blocks, heads, outliers, sequence_bits, pair_bits, iterations, structure_heads)| FoldShape {
            blocks,
            sequence_heads: heads.0,
            pair_heads: heads.1,
            head_width: heads.2,
            outliers: outliers.min(8),
            sequence_bits,
            pair_bits,
            structure: StructureShape { iterations, heads: structure_heads, ..TINY_FOLD.structure },
            ..TINY_FOLD
        },
    )
}

fn residues() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1..20usize, 1..70usize].prop_flat_map(|length| proptest::collection::vec(4..25u8, length))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn backend_workers_order_and_old_memory_change_no_structure(
        shape in shapes(),
        seed: u64,
        residues in residues(),
        passes in 1..4usize,
        workers in 2..5usize,
    ) {
        let file = AlignedBytes::copy_of(&shape.model(seed).unwrap());
        let chains: Vec<&[u8]> = residues.chunks(residues.len().div_ceil(2)).collect();
        let expected = fold(&file, &chains, passes, Isa::scalar(), &Serial, 0).unwrap();
        for isa in Isa::all() {
            let outputs = fold(&file, &chains, passes, isa, &Backwards { workers }, 0xa5).unwrap();
            prop_assert!(outputs == expected, "{} on {workers} workers differs", isa.name());
        }
        let length = residues.len();
        for (index, logits) in expected.distogram.chunks_exact(64).enumerate() {
            let (i, j) = (index / length, index % length);
            let turned = &expected.distogram[(j * length + i) * 64..][..64];
            prop_assert!(logits == turned, "{} and {}", i, j);
        }
        prop_assert_eq!(expected.scores.1.is_some(), chains.len() > 1);
        prop_assert_eq!(expected.chain_scores.len(), chains.len() * chains.len());
    }

    #[test]
    fn the_folding_plan_is_enough_and_not_a_byte_too_much(
        shape in shapes(),
        residues in residues(),
        workers in 1..4usize,
        aligned_error: bool,
        distogram: bool,
        chain_scores in 0..4usize,
    ) {
        let file = AlignedBytes::copy_of(&shape.model(1).unwrap());
        let parsed = ModelFile::parse(file.bytes()).unwrap();
        let model = FoldingModel::load(&parsed).unwrap();
        let request = Request::default().passes(1).aligned_error(aligned_error).distogram(distogram).chain_scores(chain_scores);
        let tokens = tokens(&residues);
        let residue_index: Vec<i32> = (0..residues.len() as i32).collect();
        let input = Input { tokens: &tokens, residue_index: &residue_index, chains: &vec![0; residues.len()] };
        let executor = Backwards { workers };
        let runtime = Runtime::new(Isa::best(), &executor);
        let needed = model.arena_bytes(residues.len(), &request, &runtime).unwrap();
        let mut arena = AlignedBytes::filled(needed, 0);
        let run = |bytes: &mut [u8]| model.run(&input, &request, bytes, &runtime).map(|_| ());
        prop_assert_eq!(run(arena.bytes_mut()), Ok(()));
        let too_small = ArenaError::TooSmall { needed, given: needed - 1 };
        prop_assert_eq!(run(&mut arena.bytes_mut()[..needed - 1]), Err(RunError::Arena(too_small)));
    }
}

/// What equal bits alone don't show: that they say anything about the input.
#[test]
fn structures_follow_sequence_passes_and_chains() {
    let file = AlignedBytes::copy_of(&TINY_FOLD.model(3).unwrap());
    let run = |chains: &[&[u8]], passes| fold(&file, chains, passes, Isa::best(), &Serial, 0).unwrap();
    let one = run(&[&[4, 5, 6, 7, 8, 9]], 1);
    let others =
        [run(&[&[4, 5, 6, 7, 8, 10]], 1), run(&[&[4, 5, 6, 7, 8, 9]], 2), run(&[&[4, 5, 6], &[7, 8, 9]], 1)];
    for other in &others {
        let same = one.atoms.iter().zip(&other.atoms).filter(|(a, b)| a == b).count();
        assert!(same == 0, "{same} residues are where they were");
        assert_ne!(one.plddt, other.plddt);
        assert_ne!(one.aligned_error, other.aligned_error);
    }
    assert!(one.plddt.iter().any(|p| *p != one.plddt[0]), "pLDDT differs between residues");
    assert!(one.scores.1.is_none() && others[2].scores.1.is_some());
}

#[test]
fn inputs_that_can_not_be_folded_are_refused() {
    let file = AlignedBytes::copy_of(&TINY_FOLD.model(0).unwrap());
    let parsed = ModelFile::parse(file.bytes()).unwrap();
    let model = FoldingModel::load(&parsed).unwrap();
    let runtime = Runtime::serial();
    let plan = |residues: usize, request: &Request| model.arena_bytes(residues, request, &runtime);
    let mut arena = AlignedBytes::filled(plan(3, &Request::default()).unwrap(), 0);
    let mut run = |tokens: &[u8], numbers: &[i32], chains: &[u16], passes| {
        let input = Input { tokens, residue_index: numbers, chains };
        let request = Request::default().passes(passes);
        model.run(&input, &request, arena.bytes_mut(), &runtime).map(|_| ()).unwrap_err()
    };
    assert_eq!(run(&[0, 2], &[], &[], 1), RunError::EmptyInput);
    assert_eq!(run(&[], &[], &[], 1), RunError::EmptyInput);
    assert_eq!(run(&[0, 4, 32, 2], &[0, 1], &[0, 0], 1), RunError::NoResidue { index: 2, token: 32 });
    assert_eq!(run(&[0, 4, 5, 2], &[0, 1], &[0, 0], 0), RunError::NoPass);
    let wrong = RunError::WrongLengths { residues: 2, residue_index: 1, chains: 2 };
    assert_eq!(run(&[0, 4, 5, 2], &[0], &[0, LINKER], 1), wrong);
    let request = Request::default().passes(1).chain_scores(1);
    let input = Input { tokens: &[0, 4, 5, 6, 2], residue_index: &[0, 1, 2], chains: &[0, LINKER, 1] };
    let result = model.run(&input, &request, arena.bytes_mut(), &runtime);
    assert_eq!(result.map(|_| ()).unwrap_err(), RunError::ChainWithoutScore { chain: 1, chains: 1 });
    let absurd = Request::default().chain_scores(usize::MAX);
    assert!(matches!(plan(3, &absurd), Err(RunError::Arena(ArenaError::TooLarge))));
    assert!(matches!(plan(20_000, &Request::default()), Err(RunError::TooLong { .. })));
}

#[test]
fn every_step_is_told_once_and_in_order() {
    let file = AlignedBytes::copy_of(&TINY_FOLD.model(0).unwrap());
    let parsed = ModelFile::parse(file.bytes()).unwrap();
    let model = FoldingModel::load(&parsed).unwrap();
    let (runtime, request) = (Runtime::serial(), Request::default().passes(2));
    let mut arena = AlignedBytes::filled(model.arena_bytes(2, &request, &runtime).unwrap(), 0);
    let input = Input { tokens: &[0, 4, 5, 2], residue_index: &[0, 1], chains: &[0, 0] };
    let mut run = |stop_after: usize| {
        let mut steps = Vec::new();
        let outcome = model.run_with(&input, &request, arena.bytes_mut(), &runtime, &mut |step| {
            steps.push(step);
            if steps.len() < stop_after { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (outcome.map(|_| ()), steps)
    };
    let pass = |pass| {
        [Step::Block { pass, block: 0 }, Step::Block { pass, block: 1 }, Step::StructureModule { pass }]
    };
    let layers = (0..model.language_model().config().layers).map(|layer| Step::Layer { layer });
    let expected: Vec<Step> = layers.chain([Step::LanguageModel]).chain(pass(0)).chain(pass(1)).collect();
    assert_eq!(run(usize::MAX), (Ok(()), expected.clone()));
    for last in 1..=expected.len() {
        assert_eq!(run(last), (Err(RunError::Stopped), expected[..last].to_vec()), "a hook stops a run");
    }
}

/// What a watcher is shown: after each block, both representations, whatever runs them and however they are read.
#[test]
fn representations_are_shown_after_every_block() {
    let file = AlignedBytes::copy_of(&TINY_FOLD.model(0).unwrap());
    let parsed = ModelFile::parse(file.bytes()).unwrap();
    let model = FoldingModel::load(&parsed).unwrap();
    let (tokens, residue_index) = ([0, 4, 5, 6, 2], [0, 1, 2]);
    let input = Input { tokens: &tokens, residue_index: &residue_index, chains: &[0; 3] };
    let request = Request::default().passes(2);
    let [width, pair_width] = [model.config().sequence_width, model.config().pair_width];
    let watched = |isa, executor: &dyn Executor| {
        let runtime = Runtime::new(isa, executor);
        let mut arena = AlignedBytes::filled(model.arena_bytes(3, &request, &runtime).unwrap(), 0);
        let mut shown = Vec::new();
        let structure = model
            .run_watched(&input, &request, arena.bytes_mut(), &runtime, &mut |step, representations| {
                let Some(representations) = representations else {
                    assert!(!matches!(step, Step::Block { .. }), "{step:?} shows nothing");
                    return ControlFlow::Continue(());
                };
                let (mut sequence, mut pair) = (vec![0; 3 * width], vec![0; 9 * pair_width]);
                representations.sequence(0, &mut sequence);
                representations.pair(0, &mut pair);
                for row in 0..9 {
                    let mut alone = vec![i32::MAX; pair_width];
                    representations.pair(row, &mut alone);
                    assert_eq!(alone, pair[row * pair_width..][..pair_width], "pair {row}");
                }
                let mut beyond = vec![7; 2 * width];
                representations.sequence(2, &mut beyond);
                assert_eq!(beyond[..width], sequence[2 * width..], "the last row");
                assert_eq!(beyond[width..], vec![7; width], "there is no row behind it");
                shown.push((step, sequence, pair));
                ControlFlow::Continue(())
            })
            .unwrap();
        (shown, structure.atoms.to_vec())
    };
    let (shown, atoms) = watched(Isa::scalar(), &Serial);
    let steps: Vec<Step> = shown.iter().map(|(step, ..)| *step).collect();
    let block = |pass, block| Step::Block { pass, block };
    assert_eq!(steps, [block(0, 0), block(0, 1), block(1, 0), block(1, 1)]);
    for (i, j) in [(0, 1), (1, 2), (2, 3)] {
        assert!(shown[i].1 != shown[j].1 && shown[i].2 != shown[j].2, "blocks {i} and {j} change nothing");
    }
    assert_eq!(watched(Isa::best(), &Backwards { workers: 2 }), (shown, atoms.clone()));
    let runtime = Runtime::serial();
    let mut arena = AlignedBytes::filled(model.arena_bytes(3, &request, &runtime).unwrap(), 0);
    assert_eq!(model.run(&input, &request, arena.bytes_mut(), &runtime).unwrap().atoms, atoms);
}

/// The pairs take almost all of a long chain's working memory: at most 1.5 KiB each in esmfold_v1, scratch
/// and all.
#[test]
fn a_pair_of_esmfold_v1_takes_at_most_one_and_a_half_kibibytes() {
    let file = AlignedBytes::copy_of(&ESMFOLD_V1_WIDTHS.model(0).unwrap());
    let parsed = ModelFile::parse(file.bytes()).unwrap();
    let model = FoldingModel::load(&parsed).unwrap();
    assert_bytes_of_a_pair(1536, |residues, runtime| {
        model.arena_bytes(residues, &Request::default(), runtime).unwrap()
    });
}

/// Asserts that a fold takes at most `most` bytes for each pair of residues, and 40 KiB for each residue, what
/// grows with the length alone: ESMFold's sequence representation, 16 rows of OmegaFold's nodes.
pub fn assert_bytes_of_a_pair(most: usize, bytes: impl Fn(usize, &Runtime) -> usize) {
    for residues in [128, 256, 512, 1024] {
        for workers in [1, 2] {
            let bytes = bytes(residues, &Runtime::new(Isa::best(), &Backwards { workers }));
            assert!(
                bytes.saturating_sub(residues * 40 * 1024) <= most * residues * residues,
                "{residues} residues on {workers} workers: {bytes}"
            );
        }
    }
}
