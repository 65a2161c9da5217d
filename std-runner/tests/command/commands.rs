//! What each subcommand writes, with the embedded model.

use crate::common::{Folder, foldpoint, npy};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};

/// Lengths on both sides of where sequences are run side by side or one by one.
fn sequences() -> String {
    let motif = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG";
    let mut fasta = String::new();
    for (i, length) in [1usize, 2, 5, 33, 64, 76, 130, 405].into_iter().enumerate() {
        let residues: String = motif.chars().cycle().skip(i).take(length).collect();
        fasta += &format!(">s{i} of {length}\n{residues}\n");
    }
    fasta
}

/// Of the language model alone: folding these lengths would take minutes, and has a test of its own.
fn digest(folder: &Folder, arguments: &[&str]) -> String {
    let output = foldpoint(folder).args(["digest", "--no-fold"]).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_same_bits_for_any_threads_instruction_set_and_company() {
    let folder = Folder::new();
    folder.write("in.fasta", sequences());
    let expected = digest(&folder, &["in.fasta", "--each", "--threads", "1", "--isa", "scalar"]);
    assert_eq!(expected.lines().count(), 9);
    for options in [["--threads", "1"], ["--threads", "2"], ["--threads", "5"]] {
        assert_eq!(
            digest(&folder, &[&["in.fasta", "--each"][..], &options].concat()),
            expected,
            "{options:?}"
        );
    }
    let alone = sequences().split_inclusive('\n').skip(10).take(2).collect::<String>();
    folder.write("alone.fasta", alone);
    let alone = digest(&folder, &["alone.fasta", "--each", "--threads", "3"]);
    assert_eq!(alone.lines().next(), expected.lines().nth(5));
}

#[test]
fn contact_maps() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGIVGLCAKAYRERWPDE\n>b/c\nGPGPG\n");
    foldpoint(&folder)
        .args(["contacts", "-", "-o", "out", "--tsv", "--png", "--threshold", "0"])
        .pipe_stdin(folder.path("in.fasta"))
        .expect("a file")
        .assert()
        .success()
        .stdout(starts_with("sequence  residues  contacts         time\na               23 "));
    let names =
        ["a.contacts.npy", "a.contacts.png", "a.contacts.tsv", "b_c.contacts.npy", "b_c.contacts.png"];
    assert_eq!(folder.list("out")[..5], names);
    let (shape, map) = npy(&folder, "out/a.contacts.npy");
    assert_eq!(shape, [23, 23]);
    for i in 0..23 {
        for j in 0..23 {
            assert!((0.0..=1.0).contains(&map[i * 23 + j]));
            assert_eq!(map[i * 23 + j], map[j * 23 + i], "a contact map is symmetric");
        }
    }
    assert_eq!(npy(&folder, "out/b_c.contacts.npy").0, [5, 5]);
}

#[test]
fn logits() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    foldpoint(&folder).args(["logits", "in.fasta", "-o", "out"]).assert().success();
    foldpoint(&folder).args(["logits", "in.fasta", "-o", "all", "--all-tokens"]).assert().success();
    let (shape, twenty) = npy(&folder, "out/a.logits.npy");
    let (all_shape, all) = npy(&folder, "all/a.logits.npy");
    assert_eq!((shape, all_shape), (vec![8, 20], vec![8, 33]));
    assert_eq!(twenty[..20], all[4..24]);
    let alphabet =
        std::fs::read_to_string(folder.path("out/logits.alphabet.txt")).expect("the file is there");
    assert_eq!(alphabet.lines().collect::<String>(), "LAGVSERTIDPKQNFYMHWC");
}

#[test]
fn models_are_described_and_verified() {
    let folder = Folder::new();
    foldpoint(&folder)
        .arg("info")
        .assert()
        .success()
        .stdout(contains("layers, width").and(contains("can predict")).and(contains("512 residues:")));
    // Who says which instruction sets there are depends on where the tests run; that `scalar` is one of them
    // does not.
    let instructions = contains("\ninstructions    scalar (this ").and(contains(" scalar, wide"));
    foldpoint(&folder).args(["--isa", "scalar", "info"]).assert().success().stdout(instructions);
    foldpoint(&folder).args(["info", "-v"]).assert().success().stdout(contains("tensor lm.config"));
    foldpoint(&folder).arg("verify").assert().success().stdout(contains("embedded model: ok"));
}

#[test]
fn bench_prints_a_table() {
    let folder = Folder::new();
    foldpoint(&folder)
        .args(["bench", "--lengths", "8,16", "--runs", "1", "--threads", "2"])
        .assert()
        .success()
        .stdout(contains("| residues |").and(contains("\n| 16 | ")));
}
