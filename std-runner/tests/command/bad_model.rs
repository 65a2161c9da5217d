//! A model file that is damaged, or none at all, is named and refused.

use crate::common::{Folder, foldpoint};
use predicates::prelude::*;
use predicates::str::contains;
use std_runner::model::ModelBytes;

fn refused(bytes: &[u8], message: &str) {
    let folder = Folder::new();
    folder.write("model.fpm", bytes);
    folder.write("in.fasta", ">a\nMKV\n");
    for arguments in [
        &["predict", "in.fasta", "-o", "out", "--model", "model.fpm"][..],
        &["verify", "model.fpm"],
        &["verify", "--model", "model.fpm"],
    ] {
        foldpoint(&folder)
            .args(arguments)
            .assert()
            .code(1)
            .stdout("")
            .stderr(contains("error: model.fpm: ").and(contains(message)).and(contains("panicked").not()));
    }
    assert!(folder.list("out").is_empty());
}

fn good() -> Vec<u8> {
    ModelBytes::embedded().expect("the embedded model").bytes().to_vec()
}

#[test]
fn zero_bytes_and_other_files() {
    refused(b"", "is empty (0 bytes)");
    refused(b">a\nMKV\n", "not a Foldpoint model file");
    refused(&[0; 4096], "not a Foldpoint model file");
}

#[test]
fn truncated() {
    let model = good();
    for length in [model.len() - 1, model.len() / 2, 100] {
        refused(&model[..length], "truncated");
    }
    refused(&[model, vec![0; 64]].concat(), "bytes after its end");
}

#[test]
fn of_another_version() {
    let mut model = good();
    let version = model[8..12].to_vec();
    model[8] = model[8].wrapping_add(1);
    assert_ne!(model[8..12], version);
    refused(&model, "version");
}

#[test]
fn bit_flipped() {
    let model = good();
    for place in [20, 80, 500, model.len() / 2, model.len() - 65] {
        let mut flipped = model.clone();
        flipped[place] ^= 4;
        refused(&flipped, "");
    }
}

#[test]
fn missing_or_a_folder() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKV\n");
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    for (model, message) in
        [("none.fpm", "none.fpm: the model file cannot be read"), ("folder", "folder: the model")]
    {
        foldpoint(&folder)
            .args(["predict", "in.fasta", "-o", "out", "--model", model])
            .assert()
            .code(1)
            .stderr(contains(message));
    }
}
