//! `foldpoint evaluate` on structures and references whose answer is known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::common::{Folder, foldpoint};
use foldpoint_core::{Isa, Serial};
use predicates::prelude::*;
use predicates::str::contains;
use std_runner::arena::Arena;
use std_runner::embedding::to_floats;
use std_runner::engine::{Engine, Request};
use std_runner::model::Model;
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

/// A hairpin: residues go up for half of the sequence and down again 5 Å beside, numbered from 11, so that
/// pairs which face each other touch and no others do that are 12 or more apart.
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

    // A reference that knows the answer: pairs that face each other, the most probable ones the farthest
    // apart.
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
    let embedded = Model::embedded().expect("the embedded model");
    let model = embedded.language_model().expect("a language model");
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
            .and(contains("left out: 0 sequences"))
            .and(contains("top-1 agreement 100.00% of 55 residues")),
    );
}

#[test]
fn the_worst_protein_and_residue_are_named() {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n>gone\nMKV\n>empty\n"));
    let mut tensors = own_outputs();
    let (shape, hidden) = tensors.get_mut("1ABC_B.hidden").expect("hidden states");
    // The last hidden state of residue 3, an I, points the other way.
    let (tokens, width) = (shape[1], shape[2]);
    let start = hidden.len() - tokens * width + 3 * width;
    hidden[start..start + width].iter_mut().for_each(|value| *value = -*value);
    write_reference(&folder, tensors);
    let arguments = ["evaluate", "hidden", "--fasta", "in.fasta", "--reference", "reference"];
    foldpoint(&folder).args(arguments).assert().code(1).stdout(
        contains("-1.00000")
            .and(contains("| 1ABC_B I3 |"))
            .and(contains("Worst protein: 1ABC_B, mean cosine 0.96"))
            .and(contains("57 tokens of 1 sequences, <cls> and <eos> included; left out: 2 sequences")),
    );
    let output = foldpoint(&folder).args(arguments).arg("--json").output().expect("it starts");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let last = json["layers"].as_array().and_then(|layers| layers.last()).expect("a layer");
    assert_eq!((&last["worst"]["position"], &last["worst"]["residue"]), (&3.into(), &"I".into()));
    assert_eq!(
        (&json["worst_protein"], &json["proteins"][0]["worst"]["id"]),
        (&"1ABC_B".into(), &"1ABC_B".into())
    );
    assert_eq!(json["logits"]["top1_agreement"], 1.0);
    let left_out: Vec<_> =
        json["left_out"].as_array().expect("a list").iter().map(|l| l["id"].clone()).collect();
    assert_eq!(left_out, ["empty", "gone"]);
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

/// The hairpin as one mmCIF chain, by the archive `A` from 1 on, by its author `B` from 11 on.
pub fn hairpin_cif() -> String {
    let columns = "group_PDB label_atom_id label_comp_id label_asym_id label_seq_id auth_asym_id auth_seq_id Cartn_x Cartn_y Cartn_z";
    let columns: String = columns.split(' ').map(|name| format!("_atom_site.{name}\n")).collect();
    let row = |line: &str| {
        let number: usize = line[22..26].trim().parse().expect("a number");
        let [atom, name, position] = [&line[12..16], &line[17..20], &line[30..54]];
        format!("{} {atom} {name} A {} B {number} {position}\n", &line[..6], number - 10)
    };
    let rows: String = hairpin().lines().filter(|line| line.len() > 54).map(row).collect();
    format!("data_1ABC\nloop_\n{columns}{rows}#\n")
}

fn json_of(folder: &Folder, arguments: &[&str]) -> serde_json::Value {
    let output = foldpoint(folder).args(arguments).args(["-q", "--json"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const CONTACTS: [&str; 6] = ["evaluate", "contacts", "--pdb-dir", "pdb", "--fasta", "in.fasta"];

fn with_structure(name: &str, structure: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B hairpin\n{SEQUENCE}\n"));
    std::fs::create_dir(folder.path("pdb")).expect("a folder");
    folder.write(&format!("pdb/{name}"), structure);
    folder
}

#[test]
fn all_endings_and_formats_give_the_same_contacts() {
    let expected = json_of(&with_structure("1ABC.pdb", hairpin()), &CONTACTS);
    assert_eq!(expected["targets"][0]["structure"]["chain"], "B");
    for (name, text) in [
        ("1ABC.PDB", hairpin()),
        ("pdb1abc.ent", hairpin()),
        ("1abc.cif", hairpin_cif()),
        ("1ABC_B.mmCIF", hairpin_cif()),
    ] {
        let json = json_of(&with_structure(name, text), &CONTACTS);
        assert_eq!(json["means"], expected["means"], "{name}");
        assert_eq!(
            (&json["targets"][0]["resolved"], &json["left_out"]),
            (&SEQUENCE.len().into(), &serde_json::json!([]))
        );
    }
}

#[test]
fn the_window_is_an_option_and_what_is_outside_is_counted_and_listed() {
    let folder = with_structure("1ABC.pdb", hairpin());
    folder
        .write("in.fasta", format!(">1ABC_B hairpin\n{SEQUENCE}\n>2DEF\n{SEQUENCE}\n>3GHI\n{SEQUENCE}MKV\n"));
    let short: String = hairpin().lines().take(39 * 3).map(|line| format!("{line}\n")).collect();
    folder.write("pdb/2DEF.pdb", short);
    folder.write("pdb/3GHI.pdb", hairpin());
    folder.write("pdb/4JKL.pdb", hairpin());
    folder.write("pdb/5MNO.pdb.bz2", "");
    let json = json_of(&folder, &[&CONTACTS[..], &["--max-len", "57"]].concat());
    assert_eq!(json["targets"].as_array().map(Vec::len), Some(1));
    let reason = |of: &str| {
        let left_out = json["left_out"].as_array().expect("a list");
        let names = |l: &&serde_json::Value| {
            l["id"] == of || l["file"].as_str().is_some_and(|file| file.contains(of))
        };
        left_out.iter().find(names).unwrap_or_else(|| panic!("{json}"))["reason"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    assert_eq!(
        reason("2DEF"),
        "39 of 39 resolved residues agree with the sequence (at least 90% and 40 are needed)"
    );
    assert_eq!(reason("3GHI"), "58 residues, more than 57");
    assert_eq!(reason("4JKL"), "no sequence of in.fasta belongs to it");
    assert_eq!(reason("5MNO"), "files of this ending are not read");
    foldpoint(&folder).args(CONTACTS).args(["-q", "--max-len", "57"]).assert().success().stderr("").stdout(
        contains("1 targets, mean length 55.00; left out: 4 targets, 0 residues; precision in percent"),
    );
    let json = json_of(&folder, &[&CONTACTS[..], &["--min-resolved", "39"]].concat());
    assert_eq!(json["targets"].as_array().map(Vec::len), Some(3));
}

#[test]
fn every_record_of_an_entry_is_a_target_and_a_second_structure_is_said() {
    let folder = with_structure("1ABC.pdb", hairpin());
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n>1ABC_C\n{SEQUENCE}\n>none\n{SEQUENCE}\n"));
    folder.write("pdb/1abc.cif", hairpin_cif());
    foldpoint(&folder)
        .args(CONTACTS)
        .assert()
        .success()
        .stdout(contains("2 targets, mean length 55.00; left out: 2 targets"))
        .stderr(
            contains("warning: left out, 1: its sequence has another structure: pdb/1abc.cif")
                .and(contains("warning: left out, 1: no structure in pdb: none"))
                .and(contains("note: pdb/1ABC.pdb: 1ABC_C: chain B; no chain C fits")),
        );
}

#[test]
fn limit_counts_structures_that_have_a_sequence() {
    let folder = with_structure("1ABC.pdb", hairpin());
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n>2DEF\n{SEQUENCE}\n>none\n{SEQUENCE}\n"));
    folder.write("pdb/0AAA.pdb", hairpin());
    folder.write("pdb/2DEF.pdb", hairpin());
    let json = json_of(&folder, &[&CONTACTS[..], &["--limit", "1"]].concat());
    assert_eq!(
        (&json["targets"][0]["id"], json["targets"].as_array().map(Vec::len)),
        (&"1ABC_B".into(), Some(1))
    );
    let left_out: Vec<_> = json["left_out"].as_array().expect("a list").iter().collect();
    let reason = |id: &str| left_out.iter().find(|l| l["id"] == id).map(|l| l["reason"].clone());
    assert_eq!(reason("2DEF"), Some("beyond --limit 1".into()));
    assert_eq!(reason("none"), Some("no structure in pdb".into()));
    assert_eq!(left_out.len(), 3, "{json}");
}

#[test]
fn what_is_refused_altogether_is_listed_and_its_reason_is_the_error() {
    let folder = with_structure("1ABC.pdb", hairpin());
    let reason = "55 residues, more than 10";
    for quiet in [&["--json"][..], &["--json", "-q"]] {
        let output = foldpoint(&folder)
            .args(CONTACTS)
            .args(["--max-len", "10"])
            .args(quiet)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("error: pdb: no structure is left to evaluate against"), "{said}");
        assert!(said.contains(&format!("1ABC_B: {reason}")), "{said}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json["left_out"][0]["reason"], reason);
        assert_eq!(json["targets"], serde_json::json!([]));
    }
    let mut command = foldpoint(&folder);
    command.args(CONTACTS).args(["--max-len", "10"]).assert().code(1).stdout("").stderr(contains(reason));
}

/// Metadata of a reference file that this model, or another one, made.
fn made(own: bool) -> std::collections::HashMap<String, String> {
    let model = Model::embedded().expect("the embedded model");
    let meta = model.metadata().expect("a model file").expect("meta.json");
    let hashes = if own { meta["sha256"].to_string() } else { r#"{"model.safetensors":"00"}"#.to_owned() };
    [("checkpoint", "another"), ("sha256", &hashes)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Writes a reference file with metadata.
fn write_made(folder: &Folder, tensors: &Tensors, metadata: std::collections::HashMap<String, String>) {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name, shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    let file = safetensors::serialize(views, Some(metadata)).expect("in memory");
    std::fs::create_dir_all(folder.path("reference")).expect("a folder");
    folder.write("reference/1ABC_B.safetensors", file);
}

#[test]
fn references_of_other_weights_are_refused_and_silent_ones_said() {
    let folder = with_structure("1ABC.pdb", hairpin());
    let hidden = ["evaluate", "hidden", "--fasta", "in.fasta", "--reference", "reference"];
    let contacts = [&CONTACTS[..], &["--reference", "reference"]].concat();
    let n = SEQUENCE.len();
    let mut tensors = own_outputs();
    tensors.insert("1ABC_B.contacts".into(), (vec![n, n], vec![0.5; n * n]));
    for arguments in [&hidden[..], &contacts] {
        write_made(&folder, &tensors, made(true));
        foldpoint(&folder).args(arguments).assert().success().stderr("");
        write_made(&folder, &tensors, made(false));
        let output = foldpoint(&folder).args(arguments).args(["--json"]).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("1ABC_B.safetensors: it is of other weights (checkpoint another)"), "{said}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let reason = json["left_out"][0]["reason"].as_str().expect("a reason");
        assert!(reason.contains("it is of other weights"), "{reason}");
        write_reference(&folder, tensors.clone());
        foldpoint(&folder).args(arguments).assert().success().stderr(contains(
            "warning: reference: the float reference of 1 does not say of which checkpoint it is: 1ABC_B",
        ));
    }
}

#[test]
fn a_reference_with_a_value_that_is_no_number_is_refused_by_name() {
    let folder = with_structure("1ABC.pdb", hairpin());
    let mut tensors = own_outputs();
    tensors.get_mut("1ABC_B.hidden").expect("hidden states").1[7] = f32::NAN;
    write_reference(&folder, tensors);
    let arguments = ["evaluate", "hidden", "--fasta", "in.fasta", "--reference", "reference", "--json", "-q"];
    let output = foldpoint(&folder).args(arguments).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let reason = json["left_out"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("1ABC_B.safetensors: value 7 of 1ABC_B.hidden is NaN"), "{reason}");
    assert_eq!(json["proteins"], serde_json::json!([]));
}
