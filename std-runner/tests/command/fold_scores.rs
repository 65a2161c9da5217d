//! What says how far a fold can be trusted: `ID.confidence.json`, `ID.residues.tsv`, scores and warnings of a
//! record.

use crate::common::{FOLDING, Folder, foldpoint};
use serde_json::Value;

fn predict(folder: &Folder, arguments: &[&str]) {
    let mut command = foldpoint(folder);
    command.args(["predict", "in.fasta", "-o", "out", "--model", FOLDING]).args(arguments).assert().success();
}

fn confidence(folder: &Folder, id: &str) -> Value {
    let text =
        std::fs::read_to_string(folder.path(&format!("out/{id}.confidence.json"))).expect("it is there");
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Half of the last of four decimals, of each of two numbers.
fn same(a: f64, b: f64) {
    assert!((a - b).abs() <= 1.01e-4, "{a} {b}");
}

#[test]
fn confidence_has_the_names_and_the_scale_of_boltz() {
    let folder = Folder::new();
    folder.write("in.fasta", ">one\nMKVLAAGIVGLCAKAYRERWPDE\n>two\nMKVLAAGIVG:LCAKAYRERWPDEGGH\n");
    predict(&folder, &[]);
    let lines = folder.results("out");
    for (line, id) in lines.iter().zip(["one", "two"]) {
        let confidence = confidence(&folder, id);
        let keys: Vec<&String> = confidence.as_object().expect("an object").keys().collect();
        let expected = [
            "chains_ptm",
            "complex_iplddt",
            "complex_plddt",
            "confidence_score",
            "iptm",
            "pair_chains_iptm",
            "protein_iptm",
            "ptm",
        ];
        assert_eq!(keys, expected);
        let score = |key: &str| number(&confidence[key]);
        assert!(["complex_plddt", "complex_iplddt", "ptm", "confidence_score"].iter().all(|k| {
            let score = score(k);
            0.0 < score && score < 1.0
        }));
        for key in ["confidence_score", "complex_iplddt", "ptm", "chains_ptm", "pair_chains_iptm"] {
            assert_eq!(line["scores"][key], confidence[key]);
        }
        same(number(&line["scores"]["mean_plddt_ca"]) / 100.0, score("complex_plddt"));
        let tm = if id == "one" { score("ptm") } else { score("iptm") };
        same(score("confidence_score"), 0.8 * score("complex_plddt") + 0.2 * tm);
        assert_eq!(score("iptm"), score("protein_iptm"));
    }
    let one = confidence(&folder, "one");
    assert_eq!((number(&one["iptm"]), &lines[0]["scores"]["iptm"]), (0.0, &Value::Null));
    assert_eq!(one["chains_ptm"], serde_json::json!({ "0": one["ptm"] }));
    assert_eq!(one["complex_iplddt"], one["complex_plddt"], "one chain has no interface");
    let two = confidence(&folder, "two");
    assert_eq!(two["iptm"], lines[1]["scores"]["iptm"]);
    let pair = |a: &str, b: &str| number(&two["pair_chains_iptm"][a][b]);
    assert_eq!(number(&two["iptm"]), pair("0", "1").max(pair("1", "0")));
    for chain in ["0", "1"] {
        assert_eq!(number(&two["chains_ptm"][chain]), pair(chain, chain));
    }
}

#[test]
fn the_residues_table_the_structure_and_the_mean_agree() {
    let folder = Folder::new();
    folder.write("in.fasta", ">two\nMKXVLAAG:CW\n");
    predict(&folder, &[]);
    let table = folder.tsv("out/two.residues.tsv");
    assert_eq!(table[0], ["chain", "number", "residue", "letter", "plddt", "confidence"]);
    assert_eq!(table.len(), 11);
    assert_eq!(table[3], ["A", "3", "UNK", "X", "", ""]);
    assert_eq!(table[10][..4], ["B", "2", "TRP", "W"]);
    let text = std::fs::read_to_string(folder.path("out/two.pdb")).expect("text");
    let alphas: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("ATOM") && line[12..16].trim() == "CA")
        .map(|line| vec![line[21..22].trim(), line[22..26].trim(), line[17..20].trim(), line[60..66].trim()])
        .collect();
    let rows = table[1..].iter().filter(|row| !row[4].is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|row| vec![&*row[0], &*row[1], &*row[2], &*row[4]]).collect();
    assert_eq!(rows, alphas);
    let plddt: Vec<f64> = rows.iter().map(|row| row[3].parse().expect("a number")).collect();
    let mean = plddt.iter().sum::<f64>() / plddt.len() as f64;
    let said = number(&folder.results("out")[0]["scores"]["mean_plddt_ca"]);
    assert!((mean - said).abs() <= 0.0101, "{mean} {said}");
    assert!(text.contains(&format!("MEAN PLDDT OF CA {said:.2}")), "{text}");
}

#[test]
fn a_fold_of_random_weights_is_warned_about_once() {
    let folder = Folder::new();
    folder.write("in.fasta", ">one\nMKVLAAGIVGLCAKAYRERWPDE\n>two\nMKVLAAGIVG:LCAKAYRERWPDEGGH\n");
    predict(&folder, &[]);
    for line in folder.results("out") {
        let warnings: Vec<&str> =
            line["warnings"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let about = warnings.iter().filter(|warning| warning.contains("confidence")).count();
        assert_eq!(about, 1, "{warnings:?}");
        let plddt = number(&line["scores"]["mean_plddt_ca"]);
        let level = if plddt < 50.0 { "very low confidence" } else { "low confidence" };
        assert!(warnings[0].starts_with(&format!("{level} (mean CA pLDDT {plddt:.1}")), "{warnings:?}");
        assert!(!warnings[0].contains(", pTM "), "of a peptide it says nothing: {warnings:?}");
        assert_eq!(warnings[0].contains(", ipTM "), line["id"] == "two");
    }
}

#[test]
fn nothing_of_an_earlier_run_stays_beside_a_new_structure() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGIVGLC\n");
    folder.write("other.fasta", ">a.pae\nMKVLAAG\n");
    predict(&folder, &["--pae", "json"]);
    let kept = ["a.notes.txt", "a.pae.json.bak", "b.pae.json"];
    kept.iter().for_each(|name| drop(folder.write(&format!("out/{name}"), "mine")));
    // A record whose files begin as those of another.
    let arguments = ["predict", "other.fasta", "-o", "out", "--model", FOLDING, "--pae", "npy"];
    foldpoint(&folder).args(arguments).assert().success();
    predict(&folder, &["--format", "cif"]);
    let mut expected = vec!["a.cif", "a.confidence.json", "a.residues.tsv"];
    expected.extend(["a.pae.confidence.json", "a.pae.pae.npy", "a.pae.pdb", "a.pae.residues.tsv"]);
    expected.extend(kept);
    expected.sort_unstable();
    assert_eq!(folder.list("out"), expected);
}
