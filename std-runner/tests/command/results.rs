//! What a run says about its records: the table, `--json`, `results.jsonl` and `summary.tsv`.

use std::time::Duration;

use crate::common::{FOLDING, Folder, foldpoint, json_lines};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

/// A record of each kind: read and run, of letters that become X, not understood, too long.
const MIXED: &str = ">a first of all\nMKVLAAGIVGLCAKAYRERWPDE\n>bad\nMK1V\n>rare one\nMKUBAGI\n>long\nMKVLAAGIVGLCAKAYRERWPDEK\n>b\nGPGPG\n";

fn run(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = foldpoint(folder);
    command.args(arguments);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.output().expect("it starts").stdout).expect("text")
}

/// Lines without what depends on the machine.
fn without_seconds(lines: &[Value]) -> Vec<Value> {
    let mut lines = lines.to_vec();
    lines.iter_mut().for_each(|line| line["seconds"] = Value::Null);
    lines
}

#[test]
fn every_command_writes_a_line_for_every_record_in_the_input_s_order() {
    let folder = Folder::new();
    folder.write("in.fasta", MIXED);
    for (command, ending) in
        [("contacts", "contacts.npy"), ("embed", "layer10.npy"), ("logits", "logits.npy"), ("predict", "pdb")]
    {
        let mut arguments = vec![command, "in.fasta", "-o", command, "--max-len", "23", "--threads", "2"];
        if command == "predict" {
            arguments.extend(["--model", FOLDING]);
        }
        run(&folder, &arguments).assert().code(1);
        let lines = folder.results(command);
        let of = |key: &str| -> Vec<Value> { lines.iter().map(|line| line[key].clone()).collect() };
        assert_eq!(of("id"), ["a", "bad", "rare", "long", "b"], "{command}");
        assert_eq!(of("line"), [1, 3, 5, 7, 9]);
        assert_eq!(of("record"), [1, 2, 3, 4, 5]);
        assert_eq!(of("status"), ["ok", "failed", "ok", "failed", "ok"]);
        assert!(of("file").iter().all(|file| file == "in.fasta"));
        assert_eq!(of("length"), [json!(23), Value::Null, json!(7), Value::Null, json!(5)]);
        assert_eq!(of("chains"), [json!([23]), json!([]), json!([7]), json!([]), json!([5])]);
        assert_eq!(of("header"), ["a first of all", "bad", "rare one", "long", "b"]);
        let error = lines[1]["error"].as_str().expect("text");
        assert!(error.starts_with("found `1`; expected one of the amino-acid letters"), "{error}");
        assert_eq!(lines[3]["error"], "the sequence has 24 residues; expected at most 23 (--max-len)");
        assert_eq!(lines[2]["warnings"][0], "2 residues (UB) are read as X");
        // What is said to be written is there, and nothing else but what belongs to the run.
        let mut said: Vec<String> = Vec::new();
        for line in &lines {
            let files = line["files"].as_array().expect("a list");
            assert_eq!(files.is_empty(), line["status"] == "failed");
            assert_eq!(line["seconds"].is_f64(), line["status"] == "ok");
            assert_eq!(line["error"].is_null(), line["status"] == "ok");
            said.extend(files.iter().map(|file| file.as_str().expect("text").to_owned()));
        }
        assert!(said.contains(&format!("a.{ending}")), "{said:?}");
        said.sort();
        let mut there = folder.list(command);
        there.retain(|name| name != "logits.alphabet.txt");
        assert_eq!(said, there);

        let table = folder.tsv(&format!("{command}/summary.tsv"));
        assert_eq!(table[0][..5], ["id", "file", "line", "length", "chains"]);
        assert!(table.iter().all(|row| row.len() == table[0].len()));
        let column = |name: &str| -> Vec<&str> {
            let at = table[0].iter().position(|head| head == name).expect(name);
            table[1..].iter().map(|row| row[at].as_str()).collect()
        };
        assert_eq!(column("id"), ["a", "bad", "rare", "long", "b"]);
        assert_eq!(column("status"), ["ok", "failed", "ok", "failed", "ok"]);
        assert_eq!(column("length"), ["23", "", "7", "", "5"]);
        assert!(column("warnings")[2].starts_with("2 residues (UB) are read as X"));
        assert_eq!(column("error")[1], error);
    }
}

#[test]
fn json_prints_the_lines_of_the_file_quiet_or_not() {
    let folder = Folder::new();
    folder.write("in.fasta", MIXED);
    for quiet in [&[][..], &["--quiet"]] {
        let arguments = ["contacts", "in.fasta", "-o", "out", "--max-len", "23", "--json", "--threads", "2"];
        let text = stdout(&mut run(&folder, &[&arguments[..], quiet].concat()));
        let file = std::fs::read_to_string(folder.path("out/results.jsonl")).expect("results.jsonl");
        assert_eq!(text, file);
        assert_eq!(text.lines().count(), 5);
    }
}

#[test]
fn digest_prints_json_too() {
    let folder = Folder::new();
    folder.write("in.fasta", MIXED);
    let text = stdout(&mut run(&folder, &["digest", "in.fasta", "--no-fold", "--json"]));
    let plain = stdout(&mut run(&folder, &["digest", "in.fasta", "--no-fold", "--each"]));
    let (lines, plain): (Vec<Value>, Vec<&str>) = (json_lines(&text), plain.lines().collect());
    assert_eq!((lines.len(), plain.len()), (6, 5));
    let digests = lines.iter().filter_map(|line| line["scores"]["digest"].as_str());
    let expected = plain[..4].iter().map(|line| line.split(' ').next().unwrap_or_default());
    assert!(digests.eq(expected), "{text}");
    assert_eq!(lines[5]["sequences"], 4);
    assert!(plain[4].starts_with(lines[5]["digest"].as_str().expect("text")));
    assert_eq!(folder.list_all("."), ["in.fasta", "rates"], "no results; `rates` is the user's own folder");
}

#[test]
fn the_same_input_gives_the_same_lines() {
    let folder = Folder::new();
    folder.write("in.fasta", MIXED);
    for (out, threads) in [("one", "1"), ("three", "3")] {
        let arguments = ["predict", "in.fasta", "-o", out, "--model", FOLDING, "--threads", threads];
        run(&folder, &arguments).assert().code(1);
    }
    assert_eq!(without_seconds(&folder.results("one")), without_seconds(&folder.results("three")));
}

#[test]
fn a_later_run_begins_anew() {
    let folder = Folder::new();
    folder.write("in.fasta", MIXED);
    folder.write("one.fasta", ">only\nMKV\n");
    run(&folder, &["contacts", "in.fasta", "-o", "out"]).assert().code(1);
    run(&folder, &["contacts", "one.fasta", "-o", "out"]).assert().success();
    assert_eq!(folder.results("out").len(), 1);
    assert_eq!(folder.tsv("out/summary.tsv").len(), 2);
    // A file that can't be read is no run.
    run(&folder, &["contacts", "missing.fasta", "-o", "out"]).assert().code(1);
    assert_eq!(folder.results("out").len(), 1);
}

#[test]
fn a_killed_run_leaves_whole_lines_of_what_it_finished() {
    let folder = Folder::new();
    let long = "MKVLAAGIVGLCAKAYRERWPDE".repeat(5);
    folder.write("in.fasta", format!(">long\n{long}\n>short\nM\n"));
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("foldpoint"));
    let arguments = ["predict", "in.fasta", "-o", "out", "--model", FOLDING, "--threads", "2"];
    command.current_dir(folder.path(".")).args(arguments).args(["--quiet", "--recycles", "5000"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let text = loop {
        let text = std::fs::read_to_string(folder.path("out/results.jsonl")).unwrap_or_default();
        if text.contains('\n') {
            break text;
        }
        assert!(child.try_wait().expect("a status").is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    };
    child.kill().expect("killed");
    child.wait().expect("a status");
    let lines = json_lines(&text);
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["id"], &lines[0]["status"]), (&json!("short"), &json!("ok")));
    assert!(folder.list("out").contains(&"short.pdb".to_owned()));
    let rows = folder.tsv("out/summary.tsv");
    assert_eq!((rows.len(), rows[1][0].as_str()), (2, "short"));
}

#[test]
fn results_that_cannot_be_written_are_an_error_before_anything_runs() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKV\n");
    for name in ["results.jsonl", "summary.tsv"] {
        std::fs::create_dir_all(folder.path(name).join(name)).expect("a folder in the way");
        let message = format!("error: {name}/{name}: cannot be written");
        run(&folder, &["contacts", "in.fasta", "-o", name]).assert().code(1).stderr(contains(message));
        assert!(folder.list(name).is_empty());
    }
}

#[test]
fn a_table_stays_readable_with_a_name_of_400_letters() {
    let folder = Folder::new();
    let name = format!("begin{}end", "x".repeat(392));
    folder.write("in.fasta", format!(">{name}\nMKVLAAGIVGLC\n>b\nGPGPG\n"));
    for (out, arguments) in [("fold", &["predict", "--model", FOLDING][..]), ("contacts", &["contacts"])] {
        let output = run(&folder, arguments).args(["in.fasta", "-o", out]).output().expect("it starts");
        let complaints = String::from_utf8(output.stderr).expect("text");
        assert!(!complaints.contains(&"x".repeat(60)), "{complaints}");
        let text = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("sequence "));
        assert!(
            lines[1].starts_with("begin") && lines[1].contains("x…x") && lines[1].contains("xend "),
            "{text}"
        );
        let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [100; 3], "{text}");
        assert_eq!(folder.results(out)[0]["id"], name.as_str());
    }
}

#[test]
fn quiet_prints_nothing_but_errors() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKUBAGI\n>b\nGPGPG\n");
    for arguments in [&["predict"][..], &["contacts", "--tsv"], &["embed"], &["logits"]] {
        let mut command = run(&folder, arguments);
        command
            .args(["in.fasta", "-o", "out", "-q"])
            .assert()
            .success()
            .stdout(is_empty())
            .stderr(is_empty());
    }
    folder.write("bad.fasta", ">a\nMK1\n>b\nGPGPG\n");
    let mut command = run(&folder, &["contacts", "bad.fasta", "-o", "out", "-q"]);
    let one_line = predicate::function(|text: &str| text.lines().count() == 1);
    command.assert().code(1).stdout(is_empty()).stderr(contains("error: bad.fasta: line 2").and(one_line));
}

#[test]
fn no_colours_go_into_pipes() {
    let folder = Folder::new();
    // An identifier may hold anything, orders to a terminal among them.
    folder.write("in.fasta", ">a\u{1b}[31mred\u{9b}2J\nMKUBAGI\n>b\u{1b}[0m\nMK1\n");
    let mut command = run(&folder, &["predict", "in.fasta", "-o", "out", "--model", FOLDING, "-vv"]);
    let plain = || predicate::function(|text: &str| !text.contains(['\u{1b}', '\u{9b}']));
    command.assert().code(1).stdout(plain()).stderr(plain().and(contains("schedule")));
}

#[test]
fn a_contacts_table_without_rows_says_so() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGIVGLCAKAYRERWPDE\n>b\nGPGPG\n");
    let arguments = ["contacts", "in.fasta", "-o", "out", "--tsv", "--threshold", "0.9999"];
    run(&folder, &arguments).assert().success().stderr(
        contains("warning: in.fasta: line 1: record 1 (`a`): the table has no rows: no pair at least 6 apart is more probable than 0.9999; the most probable is 0.")
            .and(contains("record 2 (`b`): the table has no rows: no two residues are at least 6 apart")),
    );
    for (line, id) in folder.results("out").iter().zip(["a", "b"]) {
        assert_eq!(line["scores"]["contacts"], 0);
        assert_eq!(line["warnings"].as_array().map(Vec::len), Some(1), "{line}");
        assert_eq!(folder.tsv(&format!("out/{id}.contacts.tsv")), [["i", "j", "probability"]]);
    }
    let arguments = ["contacts", "in.fasta", "-o", "out", "--tsv", "--threshold", "0"];
    run(&folder, &arguments).assert().success().stderr(contains("record 1").not());
    let rows = folder.tsv("out/a.contacts.tsv").len() - 1;
    assert!(rows > 0);
    assert_eq!(folder.results("out")[0]["scores"]["contacts"], rows);
    // Without --tsv the older table is of another map.
    run(&folder, &["contacts", "in.fasta", "-o", "out"]).assert().success();
    assert_eq!(folder.list("out"), ["a.contacts.npy", "b.contacts.npy"]);
}
