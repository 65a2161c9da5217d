//! A result depends on the model and the tokens alone.

use foldpoint_core::AlignedBytes;
use foldpoint_core::arena::ArenaError;
use foldpoint_core::esm::{HiddenLayers, LanguageModel, Request, RunError};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{Isa, Runtime, Serial};
use foldpoint_tests::fixture::Backwards;
use foldpoint_tests::random_model::{Shape, TINY};
use proptest::prelude::*;

use crate::outputs::{everything, tokens};

/// Every head width that ESM-2 comes in and some that it does not, all codecs of the residual stream.
fn shapes() -> impl Strategy<Value = Shape> {
    let heads =
        prop_oneof![Just((1, 8)), Just((3, 16)), Just((2, 24)), Just((1, 32)), Just((2, 64)), Just((1, 128))];
    let codecs = prop_oneof![Just(16), Just(8), Just(6), Just(4)];
    (1..3usize, heads, 1..150usize, 0..9usize, codecs, any::<bool>(), any::<bool>()).prop_map(
        |(layers, (heads, head_width), ffn, outliers, residual_bits, contact_head, lm_head)| Shape {
            layers,
            heads,
            head_width,
            ffn,
            outliers: outliers.min(ffn).min(heads * head_width),
            residual_bits,
            contact_head,
            lm_head,
        },
    )
}

/// Residues, unknown ones and masks among them.
fn sequences() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![1..40usize, 90..100usize, 1..250usize];
    lengths.prop_flat_map(|length| {
        proptest::collection::vec(prop_oneof![20 => 4..24u8, 1 => 24..31u8, 1 => Just(32)], length)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn backend_workers_order_and_old_memory_change_nothing(
        shape in shapes(),
        seed: u64,
        residues in sequences(),
        workers in 2..7usize,
    ) {
        let file = AlignedBytes::copy_of(&shape.model(seed).unwrap());
        let tokens = tokens(&residues);
        let expected = everything(&file, &tokens, Isa::scalar(), &Serial, 0).unwrap();
        for isa in Isa::all() {
            let outputs = everything(&file, &tokens, isa, &Backwards { workers }, 0xa5).unwrap();
            prop_assert!(outputs == expected, "{} on {workers} workers differs", isa.name());
        }
        let length = residues.len();
        for (index, &probability) in expected.contacts.iter().enumerate() {
            let (i, j) = (index / length, index % length);
            prop_assert_eq!(probability, expected.contacts[j * length + i], "{} and {}", i, j);
        }
    }

    #[test]
    fn the_plan_is_enough_and_not_a_byte_too_much(
        shape in shapes(),
        residues in sequences(),
        workers in 1..5usize,
        contacts: bool,
        logits: bool,
    ) {
        let file = AlignedBytes::copy_of(&shape.model(1).unwrap());
        let parsed = ModelFile::parse(file.bytes()).unwrap();
        let model = LanguageModel::load(&parsed).unwrap();
        let request = Request::default()
            .contacts(contacts && shape.contact_head)
            .logits(logits && shape.lm_head)
            .hidden(HiddenLayers::Last);
        let tokens = tokens(&residues);
        let executor = Backwards { workers };
        let runtime = Runtime::new(Isa::best(), &executor);
        let needed = model.arena_bytes(tokens.len(), &request, &runtime).unwrap();
        let mut arena = AlignedBytes::filled(needed, 0);
        let run = |bytes: &mut [u8]| model.run(&tokens, &request, bytes, &runtime).map(|_| ());
        prop_assert_eq!(run(arena.bytes_mut()), Ok(()));
        let too_small = ArenaError::TooSmall { needed, given: needed - 1 };
        prop_assert_eq!(run(&mut arena.bytes_mut()[..needed - 1]), Err(RunError::Arena(too_small)));
    }
}

/// What equal bits alone don't show: that they say anything about the sequence.
#[test]
fn outputs_follow_inputs() {
    let file = AlignedBytes::copy_of(&TINY.model(3).unwrap());
    let run = |residues: &[u8]| everything(&file, &tokens(residues), Isa::best(), &Serial, 0).unwrap();
    let (one, other) = (run(&[4, 5, 6, 7, 8, 9]), run(&[4, 5, 6, 7, 8, 10]));
    let differing = one.logits.iter().zip(&other.logits).filter(|(a, b)| a != b).count();
    assert!(differing > one.logits.len() / 2, "attention reaches every token, but {differing} logits differ");
    assert!(one.contacts.iter().any(|&p| p != one.contacts[0]));
    assert_ne!(one.contacts, other.contacts);
}
