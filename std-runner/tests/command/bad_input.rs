//! Whatever is wrong with the input is named with its place, ends in a failure, and never stops the other
//! sequences.

use crate::common::{Folder, foldpoint};
use predicates::prelude::*;
use predicates::str::contains;

const GOOD: &str = ">good\nMKVLAAGIVGLCAKAYRERWPDE\n";

/// Runs `contacts` over GOOD, a bad record, and another good one: both good ones must be done.
fn others_still_run(bad: &str, message: &str) {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}{bad}>last\nMKVLAAGI\n"));
    foldpoint(&folder)
        .args(["contacts", "in.fasta", "-o", "out", "--png"])
        .assert()
        .code(1)
        .stderr(contains(message).and(contains("1 of 3 sequences failed")).and(contains("panicked").not()));
    let expected = ["good.contacts.npy", "good.contacts.png", "last.contacts.npy", "last.contacts.png"];
    assert_eq!(folder.list("out"), expected);
}

#[test]
fn a_character_outside_the_alphabet() {
    let message = "error: in.fasta: line 5, column 2: record 2 (`bad`): found `1`; expected one of the amino-acid letters";
    others_still_run(">bad\nMKV\nM1K\n", message);
}

#[test]
fn a_gap() {
    others_still_run(
        ">bad\nMK-V\n",
        "in.fasta: line 4, column 3: record 2 (`bad`): found the gap `-`; expected",
    );
    others_still_run(
        ">bad\nMK.V\n",
        "in.fasta: line 4, column 3: record 2 (`bad`): found the gap `.`; expected",
    );
}

#[test]
fn a_stop_inside() {
    others_still_run(">bad\nMK*V\n", "in.fasta: line 4, column 3: record 2 (`bad`): found `*` (stop) inside");
}

#[test]
fn a_chain_without_residues() {
    let message =
        "in.fasta: line 5, column 1: record 2 (`bad`): chain 2 is empty; expected at least one residue";
    others_still_run(">bad\nMK:\n:V\n", message);
}

#[test]
fn a_sequence_of_length_zero() {
    others_still_run(">bad\n", "in.fasta: line 3: record 2 (`bad`): the sequence is empty; expected");
}

#[test]
fn a_mask_where_a_structure_is_wanted() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">masked\nMKV\nG<mask>V\n{GOOD}"));
    let message = "in.fasta: line 3, column 2: record 1 (`masked`): found a mask";
    foldpoint(&folder)
        .args(["predict", "in.fasta", "-o", "out", "--recycles", "0"])
        .assert()
        .code(1)
        .stderr(contains(message));
    assert_eq!(folder.structures("out"), ["good.pdb"]);
}

#[test]
fn a_sequence_that_is_too_long() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">long\nMKVLAAGIVGLCAKAYRERWPDEK\n{GOOD}"));
    foldpoint(&folder)
        .args(["contacts", "in.fasta", "-o", "out", "--max-len", "23"])
        .assert()
        .code(1)
        .stderr(contains(
            "in.fasta: line 1: record 1 (`long`): the sequence has 24 residues; expected at most 23",
        ));
    assert_eq!(folder.list("out"), ["good.contacts.npy"]);
}

#[test]
fn not_enough_memory() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    foldpoint(&folder)
        .args(["predict", "in.fasta", "-o", "out", "--memory-limit", "4K"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(
            contains("not enough memory: 23 residues need").and(contains(
                "--memory-limit allows 4.0 KiB; the longest sequence that fits has 0 residues",
            )),
        );
    assert!(folder.list("out").is_empty());
}

#[test]
fn not_enough_memory_of_a_slurm_job() {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}>long\n{}\n", "MKVLAAGI".repeat(100)));
    let run = |variables: &[(&str, &str)], code: i32| {
        let mut command = foldpoint(&folder);
        command.args(["contacts", "in.fasta", "-o", "out"]).envs(variables.iter().copied());
        let assert = command.assert().code(code);
        String::from_utf8(assert.get_output().stderr.clone()).expect("text")
    };
    let message =
        |stderr: &str| stderr.lines().find(|line| line.contains("not enough memory")).map(str::to_owned);
    let node = message(&run(&[("SLURM_MEM_PER_NODE", "2")], 1)).expect("refused");
    assert!(
        node.starts_with("error: in.fasta: line 3: record 2 (`long`): not enough memory: 800 residues need ")
    );
    assert!(
        node.contains(", SLURM_MEM_PER_NODE allows 2.0 MiB; the longest sequence that fits has "),
        "{node}"
    );
    assert_eq!(folder.list("out"), ["good.contacts.npy"], "what fits is done");
    let cpu = message(&run(&[("SLURM_MEM_PER_CPU", "1"), ("SLURM_CPUS_ON_NODE", "3")], 1)).expect("refused");
    assert!(cpu.contains(", SLURM_MEM_PER_CPU allows 3.0 MiB (3 CPUs); "), "{cpu}");
    // All of the node's memory; a value that nobody understands is said; an option goes before all.
    assert_eq!(run(&[("SLURM_MEM_PER_NODE", "0")], 0), "");
    let odd = run(&[("SLURM_MEM_PER_NODE", "lots")], 0);
    assert!(odd.starts_with("warning: SLURM_MEM_PER_NODE is `lots`: it limits nothing here"), "{odd}");
    foldpoint(&folder)
        .args(["contacts", "in.fasta", "-o", "out", "--memory-limit", "4G"])
        .env("SLURM_MEM_PER_NODE", "1")
        .assert()
        .success();
    foldpoint(&folder)
        .args(["plan", "64"])
        .env("SLURM_MEM_PER_NODE", "2")
        .assert()
        .success()
        .stdout(contains("\nSLURM_MEM_PER_NODE allows 2.0 MiB: up to "));
}

#[test]
fn files_that_are_no_fasta() {
    let folder = Folder::new();
    folder.write("empty.fasta", "");
    folder.write("blank.fasta", "\n\n");
    folder.write("bare.fasta", "\nMKV\n>a\nMKV\n");
    folder.write("cut.fasta.gz", [0x1f, 0x8b, 8, 0, 0]);
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    for (file, message) in [
        ("empty.fasta", "error: empty.fasta: is empty; expected FASTA"),
        ("blank.fasta", "error: blank.fasta: is empty; expected FASTA"),
        ("bare.fasta", "error: bare.fasta: line 2, column 1: expected a header `>identifier`"),
        ("missing.fasta", "error: missing.fasta: cannot be read"),
        ("folder", "error: folder: this folder holds no FASTA; expected files *.fa, *.fas, *.fasta or *.faa"),
        ("cut.fasta.gz", "error: cut.fasta.gz: cannot be read"),
    ] {
        let assert = foldpoint(&folder).args(["predict", file, "-o", "out"]).assert();
        assert.code(1).stdout("").stderr(contains(message).and(contains("panicked").not()));
    }
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    folder.write("taken", "a file");
    for out in ["taken", "taken/inside"] {
        foldpoint(&folder)
            .args(["predict", "in.fasta", "-o", out])
            .assert()
            .code(1)
            .stdout("")
            .stderr(contains(format!("error: {out}: cannot be written")));
    }
}

#[test]
fn rare_letters_are_a_warning() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKUBZ\n");
    let message = "warning: in.fasta: line 1: record 1 (`a`): 3 residues (UBZ) are read as X";
    foldpoint(&folder)
        .args(["predict", "in.fasta", "-o", "out"])
        .assert()
        .success()
        .stderr(contains(message));
    foldpoint(&folder).args(["predict", "in.fasta", "-o", "out", "--quiet"]).assert().success().stderr("");
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    for arguments in [
        &["predict", "in.fasta"][..],
        &["predict", "in.fasta", "-o", "out", "--threads", "0"],
        &["predict", "in.fasta", "-o", "out", "--isa", "abacus"],
        &["predict", "in.fasta", "-o", "out", "--memory-limit", "much"],
        &["embed", "in.fasta", "-o", "out", "--layers", "1000"],
        &["guess"],
    ] {
        foldpoint(&folder).args(arguments).assert().code(2).stdout("").stderr(contains("error:"));
    }
}
