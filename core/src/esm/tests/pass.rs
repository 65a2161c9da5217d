//! What must not change the result: the backend, the executor, the arena, and what else is asked for.

use super::model::{CONFIG_SMALL, random_model};
use super::threads::Threads;
use super::{ALL, compute, run, sequence};
use crate::AlignedBytes;
use crate::esm::{Config, Event, HiddenLayers, LanguageModel, Request, RunError};
use crate::executor::Serial;
use crate::format::ModelFile;
use crate::format::testing::File;
use crate::kernels::Isa;
use crate::runtime::Runtime;
use core::ops::ControlFlow;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn small() -> File {
    random_model(1, CONFIG_SMALL).file()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_backend_and_executor_gives_the_same(seed: u64, residues in 1..=200usize) {
        let (file, tokens) = (small(), sequence(seed, residues));
        let expected = compute(&file, &tokens, ALL, Isa::scalar(), &Serial).unwrap();
        for isa in Isa::all() {
            prop_assert_eq!(&compute(&file, &tokens, ALL, isa, &Serial).unwrap(), &expected);
            for workers in [1, 2, 3, 7] {
                let found = compute(&file, &tokens, ALL, isa, &Threads { workers, seed }).unwrap();
                prop_assert_eq!(&found, &expected);
            }
        }
    }

    #[test]
    fn what_is_wanted_does_not_change_what_is_computed(seed: u64, residues in 1..60usize) {
        let (file, tokens) = (small(), sequence(seed, residues));
        let all = compute(&file, &tokens, ALL, Isa::best(), &Serial).unwrap();
        for (contacts, logits) in [(false, false), (false, true), (true, false), (true, true)] {
            for hidden in [HiddenLayers::None, HiddenLayers::Last, HiddenLayers::All] {
                let found =
                    compute(&file, &tokens, Request { contacts, logits, hidden, piece: false }, Isa::best(), &Serial).unwrap();
                prop_assert_eq!(found.contacts, all.contacts.clone().filter(|_| contacts));
                prop_assert_eq!(found.logits, all.logits.clone().filter(|_| logits));
                let first = match hidden {
                    HiddenLayers::None => usize::MAX,
                    HiddenLayers::Last => CONFIG_SMALL.layers,
                    HiddenLayers::All => 0,
                };
                let expected: Vec<_> =
                    all.hidden.iter().filter(|&&(layer, ..)| layer >= first).cloned().collect();
                prop_assert_eq!(found.hidden, expected);
            }
        }
    }
}

/// Head widths, layers, odd vocabularies and feed-forward widths that fill no panel.
#[test]
fn other_shapes_give_the_same_on_every_backend() {
    for (heads, width, ffn, vocab) in [(1, 8, 1, 33), (2, 48, 50, 40), (5, 160, 33, 256), (1, 256, 77, 33)] {
        let config = Config { heads, width, ffn, vocab, layers: 1, token_dropout: false, ..CONFIG_SMALL };
        let file = random_model(7, config).file();
        let tokens = sequence(3, 75);
        let expected = compute(&file, &tokens, ALL, Isa::scalar(), &Serial).unwrap();
        for isa in Isa::all() {
            assert_eq!(
                compute(&file, &tokens, ALL, isa, &Threads { workers: 2, seed: 1 }).unwrap(),
                expected
            );
        }
    }
}

#[test]
fn a_sequence_in_a_used_arena_is_a_sequence_alone() {
    let file = small();
    let file_view = ModelFile::parse(file.0.bytes()).unwrap();
    let model = LanguageModel::load(&file_view).unwrap();
    let runtime = Runtime::serial();
    let bytes = model.arena_bytes(202, &ALL, &runtime).unwrap();
    let mut arena = AlignedBytes::filled(bytes, 0xff);
    for (seed, residues) in [(1, 200), (2, 1), (3, 130), (4, 31)] {
        let tokens = sequence(seed, residues);
        let found = run(&model, &tokens, ALL, arena.bytes_mut(), &runtime).unwrap();
        assert_eq!(found, compute(&file, &tokens, ALL, Isa::best(), &Serial).unwrap());
    }
}

#[test]
fn the_sink_gets_every_layer_token_by_token() {
    let tokens = sequence(1, 40);
    let found = compute(&small(), &tokens, ALL, Isa::best(), &Serial).unwrap();
    let places: Vec<_> = found.hidden.iter().map(|&(layer, token, _)| (layer, token)).collect();
    let expected: Vec<_> = (0..=2).flat_map(|layer| (0..42).map(move |token| (layer, token))).collect();
    assert_eq!(places, expected);
    assert!(found.hidden.iter().all(|(_, _, values)| values.len() == 48));
    assert_eq!(found.logits.map(|logits| logits.len()), Some(42 * 33));
    assert_eq!(found.contacts.map(|contacts| contacts.len()), Some(40 * 40));
}

#[test]
fn bad_input_is_refused() {
    let file = small();
    let refused = |tokens: &[u8]| compute(&file, tokens, ALL, Isa::best(), &Serial).unwrap_err();
    assert_eq!(refused(&[]), RunError::EmptyInput);
    assert_eq!(refused(&[0, 2]), RunError::EmptyInput);
    assert_eq!(refused(&[0, 5, 33, 2]), RunError::BadToken { index: 2, token: 33 });
    assert_eq!(refused(&[0, 5, 6, 1]), RunError::BadToken { index: 3, token: 1 });
    let long = vec![5; 65_536];
    assert_eq!(refused(&long), RunError::TooLong { tokens: 65_536, limit: 65_535 });
}

#[test]
fn outputs_without_their_head_are_refused() {
    let file = random_model(1, Config { contact_head: false, lm_head: false, ..CONFIG_SMALL }).file();
    let view = ModelFile::parse(file.0.bytes()).unwrap();
    let model = LanguageModel::load(&view).unwrap();
    assert!(!model.has_contact_head() && !model.has_lm_head());
    let want = |contacts, logits| Request { contacts, logits, hidden: HiddenLayers::Last, piece: false };
    let refused = |request: Request| model.arena_bytes(10, &request, &Runtime::serial()).unwrap_err();
    assert_eq!(refused(want(true, false)), RunError::NoContactHead);
    assert_eq!(refused(want(false, true)), RunError::NoLmHead);
    let found = compute(&file, &sequence(1, 10), want(false, false), Isa::best(), &Serial).unwrap();
    assert_eq!(found.hidden.len(), 12);
}

#[test]
fn a_hook_is_told_of_every_layer_and_can_stop_the_run() {
    let file = small();
    let view = ModelFile::parse(file.0.bytes()).unwrap();
    let model = LanguageModel::load(&view).unwrap();
    let (tokens, runtime, request) = (sequence(1, 20), Runtime::serial(), Request::default().contacts(true));
    let mut arena = AlignedBytes::zeroed(model.arena_bytes(22, &request, &runtime).unwrap());
    for last in 0..=CONFIG_SMALL.layers {
        let mut seen = Vec::new();
        let outcome = model.run_with(&tokens, &request, arena.bytes_mut(), &runtime, &mut |event| {
            if let Event::Layer { layer } = event {
                seen.push(layer);
            }
            if seen.len() > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = last < CONFIG_SMALL.layers;
        assert_eq!(outcome.map(|_| ()), if stopped { Err(RunError::Stopped) } else { Ok(()) });
        assert_eq!(seen, (0..CONFIG_SMALL.layers.min(last + 1)).collect::<Vec<_>>());
    }
}

#[test]
fn a_piece_of_a_sequence_is_run_if_it_may_be_one() {
    let (file, tokens) = (small(), sequence(1, 30));
    let logits = Request::default().logits(true).hidden(HiddenLayers::Last);
    let compute = |tokens: &[u8], request| compute(&file, tokens, request, Isa::best(), &Serial);
    for piece in [&tokens[..20], &tokens[5..], &tokens[5..20]] {
        let (first, last) = (piece[0], piece[piece.len() - 1]);
        let refused = RunError::NotFramed { first, last };
        assert_eq!(compute(piece, logits), Err(refused));
        assert_eq!(compute(piece, logits.piece(true).contacts(true)), Err(refused));
        let outputs = compute(piece, logits.piece(true)).unwrap();
        assert_eq!(outputs.hidden.len(), piece.len());
        let logits = outputs.logits.unwrap();
        assert_eq!(logits.len(), piece.len() * CONFIG_SMALL.vocab);
        // What is around a token counts.
        assert_ne!(logits[..CONFIG_SMALL.vocab], logits[logits.len() - CONFIG_SMALL.vocab..]);
    }
    assert_eq!(compute(&tokens, ALL.piece(true)), compute(&tokens, ALL));
}
