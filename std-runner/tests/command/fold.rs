//! `predict` and its neighbours with a model that folds: of random weights, so that only shapes and files are
//! checked, not whether a structure is right.

use std::io::BufReader;
use std::path::Path;

use crate::common::{FOLDING, Folder, foldpoint};
use assert_cmd::Command;
use pdbtbx::{Format, PDB, ReadOptions, StrictnessLevel};
use predicates::prelude::*;
use predicates::str::contains;

const GOOD: &str = ">good\nMKVLAAGIVGLCAKAYRERWPDE\n";

fn folding(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = foldpoint(folder);
    command.args(["--model", FOLDING]).args(arguments);
    command
}

fn read(path: &Path, format: Format) -> PDB {
    let file = std::fs::File::open(path).expect("the file is there");
    let mut options = ReadOptions::default();
    // Atoms alone: pdbtbx numbers SEQRES from 0 where there is no DBREF.
    options.set_format(format).set_level(StrictnessLevel::Strict).set_only_atomic_coords(true);
    let (pdb, warnings) = options.read_raw(BufReader::new(file)).expect("a structure file");
    assert!(warnings.is_empty(), "{warnings:?}");
    pdb
}

/// Chain, number and name of every residue.
fn residues(pdb: &PDB) -> Vec<(String, isize, String)> {
    let residue = |chain: &pdbtbx::Chain| -> Vec<_> {
        let name = |r: &pdbtbx::Residue| r.name().expect("a name").to_owned();
        chain.residues().map(|r| (chain.id().to_owned(), r.serial_number(), name(r))).collect()
    };
    pdb.chains().flat_map(residue).collect()
}

#[test]
fn structures_of_a_chain_and_of_a_complex() {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}>two\nMK:GAX*:\nC\n"));
    folding(&folder, &["predict", "in.fasta", "-o", "out", "--pae", "json"])
        .assert()
        .success()
        .stdout(
            contains("sequence  residues  CA pLDDT    pTM   ipTM         time       arena\n")
                .and(contains("\ngood            23 "))
                .and(contains("\ntwo              6 ")),
        )
        .stderr(contains("demonstration").not());
    let names = ["good", "two"]
        .map(|id| [".confidence.json", ".pae.json", ".pdb", ".residues.tsv"].map(|e| format!("{id}{e}")));
    assert_eq!(folder.list("out"), names.concat());

    let two = read(&folder.path("out/two.pdb"), Format::Pdb);
    let expected = [("A", 1, "MET"), ("A", 2, "LYS"), ("B", 1, "GLY"), ("B", 2, "ALA"), ("C", 1, "CYS")];
    let expected = expected.map(|(chain, number, name)| (chain.to_owned(), number, name.to_owned()));
    assert_eq!(residues(&two), expected, "linkers are cut, chains are numbered from 1, X has no atoms");
    // Chains A and C end in OXT; the last residue of B is X.
    assert_eq!(two.atom_count(), (8 + 9 + 1) + (4 + 5) + (6 + 1));
    assert!(two.atoms().all(|atom| (0.0..=100.0).contains(&atom.b_factor())));
    assert!(two.atoms().any(|atom| atom.b_factor() > 1.0), "pLDDT is of 100, not of 1");
    let text = std::fs::read_to_string(folder.path("out/two.pdb")).expect("text");
    assert!(text.contains("REMARK   6 MODEL tiny.fpm"), "no path, so that files are the same everywhere");

    let text = std::fs::read_to_string(folder.path("out/two.pae.json")).expect("text");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = json[0]["predicted_aligned_error"].as_array().expect("rows");
    assert_eq!(rows.len(), 5, "one for each residue of the structure");
    assert!(rows.iter().all(|row| row.as_array().map(Vec::len) == Some(5)));
    assert_eq!(json[0]["token_chain_ids"], serde_json::json!(["A", "A", "B", "B", "C"]));
    assert_eq!(json[0]["token_res_ids"], serde_json::json!([1, 2, 1, 2, 1]));
    assert_eq!(json[0]["max_predicted_aligned_error"], 31.75);
}

#[test]
fn mmcif_holds_the_same_atoms_and_npy_the_same_errors() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a/1\nMKXVLAAG:WW\n");
    folding(&folder, &["predict", "in.fasta", "-o", "pdb", "--pae", "json"]).assert().success();
    folding(
        &folder,
        &["predict", "in.fasta", "-o", "cif", "--pae", "npy", "--format", "cif", "--threads", "3"],
    )
    .assert()
    .success();
    let pdb = read(&folder.path("pdb/a_1.pdb"), Format::Pdb);
    let cif = read(&folder.path("cif/a_1.cif"), Format::Mmcif);
    assert_eq!(residues(&pdb), residues(&cif));
    // Rounded, since the reader of mmCIF makes 15.976 a bit less.
    let atom = |a: &pdbtbx::Atom| format!("{} {:.3?} {:.2}", a.name(), a.pos(), a.b_factor());
    let atoms = |pdb: &PDB| -> Vec<String> { pdb.atoms().map(atom).collect() };
    assert_eq!(atoms(&pdb), atoms(&cif));

    let text = std::fs::read_to_string(folder.path("pdb/a_1.pae.json")).expect("text");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let bytes = std::fs::read(folder.path("cif/a_1.pae.npy")).expect("the file is there");
    let file = npyz::NpyFile::new(&bytes[..]).expect("an npy file");
    assert_eq!(file.shape(), [9, 9], "X has no atoms and no row");
    for (k, error) in file.into_vec::<f32>().expect("f32").into_iter().enumerate() {
        let other = json[0]["predicted_aligned_error"][k / 9][k % 9].as_f64().expect("a number");
        assert!((f64::from(error) - other).abs() <= 0.005 + 1e-6, "{error} {other}");
    }
}

#[test]
fn mmcif_takes_the_aligned_errors_in() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a a protein\nMX:GG\n");
    folding(&folder, &["predict", "in.fasta", "-o", "out", "--pae", "cif"]).assert().success();
    assert_eq!(folder.structures("out"), ["a.cif"]);
    let text = std::fs::read_to_string(folder.path("out/a.cif")).expect("text");
    let pairs = text.lines().filter(|line| line.starts_with(char::is_numeric) && line.contains(" GLY B "));
    assert_eq!(pairs.count(), 4, "{text}");
    for expected in
        ["_struct.title 'Predicted structure of a a protein'\n", "\n5 PAE ", "\n9 1 5 B 2 GLY B 2 GLY "]
    {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    read(&folder.path("out/a.cif"), Format::Mmcif);
    folding(&folder, &["predict", "in.fasta", "-o", "out", "--pae", "cif", "--format", "pdb"])
        .assert()
        .code(2)
        .stderr(contains("--pae cif writes the aligned errors into mmCIF files: give --format cif"));
}

#[test]
fn recycles_count() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    let with = |recycles: &str| {
        folding(&folder, &["predict", "in.fasta", "-o", recycles, "--recycles", recycles]).assert().success();
        let text = std::fs::read_to_string(folder.path(&format!("{recycles}/good.pdb"))).expect("text");
        text.lines().filter(|line| line.starts_with("ATOM")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_ne!(with("0"), with("1"));
    folding(&folder, &["predict", "in.fasta", "-o", "default"]).assert().success();
    let text = std::fs::read_to_string(folder.path("default/good.pdb")).expect("text");
    // The model was made for two passes.
    assert!(text.contains("PASSES 2"), "{text}");
}

#[test]
fn what_cannot_be_folded_is_named_and_the_others_go_on() {
    let folder = Folder::new();
    let many = ["A"; 63].join(":");
    let bad = format!(">unknown\nXXXX\n>empty\nMK::V\n>many\n{many}\n>one\nM\n>pair\nMK\n>half\nXX:MK\n");
    folder.write("in.fasta", format!("{bad}{GOOD}"));
    folding(&folder, &["predict", "in.fasta", "-o", "out"]).assert().code(1).stderr(
        contains("line 1: record 1 (`unknown`): not folded, nothing is written: all 4 residues are X")
            .and(contains(
                "line 4, column 4: record 2 (`empty`): chain 2 is empty; expected at least one residue",
            ))
            .and(contains(
                "line 5: record 3 (`many`): 63 chains; a PDB file holds at most 62: use --format cif",
            ))
            .and(contains("warning: in.fasta: line 11: record 6 (`half`): chain 1 is only X"))
            .and(contains("3 of 7 sequences failed"))
            .and(contains("panicked").not()),
    );
    assert_eq!(folder.structures("out"), ["good.pdb", "half.pdb", "one.pdb", "pair.pdb"]);
    let half = residues(&read(&folder.path("out/half.pdb"), Format::Pdb));
    assert_eq!(half.len(), 2);
    assert!(half.iter().all(|(chain, ..)| chain == "B"), "chains keep their names: {half:?}");
}

#[test]
fn too_long_for_the_memory() {
    let folder = Folder::new();
    let long = "MKVLAAGI".repeat(40);
    folder.write("in.fasta", format!(">long\n{long}\n{GOOD}"));
    let assert =
        folding(&folder, &["predict", "in.fasta", "-o", "out", "--memory-limit", "512K"]).assert().code(1);
    let assert = assert.stderr(
        contains("in.fasta: line 1: record 1 (`long`): not enough memory: 320 residues need")
            .and(contains("--memory-limit allows 512.0 KiB; the longest sequence that fits has ")),
    );
    assert_eq!(folder.structures("out"), ["good.pdb"]);
    // What the message promises is true: that length fits, and one residue more does not.
    let message = String::from_utf8(assert.get_output().stderr.clone()).expect("text");
    let longest = message.split("that fits has ").nth(1).and_then(|rest| rest.split(' ').next());
    let longest: usize = longest.and_then(|number| number.parse().ok()).expect("a number");
    for (length, code) in [(longest, 0), (longest + 1, 1)] {
        folder.write("exact.fasta", format!(">exact\n{}\n", &long[..length]));
        let arguments =
            ["predict", "exact.fasta", "-o", "exact", "--memory-limit", "512K", "--recycles", "0"];
        folding(&folder, &arguments).assert().code(code);
    }
}

#[test]
fn an_output_that_cannot_be_written_does_not_lose_the_others() {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}>other\nMKV\n"));
    std::fs::create_dir_all(folder.path("out/good.pdb/inside")).expect("a folder in the way");
    folding(&folder, &["predict", "in.fasta", "-o", "out"])
        .assert()
        .code(1)
        .stdout(contains("other "))
        .stderr(contains("record 1 (`good`): out/good.pdb: cannot be written"));
    assert_eq!(folder.structures("out"), ["good.pdb", "other.pdb"]);
}

#[test]
fn the_same_bits_for_any_threads_and_instruction_set() {
    let folder = Folder::new();
    let long = "MKVLAAGIVGLCAKAYRERWPDE".repeat(6);
    folder.write("in.fasta", format!("{GOOD}>two\nMKV:GPG\n>x\nX\n>long\n{long}\n"));
    let digest = |options: &[&str]| {
        let output = folding(&folder, &[&["digest", "in.fasta", "--each"], options].concat()).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let expected = digest(&["--threads", "1", "--isa", "scalar"]);
    assert_eq!(expected.lines().count(), 5);
    assert_eq!(digest(&["--threads", "1"]), expected);
    assert_eq!(digest(&["--threads", "4"]), expected);
}

#[test]
fn odd_structures_are_a_warning() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    // Random weights give no protein: its neighbours are anywhere.
    folding(&folder, &["predict", "in.fasta", "-o", "out"]).assert().success().stderr(
        contains("warning: in.fasta: line 1: record 1 (`good`): ")
            .and(contains("of 22 pairs of neighbouring CA atoms"))
            .and(contains("A apart: A:")),
    );
    let quiet = folding(&folder, &["predict", "in.fasta", "-o", "out", "--quiet"]).assert();
    quiet.success().stderr("").stdout("");
}

#[test]
fn a_folding_model_is_described_planned_and_measured() {
    let folder = Folder::new();
    folding(&folder, &["info"]).assert().success().stdout(
        contains("folding trunk   2 blocks, sequence width 16, pair width 16")
            .and(contains("passes          2 (1 recycles)"))
            .and(contains("structures (predict)"))
            .and(contains("to fold")),
    );
    folding(&folder, &["plan", "64", "128", "--memory-limit", "1M", "--threads", "2"])
        .assert()
        .success()
        .stdout(
            contains("structures and predicted aligned errors:")
                .and(contains("| residues | threads | core's arena | in all | per pair | time |"))
                .and(contains("a record alone, or a long one, runs on 2 threads"))
                .and(contains("in all: core's arena, and the results until they are written"))
                .and(contains("\n| 128 | 2 | "))
                .and(contains("--memory-limit allows 1.0 MiB: up to ")),
        );
    folding(&folder, &["plan", "64", "--threads", "1"])
        .assert()
        .success()
        .stdout(contains("\n| 64 | 1 | ").and(contains("side by side").not()));
    folding(&folder, &["plan", "1000000"]).assert().code(1).stderr(contains("1000000 residues: "));
    folding(&folder, &["bench", "--fold", "--lengths", "8", "--runs", "1", "--threads", "2"])
        .assert()
        .success()
        .stdout(contains("| 8 | "));
}
