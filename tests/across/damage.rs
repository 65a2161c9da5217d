//! A model file may hold any numbers at all: it is refused, or it runs; core never panics. Core is compiled
//! with overflow checks here.

use foldpoint_core::AlignedBytes;
use foldpoint_core::format::ModelFile;
use foldpoint_core::omegafold;
use foldpoint_core::{Isa, Serial};
use foldpoint_tests::fixture::Backwards;
use foldpoint_tests::random::Random;
use foldpoint_tests::random_fold::{FoldShape, TINY_FOLD};
use foldpoint_tests::random_model::{Shape, TINY};
use foldpoint_tests::random_omegafold::{OmegaFoldShape, TINY_OMEGAFOLD};
use proptest::prelude::*;
use quantizer::writer::ModelWriter;

use crate::folding::{Fold, fold};
use crate::omegafold::{OmegaFold, fold as omegafold_of};
use crate::outputs::{Outputs, everything, tokens};

/// How to damage a tensor.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Some bytes become random ones.
    Some(u32),
    /// All bytes become random ones.
    All,
    /// Every byte becomes this one.
    Same(u8),
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => (1..5u32).prop_map(Damage::Some),
        2 => Just(Damage::All),
        1 => prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0xff)].prop_map(Damage::Same),
    ]
}

/// The file with right checksums over wrong contents: `tensor` counts tensors, all of them if `None`.
fn damaged(file: &AlignedBytes, tensor: Option<usize>, damage: Damage, seed: u64) -> AlignedBytes {
    let mut random = Random::new(seed);
    let mut writer = ModelWriter::new();
    for (index, stored) in ModelFile::parse(file.bytes()).unwrap().tensors().enumerate() {
        let mut bytes = stored.bytes.to_vec();
        // The configuration is damaged only on purpose: it is refused so easily that nothing else would be
        // reached.
        let chosen = tensor.map_or(!stored.name.ends_with(".config"), |tensor| tensor == index);
        if chosen && !bytes.is_empty() {
            let last = bytes.len() as i64 - 1;
            match damage {
                Damage::Some(count) => {
                    (0..count).for_each(|_| bytes[random.between(0, last) as usize] = random.bits() as u8);
                }
                Damage::All => bytes.fill_with(|| random.bits() as u8),
                Damage::Same(byte) => bytes.fill(byte),
            }
        }
        let shape: Vec<usize> = stored.shape().iter().map(|&extent| extent as usize).collect();
        writer.add(stored.name, stored.dtype, &shape, bytes).unwrap();
    }
    AlignedBytes::copy_of(&writer.to_bytes().unwrap())
}

/// Runs the file by the specification and by every backend, which must agree even on nonsense.
fn run(file: &AlignedBytes, residues: &[u8]) -> Option<Outputs> {
    let tokens = tokens(residues);
    let expected = everything(file, &tokens, Isa::scalar(), &Serial, 0).ok()?;
    for isa in Isa::all() {
        let outputs = everything(file, &tokens, isa, &Backwards { workers: 2 }, 0xff).unwrap();
        assert!(outputs == expected, "{} differs", isa.name());
    }
    Some(expected)
}

/// As [`run`], for a folding model.
fn run_fold(file: &AlignedBytes, residues: &[u8]) -> Option<Fold> {
    let expected = fold(file, &[residues], 2, Isa::scalar(), &Serial, 0).ok()?;
    for isa in Isa::all() {
        let outputs = fold(file, &[residues], 2, isa, &Backwards { workers: 2 }, 0xff).unwrap();
        assert!(outputs == expected, "{} differs", isa.name());
    }
    Some(expected)
}

/// As [`run`], for an OmegaFold.
fn run_omegafold(file: &AlignedBytes, residues: &[usize]) -> Option<OmegaFold> {
    let request = omegafold::Request::default().cycles(2).rows(2);
    let expected = omegafold_of(file, residues, &request, Isa::scalar(), &Serial, 0).ok()?;
    for isa in Isa::all() {
        let outputs = omegafold_of(file, residues, &request, isa, &Backwards { workers: 2 }, 0xff).unwrap();
        assert!(outputs == expected, "{} differs", isa.name());
    }
    Some(expected)
}

/// A folding model that is quick to run.
const SMALL_FOLD: FoldShape = FoldShape { blocks: 1, ..TINY_FOLD };

const WIDE: Shape = Shape { residual_bits: 16, outliers: 8, ..TINY };

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_tensors_are_refused_or_run(
        wide: bool,
        tensor in proptest::option::of(0..80usize),
        damage in damages(),
        seed: u64,
        residues in proptest::collection::vec(4..33u8, 1..40),
    ) {
        let file = AlignedBytes::copy_of(&if wide { WIDE } else { TINY }.model(0).unwrap());
        run(&damaged(&file, tensor, damage, seed), &residues);
    }

    #[test]
    fn damaged_tensors_of_a_folding_model_are_refused_or_run(
        wide: bool,
        tensor in proptest::option::of(0..450usize),
        damage in damages(),
        seed: u64,
        residues in proptest::collection::vec(4..25u8, 1..24),
    ) {
        let shape = if wide { FoldShape { pair_bits: 16, outliers: 8, ..SMALL_FOLD } } else { SMALL_FOLD };
        let file = AlignedBytes::copy_of(&shape.model(0).unwrap());
        run_fold(&damaged(&file, tensor, damage, seed), &residues);
    }

    #[test]
    fn damaged_tensors_of_an_omegafold_are_refused_or_run(
        wide: bool,
        tensor in proptest::option::of(0..600usize),
        damage in damages(),
        seed: u64,
        residues in proptest::collection::vec(0..21usize, 1..20),
    ) {
        let narrow = OmegaFoldShape { stream_bits: 8, node_bits: 6, pair_bits: 8, ..TINY_OMEGAFOLD };
        let shape = if wide { TINY_OMEGAFOLD } else { narrow };
        let file = AlignedBytes::copy_of(&shape.model(0).unwrap());
        run_omegafold(&damaged(&file, tensor, damage, seed), &residues);
    }
}

/// Asserts that the file runs whatever is in its tensors that are `free`, by their names and the last parts of
/// those; how often it ran.
fn run_damaged(
    file: &AlignedBytes,
    free: impl Fn(&str, &str) -> bool,
    runs: impl Fn(&AlignedBytes) -> bool,
) -> usize {
    let mut ran = 0;
    for (index, tensor) in ModelFile::parse(file.bytes()).unwrap().tensors().enumerate() {
        if free(tensor.name, tensor.name.rsplit('.').next().unwrap()) {
            for damage in [Damage::All, Damage::Same(0x7f), Damage::Same(0x80), Damage::Same(0)] {
                assert!(
                    runs(&damaged(file, Some(index), damage, 9)),
                    "{} of {damage:?} is refused",
                    tensor.name
                );
                ran += 1;
            }
        }
    }
    ran
}

/// Damage to numbers that are free to be anything still runs, so that the test above can't pass on refusals
/// alone.
#[test]
fn any_weights_run() {
    let file = AlignedBytes::copy_of(&TINY.model(0).unwrap());
    let free = |tensor: &str, last: &str| {
        ["weight", "bias", "gain", "rotary"].contains(&last) && !tensor.starts_with("lm.contact")
    };
    let ran = run_damaged(&file, free, |file| run(file, &[4, 32, 9, 20]).is_some());
    assert!(ran >= 4 * 30, "only {ran} runs");
}

#[test]
fn any_weights_fold() {
    let file = AlignedBytes::copy_of(&SMALL_FOLD.model(0).unwrap());
    let free = |tensor: &str, last: &str| {
        tensor.starts_with("fold.") && ["weight", "bias", "gain", "shift"].contains(&last)
    };
    let ran = run_damaged(&file, free, |file| run_fold(file, &[4, 5, 24, 9, 20]).is_some());
    assert!(ran >= 4 * 150, "only {ran} runs");
}

#[test]
fn any_weights_fold_as_an_omegafold() {
    let file = AlignedBytes::copy_of(&TINY_OMEGAFOLD.model(0).unwrap());
    // Tables have limits.
    let free =
        |_: &str, last: &str| ["weight", "bias", "gain", "shift", "rotary", "query_key"].contains(&last);
    let ran = run_damaged(&file, free, |file| run_omegafold(file, &[4, 5, 20, 9, 0]).is_some());
    assert!(ran >= 4 * 200, "only {ran} runs");
}

/// A file that breaks off, wherever it does, is refused before anything is read from it.
#[test]
fn an_omegafold_that_breaks_off_is_refused() {
    let bytes = TINY_OMEGAFOLD.model(0).unwrap();
    for length in (0..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
        let file = AlignedBytes::copy_of(&bytes[..length]);
        assert!(ModelFile::parse(file.bytes()).is_err(), "{length} of {} bytes", bytes.len());
    }
}
