//! What `plan` and `info` say before anything runs.

use std::fs;

use crate::common::{FOLDING, Folder, foldpoint};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

/// The object that `plan --json` prints.
fn plan(folder: &Folder, arguments: &[&str]) -> Value {
    let assert =
        foldpoint(folder).args(["plan", "--json", "--model", FOLDING]).args(arguments).assert().success();
    serde_json::from_slice(&assert.get_output().stdout).expect("one JSON object")
}

/// Keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The file of measured runs, of which there is one.
fn measured(folder: &Folder) -> std::path::PathBuf {
    let names = folder.list_all("rates");
    let name = names.iter().find(|name| name.ends_with(".json")).expect("runs were measured");
    folder.path("rates").join(name)
}

#[test]
fn lengths_are_planned_with_memory_and_time() {
    let folder = Folder::new();
    let plan = plan(&folder, &["20", "40", "--threads", "2", "--memory-limit", "1M"]);
    assert_eq!(
        keys(&plan),
        [
            "isa",
            "machine",
            "memory_limit",
            "memory_limit_bytes",
            "model",
            "model_bytes",
            "open_seconds",
            "tasks",
            "threads"
        ]
    );
    assert_eq!((&plan["threads"], &plan["memory_limit_bytes"]), (&2.into(), &(1 << 20).into()));
    let tasks = plan["tasks"].as_array().expect("tasks");
    let names: Vec<&Value> = tasks.iter().map(|task| &task["task"]).collect();
    assert_eq!(names, ["structures", "aligned-errors", "contacts"]);
    for task in tasks {
        assert_eq!(keys(task), ["longest_residues", "records", "task", "total"]);
        assert!(task["total"].is_null() && task["longest_residues"].as_u64() > Some(40));
        let [short, long] = &task["records"].as_array().expect("records")[..] else { panic!("two lengths") };
        assert_eq!(
            keys(short),
            [
                "arena_bytes",
                "bytes",
                "error",
                "fits",
                "id",
                "measured_residues",
                "mem_mb",
                "residues",
                "seconds",
                "side_by_side",
                "threads"
            ]
        );
        for (row, residues) in [(short, 20), (long, 40)] {
            assert_eq!(
                (&row["residues"], &row["fits"], &row["threads"]),
                (&residues.into(), &true.into(), &2.into())
            );
            assert!(row["seconds"].as_f64() >= Some(0.0), "{row}");
            let (bytes, mem) = (row["bytes"].as_u64().expect("bytes"), row["mem_mb"].as_u64().expect("MiB"));
            let model = fs::metadata(FOLDING).expect("the model").len();
            assert!(mem << 20 >= bytes + model && mem < 64, "{row}");
        }
        assert!(short["bytes"].as_u64() < long["bytes"].as_u64());
    }
}

#[test]
fn what_was_measured_is_kept_and_not_measured_again() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKTAYIAKQR\n");
    let seconds = |arguments: &[&str]| -> Vec<Value> {
        let arguments = [arguments, &["30", "--threads", "1", "--task", "structures"]].concat();
        let plan = plan(&folder, &arguments);
        plan["tasks"][0]["records"]
            .as_array()
            .expect("records")
            .iter()
            .map(|row| row["seconds"].clone())
            .collect()
    };
    assert_eq!(seconds(&["--no-probe"]), [Value::Null]);
    assert!(!folder.path("rates").exists(), "nothing was measured");
    let note = "note: measuring this model on this machine";
    let text = |stderr: &str| {
        let run =
            foldpoint(&folder).args(["plan", "30", "--threads", "1", "--model", FOLDING]).assert().success();
        let output = run.get_output();
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains(note), !stderr.is_empty());
        String::from_utf8(output.stdout.clone()).expect("UTF-8")
    };
    assert!(text(note).contains("| residues | threads | core's arena | in all | per pair | time |\n"));
    let first = fs::read_to_string(measured(&folder)).expect("runs");
    text("");
    assert_eq!(fs::read_to_string(measured(&folder)).expect("runs"), first, "nothing new was measured");
    assert!(seconds(&["--no-probe"])[0].is_number());
    // A real run adds to it, whatever the command.
    for arguments in [
        &["predict", "in.fasta", "-o", "out"][..],
        &["embed", "in.fasta", "-o", "out"],
        &["digest", "in.fasta"],
    ] {
        let count =
            || fs::read_to_string(measured(&folder)).expect("runs").matches("\"probe\":false").count();
        let before = count();
        foldpoint(&folder).args(arguments).args(["--threads", "1", "--model", FOLDING]).assert().success();
        assert_eq!(count(), before + 1, "{arguments:?}");
    }
    // Another instruction set has other rates.
    assert_eq!(seconds(&["--no-probe", "--isa", "scalar"]), [Value::Null]);
}

#[test]
fn info_tells_the_time_where_it_is_known() {
    let folder = Folder::new();
    let info = || foldpoint(&folder).args(["info", FOLDING, "--threads", "1"]).assert().success();
    info().stdout(contains("memory            128 residues: ").and(contains("\ntime ").not()));
    foldpoint(&folder).args(["plan", "128", "--threads", "1", "--model", FOLDING]).assert().success();
    info().stdout(
        contains("\ntime              128 residues: ")
            .and(contains("to fold\n"))
            .and(contains("for the language model alone\n")),
    );
}

#[test]
fn damaged_rates_are_said_and_measured_again() {
    let folder = Folder::new();
    let arguments = ["plan", "30", "--threads", "1", "--model", FOLDING, "--task", "contacts"];
    foldpoint(&folder).args(arguments).assert().success();
    let path = measured(&folder);
    let whole = fs::read_to_string(&path).expect("runs");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    foldpoint(&folder).args(arguments).assert().success().stderr(
        contains("warning: ")
            .and(contains(".json: no measured rates: "))
            .and(contains("line 1"))
            .and(contains("note: measuring this model")),
    );
    foldpoint(&folder).args(arguments).assert().success().stderr("");
}

#[test]
fn no_place_for_rates_fails_no_run() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKTAYIAKQR\n");
    folder.write("file", "not a folder");
    let command = |arguments: &[&str]| {
        let mut command = foldpoint(&folder);
        command
            .args(arguments)
            .args(["--model", FOLDING, "--threads", "1"])
            .env("FOLDPOINT_RATES", folder.path("file"));
        command.assert().success()
    };
    command(&["embed", "in.fasta", "-o", "out"]).stderr("");
    command(&["embed", "in.fasta", "-o", "out", "-v"]).stderr(contains("what was measured is not kept"));
    command(&["plan", "20"])
        .stderr(contains("the measured rates can't be read or written"))
        .stdout(contains("| 20 | 1 |"));
}

#[test]
fn a_batch_is_planned_as_it_would_run() {
    let folder = Folder::new();
    let long = "M".repeat(140);
    folder.write("in.fasta", format!(">long\n{long}\n>a\nMKTAYIAKQR\n>b\nMKTAY:IAKQR\n>c\nMK\n"));
    let plan =
        plan(&folder, &["in.fasta", "--threads", "2", "--task", "structures", "--memory-limit", "64M"]);
    let task = &plan["tasks"][0];
    let rows = task["records"].as_array().expect("records");
    let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["long", "a", "b", "c"]);
    let how = |row: &Value| {
        [&row["residues"], &row["threads"], &row["side_by_side"]].map(|n| n.as_u64().expect("a number"))
    };
    // A complex has 25 residues more between two chains.
    assert_eq!(rows.iter().map(how).collect::<Vec<_>>(), [[140, 2, 1], [10, 1, 2], [35, 1, 2], [2, 1, 2]]);
    let total = &task["total"];
    assert_eq!(keys(total), ["bytes", "mem_mb", "records", "refused", "seconds", "side_by_side"]);
    assert_eq!((&total["records"], &total["refused"]), (&4.into(), &0.into()));
    let seconds = |value: &Value| value["seconds"].as_f64().expect("seconds");
    let longest = seconds(&rows[0]);
    let all: f64 = rows.iter().map(seconds).sum();
    let open = plan["open_seconds"].as_f64().expect("seconds");
    assert!(seconds(total) >= longest + open && seconds(total) <= all + open + 0.01, "{total} {open} {all}");
    assert_eq!(total["bytes"], rows[0]["bytes"], "the long one alone takes the most");

    // Half of it: the long one is refused.
    let limit = (rows[0]["bytes"].as_u64().expect("bytes") / 2).to_string();
    let small = foldpoint(&folder)
        .args([
            "plan",
            "in.fasta",
            "--threads",
            "2",
            "--task",
            "structures",
            "--model",
            FOLDING,
            "--memory-limit",
            &limit,
        ])
        .assert()
        .success();
    small.stdout(
        contains("| long | 140 | 1 | ")
            .and(contains("does not fit"))
            .and(contains("3 records"))
            .and(contains("; 1 does not fit")),
    );
}

#[test]
fn wrong_items_are_said() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMK\n>b\nM<mask>K\n>c\nM1K\n");
    let run = |arguments: &[&str]| foldpoint(&folder).args(["plan", "--no-probe"]).args(arguments).assert();
    run(&["0"]).code(2).stderr(contains("expected a number of residues"));
    run(&["64", "in.fasta"]).code(2).stderr(contains("not both"));
    run(&["none.fasta"]).code(1).stderr(contains("none.fasta"));
    run(&["1000000"]).code(1).stderr(contains("1000000 residues: "));
    // What cannot be folded is an error, as `predict` says it; contacts take masks.
    run(&["in.fasta", "--model", FOLDING])
        .code(1)
        .stderr(contains("record 2 (`b`)").and(contains("record 3 (`c`)")));
    run(&["in.fasta", "--model", FOLDING, "--task", "contacts"])
        .code(1)
        .stderr(contains("record 2").not().and(contains("record 3 (`c`)")));
    let only = crate::model_file::language_model();
    folder.write("lm.fpm", only);
    run(&["20", "--model", "lm.fpm", "--task", "structures"])
        .code(1)
        .stderr(contains("lm.fpm: this model does not fold"));
}
