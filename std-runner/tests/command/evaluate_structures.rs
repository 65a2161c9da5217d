//! `foldpoint evaluate structures` on predictions whose accuracy is known.

use std::collections::BTreeMap;

use crate::common::{Folder, foldpoint};
use crate::evaluate::{SEQUENCE, hairpin, write_reference};
use predicates::prelude::*;
use predicates::str::contains;

const ARGUMENTS: [&str; 8] =
    ["evaluate", "structures", "--pdb-dir", "pdb", "--fasta", "in.fasta", "--predictions", "predictions"];

/// The hairpin as target and `prediction` as its prediction.
fn folder(prediction: &str) -> Folder {
    let folder = Folder::new();
    folder.write("in.fasta", format!(">1ABC_B hairpin\n{SEQUENCE}\n"));
    for dir in ["pdb", "predictions"] {
        std::fs::create_dir(folder.path(dir)).expect("a folder");
    }
    folder.write("pdb/1ABC.pdb", hairpin());
    folder.write("predictions/1ABC_B.pdb", prediction);
    folder
}

/// The hairpin with other temperature factors and its second strand `shift` further away.
fn shifted(shift: f64) -> String {
    let shift_line = |line: &str| match line.get(30..38).and_then(|x| x.trim().parse::<f64>().ok()) {
        Some(x) if x > 2.0 => format!("{}{:8.3}{}\n", &line[..30], x + shift, &line[38..]),
        _ => format!("{line}\n"),
    };
    let text: String = hairpin().lines().map(shift_line).collect();
    text.replace("1.00  0.00 ", "1.00 87.50 ")
}

#[test]
fn a_perfect_prediction() {
    foldpoint(&folder(&shifted(0.0))).args(ARGUMENTS).assert().success().stdout(
        contains("1 targets, mean length 55.00")
            .and(contains("| CA lDDT | 1.0000 |"))
            .and(contains("| all-atom lDDT | 1.0000 |"))
            .and(contains("| pLDDT | 87.50 |"))
            .and(contains("TM-score").not()),
    );
}

/// The float reference of the hairpin: the target itself, with this pLDDT.
fn reference(plddt: f32) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let n = SEQUENCE.len();
    let (mut atoms, mut mask) = (vec![0.0; n * 37 * 3], vec![0.0; n * 37]);
    for (atom, line) in hairpin().lines().filter(|line| line.starts_with("ATOM")).enumerate() {
        // N, CA and C are the first three of `atom37`, too.
        let place = atom / 3 * 37 + atom % 3;
        mask[place] = 1.0;
        for axis in 0..3 {
            atoms[3 * place + axis] = line[30 + 8 * axis..38 + 8 * axis].trim().parse().expect("a number");
        }
    }
    BTreeMap::from([
        ("1ABC_B.atom37".to_owned(), (vec![n, 37, 3], atoms)),
        ("1ABC_B.atom37_mask".to_owned(), (vec![n, 37], mask)),
        ("1ABC_B.plddt".to_owned(), (vec![n, 37], vec![plddt; n * 37])),
    ])
}

#[test]
fn a_worse_prediction_beside_a_perfect_reference() {
    let folder = folder(&shifted(20.0));
    write_reference(&folder, reference(0.9));
    let output = foldpoint(&folder).args(ARGUMENTS).args(["--reference", "reference", "--json"]).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_f64).expect("a number");
    let lddt = number("/means/lddt/integer");
    assert!((0.3..0.7).contains(&lddt), "{lddt}");
    assert_eq!(number("/means/lddt/float"), 1.0);
    assert_eq!(number("/means/lddt/difference/0"), lddt - 1.0);
    // Target and reference are the same, so that the integer model is as far from one as from the other.
    assert!((number("/agreement/lddt") - lddt).abs() < 1e-9);
    assert!((number("/agreement/plddt_difference") - 2.5).abs() < 1e-4);
    assert_eq!(json["targets"][0]["resolved"], SEQUENCE.len());
}

#[test]
fn a_prediction_that_is_missing_or_of_another_sequence_is_named() {
    let folder = folder("END\n");
    foldpoint(&folder).args(ARGUMENTS).assert().code(1).stderr(contains("1ABC_B.pdb"));
    std::fs::remove_file(folder.path("predictions/1ABC_B.pdb")).expect("removed");
    foldpoint(&folder)
        .args(ARGUMENTS)
        .assert()
        .code(1)
        .stderr(contains("1ABC_B.pdb: there is no such prediction"));
}

#[test]
fn folding_scores_as_the_files_that_predict_writes() {
    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bare-metal/tiny.fpm");
    let folder = folder(&hairpin());
    let run = |arguments: &[&str]| {
        let mut command = foldpoint(&folder);
        let output = command.args(["--model", MODEL]).args(arguments).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let scores = |arguments: &[&str]| {
        let json: serde_json::Value = serde_json::from_slice(&run(arguments)).expect("JSON");
        let number = |key: &str| json["targets"][0]["integer"][key].as_f64().expect("a number");
        (number("lddt"), number("plddt"))
    };
    run(&["predict", "in.fasta", "-o", "predictions", "--recycles", "1"]);
    let from_files = scores(&[&ARGUMENTS[..], &["--json"]].concat());
    let folded = scores(&[&ARGUMENTS[..6], &["--json", "--recycles", "1"]].concat());
    // A file has three decimals of an angstrom and two of the pLDDT.
    assert!((from_files.0 - folded.0).abs() < 2e-3 && (from_files.1 - folded.1).abs() < 6e-3);
    let other = scores(&[&ARGUMENTS[..6], &["--json", "--recycles", "0"]].concat());
    assert_ne!(other, folded);
}

#[cfg(unix)]
#[test]
fn tm_scores_are_those_that_the_program_says() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&shifted(0.0));
    let line =
        |chain, score| format!("TM-score= {score} (if normalized by length of Chain_{chain}, i.e.)\\n");
    let script =
        format!("#!/bin/sh\ngrep -q ' CA ' \"$1\" \"$2\" && printf '{}{}'\n", line(1, 0.25), line(2, 0.5));
    let program = folder.write("align", script);
    let run = |program: &str| {
        let mut command = foldpoint(&folder);
        command.args(ARGUMENTS).args(["--tm-align", program]);
        command
    };
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    run("./align").assert().success().stdout(contains("| TM-score | 0.5000 |"));
    run("./none").assert().code(1).stderr(contains("./none: cannot be run"));
}

/// The hairpin with selenomethionine where there is methionine, as programs write it.
fn selenomethionine(hairpin: &str) -> String {
    let line = |line: &str| match line.get(17..20) {
        Some("MET") => format!("HETATM{}MSE{}\n", &line[6..17], &line[20..]),
        _ => format!("{line}\n"),
    };
    hairpin.lines().map(line).collect()
}

fn scores(folder: &Folder) -> serde_json::Value {
    let output = foldpoint(folder).args(ARGUMENTS).args(["--json", "-q"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn selenomethionine_counts_as_methionine() {
    let folder = folder(&shifted(0.0));
    let plain = scores(&folder);
    folder.write("pdb/1ABC.pdb", selenomethionine(&hairpin()));
    let json = scores(&folder);
    assert_eq!((&json["means"], &json["targets"][0]["resolved"]), (&plain["means"], &SEQUENCE.len().into()));
    assert_eq!(json["targets"][0]["structure"]["modified"], serde_json::json!(["MSE 11"]));
    foldpoint(&folder).args(ARGUMENTS).assert().success().stderr("");
}

#[test]
fn what_is_left_out_of_a_target_is_said_and_listed() {
    // Residue 12 is another one, 13 has no CA, and a tag follows.
    let tag: String =
        hairpin().lines().take(9).map(|line| format!("{}B{:4}{}\n", &line[..21], 100, &line[26..])).collect();
    let line = |line: &str| match line.get(22..26) {
        Some("  12") => format!("{}TRP{}\n", &line[..17], &line[20..]),
        Some("  13") if &line[12..16] == " CA " => String::new(),
        _ => format!("{line}\n"),
    };
    let target: String = hairpin().lines().map(line).collect();
    let folder = folder(&shifted(0.0));
    folder.write("pdb/1ABC.pdb", target.replace("END\n", &tag));
    let structure = &scores(&folder)["targets"][0]["structure"];
    assert_eq!(structure["different"], serde_json::json!(["TRP 12 (Q in the sequence)"]));
    assert_eq!(structure["incomplete"], serde_json::json!(["ILE 13"]));
    assert_eq!(structure["outside"], serde_json::json!(["MET 100"]));
    foldpoint(&folder).args(ARGUMENTS).assert().success().stdout(contains("left out: 0 targets, 3 residues")).stderr(
        contains("warning: pdb/1ABC.pdb: 1ABC_B: residues left out: 1 without the backbone's atoms: ILE 13; 1 where the \
                  sequence differs: TRP 12 (Q in the sequence); 1 that the sequence has no place for: MET 100"),
    );
}

#[test]
fn chains_and_models_are_chosen_aloud() {
    let folder = folder(&shifted(0.0));
    let other = "ATOM      1  CA  TRP A   1       0.000   0.000   0.000  1.00  0.00           C\n";
    let text = hairpin().replace(" B", " C").replace("END\n", "");
    folder.write(
        "pdb/1ABC.pdb",
        format!("MODEL        1\n{other}TER\n{text}ENDMDL\nMODEL        2\n{other}ENDMDL\n"),
    );
    foldpoint(&folder).args(ARGUMENTS).assert().success().stdout(contains("| CA lDDT | 1.0000 |")).stderr(contains(
        "note: pdb/1ABC.pdb: 1ABC_B: chain C of A, C, by its sequence; no chain B fits; the first of 2 models",
    ));
}

#[test]
fn predictions_may_be_mmcif_and_gzipped() {
    use std::io::Write as _;
    let folder = folder(&shifted(0.0));
    let pdb = scores(&folder);
    std::fs::remove_file(folder.path("predictions/1ABC_B.pdb")).expect("removed");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(crate::evaluate::hairpin_cif().as_bytes()).expect("in memory");
    folder.write("predictions/1ABC_B.cif.gz", gzip.finish().expect("in memory"));
    assert_eq!(scores(&folder)["means"]["lddt"], pdb["means"]["lddt"]);
}

#[test]
fn a_wrong_program_for_tm_scores_is_told_once_before_anything_is_folded() {
    let folder = folder(&shifted(0.0));
    folder.write("in.fasta", format!(">1ABC_B\n{SEQUENCE}\n>1ABC_C\n{SEQUENCE}\n"));
    for program in ["./none", "true"] {
        let mut command = foldpoint(&folder);
        let output = command.args(&ARGUMENTS[..6]).args(["--tm-align", program]).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.matches(program).count()), (Some(1), 1), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_prediction_of_part_of_the_sequence_is_said() {
    let part: String = shifted(0.0).lines().take(54).map(|line| format!("{line}\n")).collect();
    let folder = folder(&part);
    foldpoint(&folder)
        .args(ARGUMENTS)
        .assert()
        .success()
        .stdout(contains("left out: 0 targets, 0 residues; not predicted: 37 residues"))
        .stderr(contains("1ABC_B.pdb: 1ABC_B: 37 of 55 residues are not predicted, and count as wrong"));
    assert_eq!(scores(&folder)["targets"][0]["unpredicted"], 37);
}

#[test]
fn a_second_prediction_and_a_plddt_of_another_scale_are_said() {
    let folder = folder(&shifted(0.0));
    folder.write("predictions/1ABC_B.ent", shifted(0.0).replace("1.00 87.50 ", "1.00  0.87 "));
    foldpoint(&folder).args(ARGUMENTS).assert().success().stdout(contains("| pLDDT | 0.87 |")).stderr(
        contains(
            "warning: predictions/1ABC_B.ent: 1ABC_B: this prediction is read; predictions/1ABC_B.pdb is another one",
        )
        .and(contains("1ABC_B.ent: 1ABC_B: no B-factor is above 1; a pLDDT from 0 to 100 was expected")),
    );
}

#[test]
fn references_of_other_recycles_are_refused_before_anything_is_folded() {
    use safetensors::tensor::{Dtype, TensorView};
    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bare-metal/tiny.fpm");
    let folder = folder(&hairpin());
    std::fs::create_dir(folder.path("reference")).expect("a folder");
    let write = |recycles: &str| {
        let metadata = [("recycles".to_owned(), recycles.to_owned())].into();
        let views: Vec<(String, Vec<usize>, Vec<u8>)> = reference(0.5)
            .into_iter()
            .map(|(name, (shape, values))| {
                (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views = views.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
        });
        let file = safetensors::serialize(views, Some(metadata)).expect("in memory");
        folder.write("reference/1ABC_B.safetensors", file);
    };
    let run = || {
        let mut command = foldpoint(&folder);
        command.args(["--model", MODEL]).args(&ARGUMENTS[..6]).args([
            "--recycles",
            "0",
            "--reference",
            "reference",
        ]);
        command.assert()
    };
    write("0");
    run().success();
    write("3");
    run().code(1).stderr(contains("1ABC_B.safetensors: it is of 3 recycles; expected 0, as the model does"));
}
