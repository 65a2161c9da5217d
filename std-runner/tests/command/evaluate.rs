//! `foldpoint evaluate` on structures and references whose answer is known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::common::{Folder, foldpoint};
use foldpoint_core::esm2::LanguageModel;
use foldpoint_core::executor::Serial;
use foldpoint_core::kernels::Isa;
use predicates::prelude::*;
use predicates::str::contains;
use std_runner::arena::Arena;
use std_runner::embedding::to_floats;
use std_runner::engine::{Engine, Request};
use std_runner::model::ModelBytes;
use std_runner::output::{Tensors, safetensors};

/// The sequence of [`hairpin`].
pub const SEQUENCE: &str = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRT";

fn three_letters(residue: char) -> &'static str {
    match residue {
        'A' => "ALA",
        'D' => "ASP",
        'E' => "GLU",
        'F' => "PHE",
        'G' => "GLY",
        'I' => "ILE",
        'K' => "LYS",
        'L' => "LEU",
        'M' => "MET",
        'N' => "ASN",
        'P' => "PRO",
        'Q' => "GLN",
        'R' => "ARG",
        'S' => "SER",
        'T' => "THR",
        'V' => "VAL",
        other => panic!("{other} is not in the test's sequence"),
    }
}

/// A hairpin: residues go up for half of the sequence and down again 5 Å beside, numbered from 11, so that pairs which
/// face each other touch and no others do that are 12 or more apart.
pub fn hairpin() -> String {
    let mut pdb = String::new();
    let mut serial = 0;
    let half = SEQUENCE.len() / 2;
    for (i, residue) in SEQUENCE.chars().enumerate() {
        let (x, y) = if i < half { (0.0, i as f64) } else { (5.0, (SEQUENCE.len() - 1 - i) as f64) };
        // The three atoms on a line keep the virtual C-beta on it, too.
        for (atom, offset) in [(" N  ", -1.0), (" CA ", 0.0), (" C  ", 1.0)] {
            serial += 1;
            let (name, number, y) = (three_letters(residue), i + 11, y * 6.0 + offset);
            let _ = writeln!(
                pdb,
                "ATOM  {serial:5} {atom} {name} B{number:4}    {x:8.3}{y:8.3}{:8.3}  1.00  0.00           {}",
                0.0,
                &atom[1..2]
            );
        }
    }
    pdb + "END\n"
}

pub fn write_reference(folder: &Folder, tensors: Tensors) {
    let mut bytes = Vec::new();
    safetensors(&mut bytes, &tensors, false).expect("in memory");
    std::fs::create_dir_all(folder.path("reference")).expect("a folder");
    folder.write("reference/1ABC_B.safetensors", bytes);
}

#[test]
fn contacts_against_a_structure_and_a_perfect_reference() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B hairpin\n{SEQUENCE}\n>other\nMKV\n"));
    std::fs::create_dir(folder.path("pdb")).expect("a folder");
    folder.write("pdb/1ABC.pdb", hairpin());
    let arguments = ["evaluate", "contacts", "--pdb-dir", "pdb", "--fasta", "in.fasta"];
    foldpoint(&folder).args(arguments).assert().success().stdout(
        contains("1 targets, mean length 55.00").and(contains("| separation | P@L | P@L/2 | P@L/5 |")),
    );

    // A reference that knows the answer: pairs that face each other, the most probable ones the farthest apart.
    let n = SEQUENCE.len();
    let facing = |i: usize, j: usize| if i + j + 1 == n { 0.5 + i.abs_diff(j) as f32 / 1000.0 } else { 0.0 };
    let map: Vec<f32> = (0..n * n).map(|k| facing(k / n, k % n)).collect();
    write_reference(&folder, BTreeMap::from([("1ABC_B.contacts".to_owned(), (vec![n, n], map))]));
    let output = foldpoint(&folder).args(arguments).args(["--reference", "reference", "--json"]).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let target = &json["targets"][0];
    assert_eq!((&target["id"], &target["resolved"]), (&"1ABC_B".into(), &n.into()));
    // 11 of 11 pairs asked for are contacts; and the difference is that of the two columns.
    assert_eq!(target["float"]["long (>= 24)"]["P@L/5"], 1.0);
    let mean = &json["means"][2];
    let number = |key: &str| mean[key].as_f64().expect("a number");
    let difference = mean["difference"][0].as_f64().expect("a number");
    assert!((number("integer") - number("float") - difference).abs() < 1e-12);
}

#[test]
fn structures_without_a_sequence_are_an_error() {
    let folder = Folder::new();
    folder.write("in.fasta", ">other\nMKV\n");
    std::fs::create_dir(folder.path("pdb")).expect("a folder");
    folder.write("pdb/1ABC.pdb", hairpin());
    let command = |dir| {
        let mut command = foldpoint(&folder);
        command.args(["evaluate", "contacts", "--pdb-dir", dir, "--fasta", "in.fasta"]);
        command
    };
    command("pdb").assert().code(1).stderr(contains("pdb: no structure belongs to a sequence of in.fasta"));
    command("none").assert().code(1).stderr(contains("none: the folder of structures cannot be read"));
}

/// The model's own outputs as floats.
fn own_outputs() -> Tensors {
    let bytes = ModelBytes::embedded().expect("the embedded model");
    let model = LanguageModel::load(&bytes.parse().expect("a model file")).expect("a language model");
    let (layers, width, vocab) = (model.config().layers, model.config().width, model.config().vocab);
    let request = Request { contacts: false, logits: true, layers: (0..=layers).collect() };
    let engine = Engine::new(model, Isa::best());
    let prediction =
        engine.run(SEQUENCE.as_bytes(), &request, &mut Arena::default(), &Serial).expect("it runs");
    let tokens = SEQUENCE.len() + 2;
    let logits = to_floats(prediction.logits.as_deref().expect("logits"));
    BTreeMap::from([
        (
            "1ABC_B.hidden".to_owned(),
            (vec![layers + 1, tokens, width], to_floats(&prediction.hidden.concat())),
        ),
        ("1ABC_B.logits".to_owned(), (vec![tokens, vocab], logits)),
    ])
}

#[test]
fn hidden_states_equal_themselves() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n"));
    write_reference(&folder, own_outputs());
    let arguments = ["evaluate", "hidden", "--fasta", "in.fasta", "--reference", "reference"];
    foldpoint(&folder).args(arguments).assert().success().stdout(
        contains("57 tokens")
            .and(contains("| embedding | 1.00000 | 1.00000 | 0.0000 |"))
            .and(contains("top-1 agreement 100.00% of 55 residues")),
    );
}

#[test]
fn a_missing_or_wrong_reference_is_named() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n"));
    let arguments = ["evaluate", "hidden", "--fasta", "in.fasta", "--reference", "reference"];
    foldpoint(&folder)
        .args(arguments)
        .assert()
        .code(1)
        .stderr(contains("1ABC_B.safetensors: the float reference cannot be read"));
    write_reference(&folder, BTreeMap::from([("1ABC_B.hidden".to_owned(), (vec![1], vec![0.0]))]));
    foldpoint(&folder)
        .args(arguments)
        .assert()
        .code(1)
        .stderr(contains("1ABC_B.hidden is F32 [1]; expected F32 ["));
}
