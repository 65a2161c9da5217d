//! What is said about a checkpoint that is used.

use safetensors::tensor::Dtype;

use crate::fixture::golden;
use crate::fixture::handmade::*;

#[test]
fn heads_of_other_tasks_are_named() {
    let folder = changed(|tensors| {
        for name in [
            "classifier.dense.weight",
            "classifier.out_proj.weight",
            "esm.pooler.dense.weight",
            "score.weight",
        ] {
            tensors.insert(name.into(), stored(&[4], |_| 0.0));
        }
        tensors.insert("esm.embeddings.position_ids".into(), stored(&[4], |_| 0.0));
    });
    let text = remarks(folder.path());
    assert!(
        text.contains("note: not used: classifier (2 tensors), esm.pooler (1 tensor), score (1 tensor)\n"),
        "{text}"
    );
    assert!(!remarks(&golden("esm2-head16")).contains("not used"));
}

#[test]
fn heads_that_are_missing_are_named() {
    let bare = changed(|tensors| tensors.retain(|name, _| name.starts_with("esm.e")));
    let text = remarks(bare.path());
    assert!(text.contains("no contact head") && text.contains("no language-model head"), "{text}");
    let whole = remarks(&golden("esm2-head16"));
    assert!(!whole.contains("head:"), "{whole}");
}

#[test]
fn rotary_tables_that_are_off_are_a_warning_with_the_error_of_phase() {
    let table = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq";
    let with = |frequency: fn(f32) -> f32| {
        changed(|tensors| {
            let exact = |i: usize| frequency(10000f32.powf(-(i as f32) / 8.0));
            tensors.insert(table.into(), stored(&[8], exact));
        })
    };
    assert!(!remarks(with(|f| f).path()).contains("rotary"));
    let half = |f: f32| half::f16::from_f32(f).to_f32();
    assert!(!remarks(with(half).path()).contains("rotary"));
    let brain = |f: f32| half::bf16::from_f32(f).to_f32();
    let text = remarks(with(brain).path());
    assert!(text.contains("warning: ") && text.contains("degrees) at position 1,024"), "{text}");
    // 0.0316 instead of 0.316 for one pair: 291.4 radians.
    let tenth = |f: f32| if f == 10000f32.powf(-0.125) { f / 10.0 } else { f };
    let text = remarks(with(tenth).path());
    assert!(text.contains("1 of 8 stored") && text.contains("by up to 291.4"), "{text}");
    // None stored: the formula's, without a warning.
    let absent = changed(|tensors| drop(tensors.remove(table)));
    assert!(!remarks(absent.path()).contains("rotary"));
}

#[test]
fn a_decoder_that_is_not_the_embedding_it_is_tied_to_is_a_warning() {
    let embedding = "esm.embeddings.word_embeddings.weight";
    let same =
        changed(|tensors| drop(tensors.insert("lm_head.decoder.weight".into(), tensors[embedding].clone())));
    assert!(!remarks(same.path()).contains("decoder"));
    let other = changed(|tensors| {
        let mut decoder = tensors[embedding].clone();
        assert_eq!(decoder.dtype, Dtype::F16);
        decoder.bytes[1] ^= 0x80;
        tensors.insert("lm_head.decoder.weight".into(), decoder);
    });
    assert!(remarks(other.path()).contains("warning: lm_head.decoder.weight is not the embedding"));
}
