//! The plan of the working memory.

use super::model::{CONFIG_SMALL, random_model};
use super::{ALL, run, sequence};
use crate::AlignedBytes;
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::esm::memory::{Dims, Memory, Scratch};
use crate::esm::{Config, HiddenLayers, LanguageModel, Request, RunError};
use crate::format::ModelFile;
use crate::runtime::Runtime;
use proptest::prelude::*;

/// The shapes of ESM-2 8M and 650M.
const ESM2_8M: Config =
    Config { layers: 6, width: 320, heads: 20, ffn: 1280, lm_head: false, ..CONFIG_SMALL };
const ESM2_650M: Config = Config { layers: 33, width: 1280, heads: 20, ffn: 5120, ..CONFIG_SMALL };

const CONTACTS: Request = Request { contacts: true, logits: false, hidden: HiddenLayers::None, piece: false };

fn planned(config: &Config, code_bytes: usize, tokens: usize, workers: usize, request: Request) -> usize {
    let dims = Dims::new(config, code_bytes, tokens, workers, request).unwrap();
    bytes_of(|counter| Memory::take(counter, &dims)).unwrap()
}

/// A change of these numbers is a change of what users must provide.
#[test]
fn sizes_are_pinned() {
    let small = [3, 66, 258, 1026].map(|tokens| planned(&CONFIG_SMALL, 2, tokens, 1, ALL));
    assert_eq!(small, [29_312, 131_904, 691_776, 7_367_232]);
    let esm2_8m = [66, 258, 514, 1026].map(|tokens| planned(&ESM2_8M, 1, tokens, 1, CONTACTS));
    assert_eq!(esm2_8m, [641_024, 1_687_040, 3_827_200, 10_454_528]);
    let esm2_650m = [66, 258, 514, 1026].map(|tokens| planned(&ESM2_650M, 1, tokens, 2, CONTACTS));
    assert_eq!(esm2_650m, [5_123_968, 8_100_736, 13_091_200, 25_660_288]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_counted_is_what_is_taken(
        tokens in 3..300usize,
        workers in 1..5usize,
        code_bytes in 1..3usize,
        (contacts, logits) in any::<(bool, bool)>(),
        hidden in prop::sample::select(&[HiddenLayers::None, HiddenLayers::Last, HiddenLayers::All][..]),
        (heads, eighths, layers, ffn, vocab) in (1..6usize, 1..5usize, 1..4usize, 1..300usize, 1..50usize),
    ) {
        let config = Config { heads, width: heads * 8 * eighths, layers, ffn, vocab, ..CONFIG_SMALL };
        let dims = Dims::new(&config, code_bytes, tokens, workers, Request { contacts, logits, hidden, piece: false }).unwrap();
        let bytes = bytes_of(|counter| Memory::take(counter, &dims)).unwrap();
        let mut memory = AlignedBytes::zeroed(bytes);
        let mut arena = Arena::new(memory.bytes_mut()).unwrap();
        let m = Memory::take(&mut arena, &dims).unwrap();
        prop_assert!(arena.take::<u8>(1).is_err(), "bytes are left");
        prop_assert!(dims.blocks * dims.block_rows >= tokens && (dims.blocks - 1) * dims.block_rows < tokens);
        prop_assert_eq!(m.states.len(), dims.state_bytes().unwrap() * dims.blocks);
        prop_assert_eq!(m.records.len(), dims.record_bytes().unwrap() * dims.blocks);
        prop_assert_eq!(m.next_records.len(), if workers > 1 { m.records.len() } else { 0 });
        let scratch = bytes_of(|counter| Scratch::take(counter, &dims)).unwrap();
        prop_assert_eq!(m.scratch.len(), scratch * workers);
    }
}

#[test]
fn an_arena_that_does_not_fit_is_refused() {
    let file = random_model(1, CONFIG_SMALL).file();
    let view = ModelFile::parse(file.0.bytes()).unwrap();
    let model = LanguageModel::load(&view).unwrap();
    let tokens = sequence(1, 50);
    let runtime = Runtime::serial();
    let needed = model.arena_bytes(52, &ALL, &runtime).unwrap();
    let refused = |bytes: usize, offset: usize| {
        let mut arena = AlignedBytes::zeroed(bytes + offset);
        run(&model, &tokens, ALL, &mut arena.bytes_mut()[offset..], &runtime).map(|_| ())
    };
    let too_small = |given| Err(RunError::Arena(ArenaError::TooSmall { needed, given }));
    assert_eq!(refused(needed, 0), Ok(()));
    assert_eq!(refused(needed + 1, 0), Ok(()));
    assert_eq!(refused(needed - 1, 0), too_small(needed - 1));
    assert_eq!(refused(0, 0), too_small(0));
    for offset in [1, 4, 32, 63] {
        assert_eq!(refused(needed, offset), Err(RunError::Arena(ArenaError::Misaligned)));
    }
}

/// No product of sizes overflows unnoticed, whatever the width of an address.
#[test]
fn the_largest_plan_is_a_number_or_too_large() {
    let config = Config { layers: 256, width: 16_384, heads: 256, ffn: 65_536, vocab: 256, ..CONFIG_SMALL };
    assert_eq!(config.check(), Ok(()));
    for workers in [1, 1000, usize::MAX] {
        let dims = Dims::new(&config, 2, 65_535, workers, ALL).unwrap();
        let bytes = bytes_of(|counter| Memory::take(counter, &dims));
        if workers == 1 && usize::BITS == 64 {
            assert!(bytes.is_ok_and(|bytes| bytes as u64 > 65_533u64 * 65_533 * 2));
        } else if workers == usize::MAX {
            assert_eq!(bytes, Err(ArenaError::TooLarge));
        }
    }
    let dims = |tokens| Dims::new(&config, 2, tokens, 1, ALL).map(|dims| dims.tokens);
    assert_eq!(dims(2), Err(RunError::EmptyInput));
    assert_eq!(dims(usize::MAX), Err(RunError::TooLong { tokens: usize::MAX, limit: 65_535 }));
}
