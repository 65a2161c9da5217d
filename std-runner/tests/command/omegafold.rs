//! Commands with an OmegaFold: of random weights, so that only shapes and files are checked, not whether a
//! structure is right.

use crate::common::{FOLDING, Folder, OMEGAFOLD, foldpoint, json_lines};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

const GOOD: &str = ">good\nMKVLAAGIVGLCAKAYRERWPDE\n";

fn omegafold(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = foldpoint(folder);
    command.args(["--model", OMEGAFOLD]).args(arguments);
    command
}

/// What a command prints on the standard output.
fn output(folder: &Folder, arguments: &[&str]) -> String {
    let output = omegafold(folder, arguments).assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

fn text(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path(name)).expect("text")
}

#[test]
fn a_structure_has_the_files_of_any_other_and_the_scores_that_there_are() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    omegafold(&folder, &["predict", "in.fasta", "-o", "out", "--cycles", "4", "--rows", "2"])
        .assert()
        .success()
        .stdout(contains("sequence  residues  CA pLDDT  overall  cycle         time       arena\n"));
    assert_eq!(folder.list("out"), ["good.confidence.json", "good.pdb", "good.residues.tsv"]);

    let confidence: Value = serde_json::from_str(&text(&folder, "out/good.confidence.json")).expect("JSON");
    let keys: Vec<&String> = confidence.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["complex_iplddt", "complex_plddt", "cycle", "overall_confidence"]);
    let scores = &folder.results("out")[0]["scores"];
    for key in ["ptm", "iptm", "confidence_score", "chains_ptm", "pair_chains_iptm"] {
        assert_eq!(scores[key], Value::Null, "{key}");
    }
    assert_eq!(scores["overall_confidence"], confidence["overall_confidence"]);
    assert_eq!(scores["cycle"], confidence["cycle"]);
    assert!((1..=4).contains(&scores["cycle"].as_u64().expect("a number")));
    let summary = folder.tsv("out/summary.tsv");
    let cell = |name: &str| &summary[1][summary[0].iter().position(|column| column == name).expect(name)];
    assert!(cell("ptm").is_empty() && cell("iptm").is_empty() && !cell("mean_plddt_ca").is_empty());

    let pdb = text(&folder, "out/good.pdb");
    assert!(pdb.contains(" OMEGAFOLD, CYCLES 4, PSEUDO-MSA "), "{pdb}");
    assert!(pdb.contains(" CONFIDENCE 0.") && !pdb.contains("PTM"), "{pdb}");
    // The confidence in a residue, times 100, is the B-factor of all its atoms, and in its row of the table.
    let table = folder.tsv("out/good.residues.tsv");
    for row in &table[1..] {
        let atoms = pdb.lines().filter(|line| line.starts_with("ATOM") && line[22..26].trim() == row[1]);
        let factors: Vec<&str> = atoms.map(|line| line[60..66].trim()).collect();
        assert!(factors.len() > 3 && factors.iter().all(|factor| *factor == row[4]), "{row:?} {factors:?}");
    }
    let plddt: f64 = table[1..].iter().map(|row| row[4].parse::<f64>().expect("a number")).sum();
    let mean = scores["mean_plddt_ca"].as_f64().expect("a number");
    assert!((plddt / 23.0 - mean).abs() < 0.011, "{plddt} {mean}");
    assert!(mean > 1.0, "of 100, not of 1");
}

#[test]
fn mmcif_names_the_model_its_article_and_its_scores() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    omegafold(&folder, &["predict", "in.fasta", "-o", "out", "--format", "cif", "--cycles", "1", "-q"])
        .assert()
        .success();
    let cif = text(&folder, "out/good.cif");
    for expected in [
        "OmegaFold in integer arithmetic",
        "10.1101/2022.07.21.500999",
        "1 1 integer cycles 1 ",
        "2 1 integer rows 15 ",
        "\n6 confidence ",
        "\n2 1 6 0.",
    ] {
        assert!(cif.contains(expected), "{expected} is not in\n{cif}");
    }
    assert!(!cif.contains("pTM") && !cif.contains("ESMFold") && !cif.contains("passes"), "{cif}");
}

#[test]
fn letters_are_those_of_the_original_and_what_it_can_not_fold_is_said() {
    let folder = Folder::new();
    folder.write("in.fasta", ">rare\nMBZUXK\n>plain\nMDECXK\n>two\nMK:VL\n>o\nMKOA\n>x\nXX\n>masked\nM_K\n");
    omegafold(&folder, &["predict", "in.fasta", "-o", "out", "--cycles", "1"]).assert().failure().stderr(
        contains("(`rare`): 3 residues (BZU) are read as D, E, C")
            .and(contains("(`two`): OmegaFold folds one chain at a time, and this record has 2; give each"))
            .and(contains("(`o`): residue 3 is O, which OmegaFold does not read"))
            .and(contains("(`x`): not folded, nothing is written: all 2 residues are X"))
            .and(contains("4 of 6 sequences failed")),
    );
    assert_eq!(folder.structures("out"), ["plain.pdb", "rare.pdb"], "the others go on");
    let atoms = |name: &str| -> Vec<String> {
        text(&folder, name).lines().filter(|line| line.starts_with("ATOM")).map(str::to_owned).collect()
    };
    assert_eq!(atoms("out/rare.pdb"), atoms("out/plain.pdb"));
    assert!(atoms("out/rare.pdb").iter().any(|line| line.contains(" GLU A   3 ")));
    let failed: Vec<String> = folder
        .results("out")
        .iter()
        .filter(|line| line["status"] == "failed")
        .map(|line| line["id"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(failed, ["two", "o", "x", "masked"]);
}

#[test]
fn options_of_the_other_model_are_refused_before_anything_runs() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    let predict = ["predict", "in.fasta", "-o", "out"];
    for (model, arguments, message) in [
        (
            OMEGAFOLD,
            &["--pae", "json"][..],
            "omegafold.fpm: this model is an OmegaFold, which predicts no aligned errors",
        ),
        (OMEGAFOLD, &["--recycles", "3"], "an OmegaFold, which has no --recycles; expected --cycles"),
        (
            FOLDING,
            &["--cycles", "3"],
            "tiny.fpm: --cycles is for an OmegaFold, and this model is none; expected --recycles",
        ),
        (FOLDING, &["--rows", "3"], "tiny.fpm: --rows is for an OmegaFold, and this model is none"),
        (OMEGAFOLD, &["--cycles", "0"], "--cycles <N>"),
        (OMEGAFOLD, &["--rows", "256"], "--rows <N>"),
    ] {
        let mut command = foldpoint(&folder);
        command.args(["--model", model]).args(predict).args(arguments);
        command.assert().failure().stdout("").stderr(contains(message));
    }
    assert!(!folder.path("out").exists() || folder.list_all("out").is_empty(), "nothing ran");
}

#[test]
fn what_a_language_model_gives_is_refused_by_name() {
    let folder = Folder::new();
    folder.write("in.fasta", GOOD);
    let alone = "omegafold.fpm: this model is an OmegaFold: it has structures alone, no contacts, embeddings or logits";
    for arguments in [
        &["contacts", "in.fasta", "-o", "out"][..],
        &["embed", "in.fasta", "-o", "out"],
        &["logits", "in.fasta", "-o", "out"],
        &["plan", "--task", "contacts"],
        &["plan", "--task", "embeddings"],
    ] {
        omegafold(&folder, arguments).assert().failure().stderr(contains(alone));
    }
    for (arguments, message) in [
        (&["bench"][..], "an OmegaFold, which only folds; expected --fold"),
        (&["digest", "in.fasta", "--no-fold"], "an OmegaFold, which only folds; expected no --no-fold"),
        (&["plan", "--task", "aligned-errors"], "an OmegaFold, which predicts no aligned errors"),
    ] {
        omegafold(&folder, arguments).assert().failure().stderr(contains(message));
    }
}

#[test]
fn info_and_verify_say_what_it_is() {
    let folder = Folder::new();
    for line in [
        "kind            OmegaFold\n",
        "language model  2 layers, width 24, values 16, queries 8\n",
        "folding trunk   1 blocks, node width 24, pair width 16\n",
        "cycles          10, with 15 rows of the pseudo-MSA, unless --cycles or --rows say otherwise\n",
        "can predict     structures (predict)\n",
    ] {
        omegafold(&folder, &["info"]).assert().success().stdout(contains(line));
    }
    omegafold(&folder, &["verify"]).assert().success().stdout(contains(
        "checked: all checksums; OmegaFold: language model (2 layers), folding trunk (1 blocks)",
    ));
    let mut bytes = std::fs::read(OMEGAFOLD).expect("the model");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let damaged = folder.write("damaged.fpm", &bytes);
    foldpoint(&folder).arg("verify").arg(&damaged).assert().failure().stderr(contains("damaged.fpm: "));
    bytes.truncate(last / 2);
    let cut = folder.write("cut.fpm", &bytes);
    foldpoint(&folder).arg("info").arg(&cut).assert().failure().stderr(contains("cut.fpm: "));
}

#[test]
fn every_instruction_set_and_number_of_threads_gives_the_same_digest() {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}>short\nMK\n>other\nMKVLAAGXIVGLCAKAYRERWPDEHHTQNSF\n"));
    let expected = output(&folder, &["digest", "in.fasta", "--each", "--isa", "scalar", "--threads", "1"]);
    assert_eq!(expected.lines().count(), 4);
    let sets = output(&folder, &["info"]);
    let sets = sets.lines().find(|line| line.starts_with("instructions")).expect("it says them");
    let sets = sets.split_once("runs ").expect("it lists them").1.trim_end_matches(')');
    for isa in sets.split(", ") {
        for threads in ["1", "2", "3"] {
            let found =
                output(&folder, &["digest", "in.fasta", "--each", "--isa", isa, "--threads", threads]);
            assert_eq!(found, expected, "{isa}, {threads} threads");
        }
    }
    // Records don't depend on those beside them: each draws its masks by itself.
    folder.write("one.fasta", ">other\nMKVLAAGXIVGLCAKAYRERWPDEHHTQNSF\n");
    let alone = output(&folder, &["digest", "one.fasta", "--each"]);
    assert_eq!(alone.lines().next(), expected.lines().nth(2));
}

#[test]
fn a_plan_tells_memory_that_is_enough_and_time() {
    let folder = Folder::new();
    folder.write("in.fasta", format!("{GOOD}>two\nMK:VL\n"));
    let plan = |arguments: &[&str]| -> Value {
        json_lines(&output(&folder, &[&["plan", "--json"], arguments].concat())).remove(0)
    };
    let planned = plan(&["23", "40"]);
    let tasks = planned["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 1, "structures alone");
    assert_eq!(tasks[0]["task"], "structures");
    assert!(
        tasks[0]["records"]
            .as_array()
            .expect("records")
            .iter()
            .all(|row| row["seconds"].as_f64() > Some(0.0))
    );
    // More rows and cycles are more memory and time.
    let need = |arguments: &[&str], key: &str| {
        plan(&[&["23"], arguments].concat())["tasks"][0]["records"][0][key].as_f64().expect("a number")
    };
    assert!(need(&["--rows", "40"], "bytes") > need(&[], "bytes"));
    assert!(need(&["--cycles", "20"], "seconds") > 1.5 * need(&[], "seconds"));
    assert!(need(&["--rows", "40"], "seconds") > need(&["--rows", "0"], "seconds"));

    let batch = plan(&["--no-probe", "in.fasta"]);
    let rows = &batch["tasks"][0]["records"];
    assert_eq!((&rows[0]["fits"], &rows[1]["fits"]), (&json!(true), &json!(false)));
    assert!(rows[1]["error"].as_str().expect("a reason").contains("one chain at a time"));

    let bytes = rows[0]["bytes"].as_u64().expect("a number");
    let limited = |bytes: u64| {
        let bytes = bytes.to_string();
        let mut command = omegafold(
            &folder,
            &["predict", "in.fasta", "-o", "out", "--threads", "1", "--memory-limit", &bytes],
        );
        command.assert().failure()
    };
    limited(bytes - 1).stderr(contains("(`good`): not enough memory: 23 residues need"));
    assert!(folder.structures("out").is_empty());
    limited(bytes);
    assert_eq!(folder.structures("out"), ["good.pdb"]);
}

#[test]
fn bench_folds() {
    let folder = Folder::new();
    omegafold(&folder, &["bench", "--fold", "--lengths", "8", "--runs", "1", "--threads", "1"])
        .assert()
        .success()
        .stdout(contains("\n| 8 | "));
}
