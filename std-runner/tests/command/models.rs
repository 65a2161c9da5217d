//! Models by name, and the list of them.

use std::fs;

use crate::common::{Folder, foldpoint, json_lines};
use crate::model_file::{FOLDING, language_model};
use predicates::prelude::*;
use predicates::str::contains;
use std_runner::model::Model;

/// A folder in whose subfolder `models` are two models.
fn with_models() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("models")).expect("a folder");
    folder.write("models/tiny.fpm", FOLDING);
    folder.write("models/esm2.v1.fpm", language_model());
    folder.write("in.fasta", ">a\nMKTAYIA\n");
    folder
}

#[test]
fn a_name_is_found_by_every_command() {
    let folder = with_models();
    folder.write("elsewhere.fpm", FOLDING);
    let run = |arguments: &[&str], model: &str| {
        foldpoint(&folder)
            .args(arguments)
            .args(["--model", model])
            .assert()
            .success()
            .get_output()
            .stdout
            .clone()
    };
    for arguments in [&["digest", "in.fasta"][..], &["plan", "64"], &["contacts", "in.fasta", "-o", "out"]] {
        let by_name = run(arguments, "tiny");
        let with_ending = run(arguments, "tiny.fpm");
        // Others print times.
        if arguments[0] == "digest" {
            assert_eq!(by_name, with_ending);
            assert_eq!(by_name, run(arguments, "elsewhere.fpm"));
            assert_ne!(by_name, run(arguments, "esm2.v1"));
        }
    }
    for command in ["info", "verify"] {
        let path = folder.path("models/tiny.fpm").display().to_string();
        foldpoint(&folder).args([command, "tiny"]).assert().success().stdout(contains(path));
    }
    foldpoint(&folder)
        .args(["verify"])
        .env("FOLDPOINT_MODEL", "esm2.v1")
        .assert()
        .success()
        .stdout(contains("esm2.v1.fpm: ok").and(contains("folding").not()));
}

#[test]
fn a_file_of_that_path_wins() {
    let folder = with_models();
    folder.write("tiny", language_model());
    foldpoint(&folder).args(["verify", "tiny"]).assert().success().stdout(contains("tiny: ok"));
    folder.write("tiny", "no model");
    foldpoint(&folder).args(["verify", "tiny"]).assert().code(1).stderr(contains("error: tiny: "));
}

#[test]
fn an_unknown_name_says_which_there_are() {
    let folder = with_models();
    for name in ["esmfold_v1", "facebook/tiny", "../models/none.fpm"] {
        let expected = format!("{}, where there are esm2.v1, tiny", folder.path("models").display());
        foldpoint(&folder)
            .args(["predict", "in.fasta", "-o", "out", "--model", name])
            .assert()
            .code(1)
            .stderr(
                contains(format!("error: {name}: the model file cannot be read")).and(contains(expected)),
            );
    }
    let empty = Folder::new();
    foldpoint(&empty).args(["verify", "tiny"]).assert().code(1).stderr(contains("models, which holds none"));
}

#[test]
fn the_users_data_folder_is_the_default() {
    let folder = with_models();
    let data = folder.path("data/foldpoint");
    fs::create_dir_all(&data).expect("a folder");
    fs::rename(folder.path("models"), data.join("models")).expect("a folder");
    let mut command = foldpoint(&folder);
    command.env_remove("FOLDPOINT_MODELS").args(["verify", "tiny"]);
    if cfg!(target_os = "linux") {
        command.env("XDG_DATA_HOME", folder.path("data")).assert().success();
        let home = folder.path("home/.local/share");
        fs::create_dir_all(&home).expect("a folder");
        fs::rename(data, home.join("foldpoint")).expect("a folder");
        command.env_remove("XDG_DATA_HOME").env("HOME", folder.path("home")).assert().success();
    }
}

#[test]
fn models_lists_all_of_them() {
    let folder = with_models();
    let output = foldpoint(&folder).args(["models", "--json"]).assert().success().get_output().stdout.clone();
    let models = json_lines(&String::from_utf8(output).expect("UTF-8"));
    let names: Vec<_> = models.iter().map(|model| model["name"].as_str()).collect();
    assert_eq!(names, [None, Some("esm2.v1"), Some("tiny")]);
    let kinds: Vec<_> = models.iter().map(|model| model["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["folding model", "language model", "folding model"]);
    assert_eq!(models[2]["bytes"], FOLDING.len());
    assert_eq!(models[2]["path"], folder.path("models/tiny.fpm").display().to_string());
    // The built-in model's metadata.
    let meta = Model::embedded().expect("a model").metadata().expect("metadata").expect("metadata");
    for key in ["checkpoint", "language_model", "trunk", "structure"] {
        assert_eq!(models[0][key], meta[key], "{key}");
    }
    assert_eq!(models[0]["title"], meta["name"]);
    let worst = models[0]["worst_site"].as_str().expect("a site");
    assert_eq!(models[0]["worst_snr_db"], meta["snr_db"][worst]);
    let snrs =
        meta["snr_db"].as_object().expect("a table").values().map(|snr| snr.as_f64().expect("a number"));
    assert_eq!(models[0]["worst_snr_db"].as_f64(), snrs.reduce(f64::min));

    let folder_name = folder.path("models").display().to_string();
    foldpoint(&folder).arg("models").assert().success().stdout(
        contains("(built in)").and(contains("\nesm2.v1")).and(contains("\ntiny")).and(contains(folder_name)),
    );
}

#[test]
fn a_file_that_is_no_model_keeps_none_from_the_list() {
    let folder = with_models();
    folder.write("models/broken.fpm", "no model");
    foldpoint(&folder)
        .arg("models")
        .assert()
        .code(1)
        .stdout(contains("\ntiny").and(contains("broken").not()))
        .stderr(contains("broken.fpm: ").and(contains("not a Foldpoint model file")));
}
