//! Masked residues: `<mask>` or `_` is ESM-2's mask token in everything that the language model says.

use crate::common::{Folder, foldpoint, npy};
use crate::model_file::FOLDING;
use foldpoint_core::Runtime;
use foldpoint_core::alphabet::MASK;
use foldpoint_core::esm::{Event, HiddenLayers, Request};
use predicates::str::contains;
use std::ops::ControlFlow;
use std_runner::arena::Arena;
use std_runner::model::Model;

/// A masked sequence as it can be written, and its tokens.
const SEQUENCES: &str = ">token\nMK<mask>LA<MASK>\n<ma\nsk>G\n>letter\nmk_la__g\n>all\n___\n";
const TOKENS: [u8; 10] = [0, 20, 15, MASK, 4, 5, MASK, MASK, 6, 2];

/// Logits of all tokens, and the first and the last hidden state, of the embedded model for these tokens.
fn expected(tokens: &[u8]) -> [Vec<f32>; 3] {
    let embedded = Model::embedded().expect("the embedded model");
    let model = embedded.language_model().expect("a language model");
    let (last, width) = (model.config().layers, model.config().width);
    let (request, runtime) = (Request::default().logits(true).hidden(HiddenLayers::All), Runtime::serial());
    let bytes = model.arena_bytes(tokens.len(), &request, &runtime).expect("a plan");
    let mut arena = Arena::new(bytes).expect("memory");
    let mut hidden = vec![Vec::new(); last + 1];
    let float = |&value: &i32| value as f32 / 65536.0;
    let outputs = model.run_with(tokens, &request, arena.bytes(), &runtime, &mut |event| {
        if let Event::Hidden(row) = event {
            hidden[row.layer].extend(row.values.iter().map(float));
        }
        ControlFlow::Continue(())
    });
    let logits = outputs.expect("it runs").logits.expect("logits").iter().map(float).collect();
    // Without <cls> and <eos>.
    let residues = |rows: Vec<f32>, width: usize| rows[width..rows.len() - width].to_vec();
    let (first, last) = (hidden.remove(0), hidden.pop());
    [residues(logits, 33), residues(first, width), residues(last.expect("layers"), width)]
}

#[test]
fn a_mask_is_the_mask_token() {
    let folder = Folder::new();
    folder.write("in.fasta", SEQUENCES);
    foldpoint(&folder)
        .args(["logits", "in.fasta", "-o", "out", "--all-tokens"])
        .assert()
        .success()
        .stderr("");
    foldpoint(&folder)
        .args(["embed", "in.fasta", "-o", "out", "--layers", "0,-1"])
        .assert()
        .success()
        .stderr("");
    for (id, tokens) in [("token", &TOKENS[..]), ("letter", &TOKENS), ("all", &[0, MASK, MASK, MASK, 2])] {
        let [logits, first, last] = expected(tokens);
        assert!(npy(&folder, &format!("out/{id}.logits.npy")).1 == logits, "logits of {id}");
        assert!(npy(&folder, &format!("out/{id}.layer0.npy")).1 == first, "layer0 of {id}");
        assert!(npy(&folder, &format!("out/{id}.layer10.npy")).1 == last, "layer10 of {id}");
        // The embedding of a mask is zero, and that of nothing else.
        let width = first.len() / (tokens.len() - 2);
        for (row, &token) in first.chunks(width).zip(&tokens[1..]) {
            assert_eq!(row.iter().all(|&value| value == 0.0), token == MASK, "{id} {token}");
        }
    }
}

/// Hiding residues changes what the model says of the others, and the scale of their embeddings.
#[test]
fn others_are_scaled_by_the_share_of_masks() {
    let folder = Folder::new();
    folder.write("in.fasta", ">plain\nMKVLAAGIVGLCAKAY\n>masked\nMKV_A_GIV__CAK_Y\n");
    foldpoint(&folder).args(["embed", "in.fasta", "-o", "out", "--layers", "0"]).assert().success();
    let (plain, masked) = (npy(&folder, "out/plain.layer0.npy").1, npy(&folder, "out/masked.layer0.npy").1);
    let width = plain.len() / 16;
    // 18 tokens of which 5 are masks: 1 / (1 - 5/18), up to the codes that embeddings are stored in.
    let (mut found, mut expected) = (0.0, 0.0);
    for (plain, masked) in plain.chunks(width).zip(masked.chunks(width)) {
        if masked.iter().any(|&value| value != 0.0) {
            found += masked.iter().map(|value| f64::from(value.abs())).sum::<f64>();
            expected += plain.iter().map(|value| f64::from(value.abs())).sum::<f64>() * 18.0 / 13.0;
        }
    }
    assert!(expected > 0.0 && (found / expected - 1.0).abs() < 0.02, "{}", found / expected);
}

#[test]
fn contacts_of_a_masked_sequence() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGIVG:LC_KAY\n>b\nMKVLAAGIVG:LC<mask>KAY\n>c\nMKVLAAGIVG:LCXKAY\n");
    foldpoint(&folder).args(["contacts", "in.fasta", "-o", "out"]).assert().success().stderr("");
    let map = |id: &str| npy(&folder, &format!("out/{id}.contacts.npy"));
    assert_eq!(map("a").0, [16, 16]);
    assert_eq!(map("a"), map("b"));
    assert_ne!(map("a"), map("c"), "a mask is not the unknown residue X");
}

#[test]
fn a_mask_is_not_folded() {
    let folder = Folder::new();
    folder.write("tiny.fpm", FOLDING);
    folder.write("in.fasta", ">a\nMKV\nL_A\n>b\nMKV\n");
    for arguments in [&["predict", "-o", "out"][..], &["digest"]] {
        foldpoint(&folder).args(arguments).args(["in.fasta", "--model", "tiny.fpm"]).assert().code(1).stderr(
            contains("in.fasta: line 3, column 2: record 1 (`a`): found a mask (`<mask>` or `_`); expected"),
        );
    }
    foldpoint(&folder).args(["digest", "--no-fold", "in.fasta", "--model", "tiny.fpm"]).assert().success();
}
