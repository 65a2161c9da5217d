//! `score`: variants of a table, and all of single residues.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Folder, foldpoint};

const WILD_TYPE: &str = "NLYIQWLKDGGPSSGRPPPS";

/// Rows of a CSV without quotes.
fn rows(folder: &Folder, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.path(name)).expect("a table");
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(cell: &str) -> f64 {
    cell.parse().expect("a number")
}

/// Runs `score` on `table` in the folder, and returns its status, what it wrote and what it said.
fn score(folder: &Folder, options: &[&str]) -> (bool, Vec<Vec<String>>, String) {
    let mut command = foldpoint(folder);
    command.args(["score", "--sequence", WILD_TYPE, "--dms-input", "scan.csv", "--dms-output", "scored.csv"]);
    let done = command.args(options).output().expect("it runs");
    let written = if folder.path("scored.csv").exists() { rows(folder, "scored.csv") } else { vec![] };
    (done.status.success(), written, String::from_utf8(done.stderr).expect("UTF-8"))
}

#[test]
fn a_table_gets_a_column_of_scores_behind_its_own() {
    let folder = Folder::new();
    // A byte order mark, CRLF, an index without a name, and variants of one and of two mutations.
    folder.write(
        "scan.csv",
        "\u{feff},mutant,fitness\r\n0,N24A,0.5\r\n1,L25D:P42G,\"1\"\r\n2,L25D,-2\r\n3,P42G,7\r\n",
    );
    let (ok, written, said) = score(&folder, &["--offset-idx", "24"]);
    assert!(ok, "{said}");
    assert_eq!(written[0], ["", "mutant", "fitness", "foldpoint-default"]);
    let first: Vec<&str> = written.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(first, ["fitness", "0.5", "1", "-2", "7"]);
    let scores: Vec<f64> = written[1..].iter().map(|row| number(&row[3])).collect();
    assert!((scores[1] - scores[2] - scores[3]).abs() < 2e-6, "mutations add up: {scores:?}");
    assert!(scores.iter().all(|score| *score != 0.0));

    // Masked marginals are others; a gzipped table with tabs, and a folder for it.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"mutant\tmore\nN1A\tx, y\n").expect("in memory");
    folder.write("tabs.tsv.gz", gzip.finish().expect("in memory"));
    std::fs::create_dir(folder.path("out")).expect("a folder");
    let mut command = foldpoint(&folder);
    command.args(["score", "--sequence", WILD_TYPE, "--dms-input", "tabs.tsv.gz", "--dms-output", "out"]);
    command.args(["--scoring-strategy", "masked-marginals", "--score-col", "masked"]).assert().success();
    let text = std::fs::read_to_string(folder.path("out/tabs.tsv")).expect("written");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("mutant\tmore\tmasked"));
    let masked = lines.next().and_then(|line| line.strip_prefix("N1A\tx, y\t")).map(number).expect("a score");
    assert!((masked - scores[0]).abs() > 1e-3);
}

#[test]
fn wrong_rows_are_named_and_the_others_scored() {
    let folder = Folder::new();
    let mutants = ["N1A", "A1N", "N99A", "N1*", "wild type", "N1A:N1C", "", "N1B", "L2D"];
    let rows: Vec<String> = mutants.iter().map(|mutant| format!("{mutant}\r\n")).collect();
    folder.write("scan.csv", format!("variant\r\n{}", rows.concat()));
    let (ok, written, said) = score(&folder, &["--mutation-col", "variant"]);
    assert!(!ok);
    let scored: Vec<bool> = written[1..].iter().map(|row| !row[1].is_empty()).collect();
    // The reader passes over an empty line.
    assert_eq!(scored, [true, false, false, false, false, false, false, true]);
    for (line, what) in [
        (3, "`A1N`: residue 1 of the sequence is N"),
        (4, "`N99A` is outside the sequence, whose residues have the numbers 1 to 20"),
        (5, "`N1*` is a stop"),
        (6, "`wild type` is no mutation; expected"),
        (7, "`N1C`: residue 1 is changed twice"),
        (9, "`N1B` has B, which is none of the 20 amino acids"),
    ] {
        let error = format!("error: scan.csv:{line}: column `variant`: {what}");
        assert!(said.contains(&error), "{error} is not in\n{said}");
    }
    assert!(said.contains("6 of 8 variants failed"), "{said}");
}

#[test]
fn a_wrong_offset_is_noticed() {
    let folder = Folder::new();
    folder.write("scan.csv", "mutant\nN24A\nL25A\nY26A\nI27A\nW29A\n");
    let (ok, written, said) = score(&folder, &[]);
    assert!(!ok && written[1..].iter().all(|row| row[1].is_empty()));
    assert!(said.contains("with --offset-idx 24 all of them would fit"), "{said}");
}

#[test]
fn tables_and_options_that_cannot_be_used_are_refused() {
    let folder = Folder::new();
    folder.write("scan.csv", "a;b\nN1A;2\n");
    let (ok, _, said) = score(&folder, &[]);
    assert!(
        !ok && said.contains("scan.csv:1: no column `mutant` (--mutation-col); the columns are `a`, `b`"),
        "{said}"
    );
    let (_, _, said) = score(&folder, &["--mutation-col", "a", "--score-col", "b"]);
    assert!(said.contains("there is a column `b` already; --score-col gives another name"), "{said}");
    folder.write("scan.csv", b"\xff\xfem\0u\0");
    let (_, _, said) = score(&folder, &[]);
    assert!(said.contains("it is UTF-16; expected UTF-8"), "{said}");
    let (_, _, said) =
        score(&folder, &["--scoring-strategy", "masked-marginals", "--scoring-window", "overlapping"]);
    assert!(said.contains("--scoring-window overlapping is for --scoring-strategy wt-marginals"), "{said}");
    let (_, written, said) = score(&folder, &["--pppl-as-published"]);
    assert!(said.contains("--pppl-as-published is for --scoring-strategy pseudo-ppl"), "{said}");
    assert!(written.is_empty());
}

#[test]
fn nothing_is_scored_of_what_a_reader_would_misread() {
    let folder = Folder::new();
    folder.write("scan.csv", "mutant,x\nN1A,1\nN1C,1,2\nN1D\n");
    let (ok, written, said) = score(&folder, &[]);
    assert!(!ok && said.contains("scan.csv:3: column `mutant`: 3 cells, and the header has 2"), "{said}");
    assert_eq!((&written[1][..2], written[1].len()), (&["N1A".to_owned(), "1".to_owned()][..], 3));
    assert_eq!((&written[2][3][..], &written[3][1][..], written[3].len()), ("", "", 3));
    for (table, what) in [
        ("mutant,x\nN1A,\"oops\nN1C,x\n", "a quotation mark is opened and never closed"),
        ("mutant,mutant\nN1A,N1C\n", "there are several columns `mutant`"),
        ("", "the columns are none"),
    ] {
        folder.write("scan.csv", table);
        let (ok, _, said) = score(&folder, &[]);
        assert!(!ok && said.contains(what), "{said}");
    }
    folder.write("two.fa", ">a\nMK-VLA\n>b\nNLY\n");
    folder.write("scan.csv", "mutant\nN1A\n");
    let scored = |options: &[&str]| {
        let mut command = foldpoint(&folder);
        let done =
            command.args(["score", "--dms-input", "scan.csv"]).args(options).output().expect("it runs");
        (done.status.success(), String::from_utf8(done.stderr).expect("UTF-8"))
    };
    let (ok, said) = scored(&["--wt", "two.fa", "--dms-output", "x.csv"]);
    assert!(!ok && said.contains("expected one wild type for a table of variants, not 2 records"), "{said}");
    for (output, what) in [
        ("-", "expected the name of a file"),
        ("/dev/null", "expected the name of a file"),
        (".", "it would replace the table that it is made of"),
        ("scan.csv", "it would replace the table that it is made of"),
        ("scored.csv.gz", "expected a name without .gz"),
    ] {
        let (ok, said) = scored(&["--sequence", WILD_TYPE, "--dms-output", output]);
        assert!(!ok && said.contains(what), "{output}: {said}");
    }
    assert_eq!(std::fs::read(folder.path("scan.csv")).expect("there"), b"mutant\nN1A\n");
}

#[test]
fn pseudo_perplexities_are_of_whole_sequences() {
    let folder = Folder::new();
    folder.write("scan.csv", "mutant\nN1A\nN1A\nN1N\nP19P:S20S\n");
    let strategy = ["--scoring-strategy", "pseudo-ppl"];
    let (ok, all, said) = score(&folder, &strategy);
    assert!(ok, "{said}");
    let (_, published, _) = score(&folder, &[&strategy[..], &["--pppl-as-published"]].concat());
    let column = |rows: &[Vec<String>]| -> Vec<f64> { rows[1..].iter().map(|row| number(&row[1])).collect() };
    let (all, published) = (column(&all), column(&published));
    assert!(all[0] == all[1] && all[2] == all[3] && all[0] != all[2], "{all:?}");
    assert!(all.iter().zip(&published).all(|(all, published)| all < published && *published < 0.0));
}

#[test]
fn all_substitutions_of_single_residues() {
    let folder = Folder::new();
    folder.write("wt.fa", format!(">a b\n{WILD_TYPE}\n>c\nMXV\n"));
    foldpoint(&folder).args(["score", "--wt", "wt.fa", "--all-single", "-o", "out"]).assert().success();
    let names = [
        "a.variants.csv",
        "a.variants.matrix.csv",
        "a.variants.png",
        "c.variants.csv",
        "c.variants.matrix.csv",
        "c.variants.png",
    ];
    assert_eq!(folder.list("out"), names);
    let long = rows(&folder, "out/a.variants.csv");
    assert_eq!(long.len(), 1 + 19 * WILD_TYPE.len());
    assert_eq!(long[0], ["mutant", "position", "wild_type", "residue", "score"]);
    let matrix = rows(&folder, "out/a.variants.matrix.csv");
    assert_eq!((matrix.len(), matrix[0].len()), (1 + WILD_TYPE.len(), 22));
    for row in &long[1..] {
        let position: usize = row[1].parse().expect("a number");
        let column = matrix[0].iter().position(|name| *name == row[3]).expect("a column");
        assert_eq!(matrix[position][column], row[4]);
        assert_eq!(row[0], format!("{}{position}{}", row[2], row[3]));
    }
    // The table's scores are those of the same mutations in a table.
    folder.write("scan.csv", "mutant\nW6D\n");
    let (_, scored, _) = score(&folder, &[]);
    assert_eq!(long.iter().find(|row| row[0] == "W6D").map(|row| &row[4]), Some(&scored[1][1]));
    // X has no variants.
    let unknown = rows(&folder, "out/c.variants.matrix.csv");
    assert!(unknown[2][2..].iter().all(String::is_empty));
    assert_eq!(rows(&folder, "out/c.variants.csv").len(), 1 + 2 * 19);
}

#[test]
fn long_sequences_are_scored_in_windows() {
    let folder = Folder::new();
    let sequence = "MKTAYIAKQRQISFVKSHFSRQ".repeat(48);
    folder.write("wt.fa", format!(">long\n{sequence}\n"));
    folder.write("scan.csv", "mutant\nM1A\nQ1056A\n");
    let mut scores = Vec::new();
    for options in
        [&[][..], &["--scoring-window", "overlapping"], &["--scoring-strategy", "masked-marginals"]]
    {
        let mut command = foldpoint(&folder);
        command.args(["score", "--wt", "wt.fa", "--dms-input", "scan.csv", "--dms-output", "scored.csv"]);
        command.args(options).assert().success();
        let written = rows(&folder, "scored.csv");
        scores.push([number(&written[1][1]), number(&written[2][1])]);
    }
    assert!(scores[0] != scores[1] && scores[1] != scores[2], "{scores:?}");
}
