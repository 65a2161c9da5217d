//! The bits themselves: a change of any rounding shows here, and is then made on purpose.

use foldpoint_bare_metal::{Checksums, EMPTY, model, run};
use foldpoint_core::Isa;
use foldpoint_tests::random_fold::TINY_FOLD;
use foldpoint_tests::random_omegafold::TINY_OMEGAFOLD;

/// What the bare-metal example prints on every machine.
const TINY_CHECKSUMS: Checksums =
    Checksums { contacts: 0x41a4_124f, logits: 0x10f7_5a3d, atoms: 0xe2c2_6316, plddt: 0xb162_1d19 };

#[test]
fn the_bare_metal_example_gives_the_pinned_bits() {
    let mut arena = Box::new(EMPTY);
    for isa in Isa::all() {
        let checksums = run(&mut arena, isa).unwrap();
        assert_eq!(checksums, TINY_CHECKSUMS, "{}: {checksums}", isa.name());
    }
}

#[test]
fn the_bare_metal_model_is_what_its_generator_writes() {
    let written = TINY_FOLD.model(0).unwrap();
    assert!(
        model() == written,
        "run: cargo run -p foldpoint-tests --bin random-model tiny examples/bare-metal/tiny.fpm"
    );
}

#[test]
fn the_omegafold_of_the_commands_tests_is_what_its_generator_writes() {
    let committed = include_bytes!("../../std-runner/tests/omegafold.fpm");
    assert!(
        committed[..] == TINY_OMEGAFOLD.model(0).unwrap(),
        "run: cargo run -p foldpoint-tests --bin random-model tiny-omegafold std-runner/tests/omegafold.fpm"
    );
}
