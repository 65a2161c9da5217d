//! A model file that is damaged, or none at all, is named and refused.

use std::collections::BTreeSet;

use crate::common::{Folder, foldpoint};
use crate::model_file::{FOLDING, sealed, with, with_tensor};
use foldpoint_core::esm::LanguageModel;
use foldpoint_core::esmfold::FoldingModel;
use foldpoint_core::format::FormatError;
use predicates::prelude::*;
use predicates::str::contains;
use std_runner::model::Model;

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
    Model::embedded().expect("the embedded model").bytes().to_vec()
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

#[test]
fn verify_refuses_what_a_run_would() {
    let names: Vec<String> =
        with(FOLDING, |file| file.tensors().map(|tensor| tensor.name.to_owned()).collect());
    // One tensor of each kind that can't hold any values at all.
    let mut kinds = BTreeSet::new();
    for (entry, name) in names.iter().enumerate().filter(|(_, name)| name.starts_with("fold.")) {
        let kind: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
        if kinds.contains(&kind) {
            continue;
        }
        let bytes = with_tensor(entry, 0xff);
        let (language_model, folding): (Option<FormatError>, _) = with(&bytes, |file| {
            file.verify().expect("its checksums are right");
            (LanguageModel::load(file).err(), FoldingModel::load(file).err())
        });
        assert_eq!(language_model, None, "{name} is of the folding part");
        if let Some(error) = folding {
            refused(&bytes, &error.to_string());
            kinds.insert(kind);
        }
    }
    assert!(kinds.len() >= 5 && kinds.contains("fold.config"), "{kinds:?}");
}

#[test]
fn verify_refuses_a_folding_model_without_its_configuration() {
    let mut bytes = FOLDING.to_vec();
    let name = b"fold.config\0";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("it folds");
    // Still in order, so that nothing else is wrong.
    bytes[at + 10] = b'h';
    let folder = Folder::new();
    folder.write("model.fpm", sealed(bytes));
    foldpoint(&folder)
        .args(["verify", "model.fpm"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("error: model.fpm: tensor fold.").and(contains("there is no tensor fold.config")));
}

#[test]
fn verify_says_what_it_checked() {
    let folder = Folder::new();
    folder.write("model.fpm", FOLDING);
    foldpoint(&folder).args(["verify", "model.fpm"]).assert().success().stdout(
        contains("model.fpm: ok, ")
            .and(contains("checked: all checksums; language model (2 layers), contact head"))
            .and(contains("folding trunk (2 blocks), structure module and confidence heads")),
    );
}
