//! What the language model says about several chains: as of the one sequence that ESMFold makes of them,
//! without the linkers.

use std::ops::Range;

use crate::common::{Folder, foldpoint, npy};
use crate::model_file::language_model;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

const CHAINS: [&str; 3] = ["MKVLAAGIVGLCAKAY", "RERWPDE", "GSHMEELLKKAIELAK"];

/// The chains as a complex, and as someone would join them by hand.
fn sequences(folder: &Folder) {
    let (complex, joined) = (CHAINS.join(":"), CHAINS.join(&"G".repeat(25)));
    folder.write("in.fasta", format!(">complex\n{complex}\n>joined\n{joined}\n"));
}

/// Places of the chains' residues in the joined sequence.
fn kept() -> Vec<usize> {
    let mut start = 0;
    let chain = |chain: &str| -> Range<usize> {
        let range = start..start + chain.len();
        start = range.end + 25;
        range
    };
    CHAINS.map(chain).into_iter().flatten().collect()
}

fn run(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = foldpoint(folder);
    command.args([&arguments[..1], &["in.fasta", "-o", "out"], &arguments[1..]].concat());
    command
}

/// The rows of the joined array that the complex has.
fn rows(folder: &Folder, kind: &str) {
    let (shape, joined) = npy(folder, &format!("out/joined.{kind}.npy"));
    let width = shape[1] as usize;
    assert_eq!(shape[0], 16 + 25 + 7 + 25 + 16);
    let expected: Vec<f32> =
        kept().into_iter().flat_map(|i| &joined[i * width..][..width]).copied().collect();
    assert_eq!(npy(folder, &format!("out/complex.{kind}.npy")), (vec![39, width as u64], expected), "{kind}");
}

#[test]
fn logits() {
    let folder = Folder::new();
    sequences(&folder);
    run(&folder, &["logits", "--all-tokens"]).assert().success();
    rows(&folder, "logits");
}

#[test]
fn embeddings_and_their_vectors() {
    let folder = Folder::new();
    sequences(&folder);
    run(&folder, &["embed", "--mean", "--cls", "--layers", "0,5,-1"]).assert().success();
    for layer in [0, 5, 10] {
        rows(&folder, &format!("layer{layer}"));
        let cls = |name: &str| npy(&folder, &format!("out/{name}.layer{layer}.cls.npy"));
        assert_eq!(cls("complex"), cls("joined"));
        let (shape, values) = npy(&folder, &format!("out/complex.layer{layer}.npy"));
        let width = shape[1] as usize;
        let mean = npy(&folder, &format!("out/complex.layer{layer}.mean.npy")).1;
        for (channel, &mean) in mean.iter().enumerate() {
            let of_residues = values.iter().skip(channel).step_by(width).sum::<f32>() / 39.0;
            assert!((of_residues - mean).abs() < 1e-3, "a linker is in the mean: {of_residues} {mean}");
        }
    }
}

/// The map of the complex is that of the joined sequence without the linkers' rows and columns.
fn check_maps(folder: &Folder) -> Vec<f32> {
    let (shape, joined) = npy(folder, "out/joined.contacts.npy");
    assert_eq!(shape, [89, 89]);
    let row = |i: usize| kept().into_iter().map(move |j| i * 89 + j);
    let expected: Vec<f32> = kept().into_iter().flat_map(row).map(|at| joined[at]).collect();
    let (shape, map) = npy(folder, "out/complex.contacts.npy");
    assert_eq!((shape, &map), (vec![39, 39], &expected));
    map
}

#[test]
fn contacts() {
    let folder = Folder::new();
    sequences(&folder);
    let all = ["contacts", "--tsv", "--png", "--threshold=-1", "--min-separation", "20"];
    run(&folder, &all).assert().success();
    let map = check_maps(&folder);
    let table = std::fs::read_to_string(folder.path("out/complex.contacts.tsv")).expect("text");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("i\tj\tprobability\tchain_i\tresidue_i\tchain_j\tresidue_j"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    // No pair of one chain is 20 apart; those of two chains are all there.
    assert_eq!(rows.len(), 16 * 7 + 16 * 16 + 7 * 16);
    let number = |text: &str| text.parse::<usize>().expect("a number");
    for row in &rows {
        let (i, j) = (number(row[0]), number(row[1]));
        assert_eq!(row[2], format!("{:.4}", map[(i - 1) * 39 + j - 1]));
        let place = |at: usize| match at {
            1..=16 => ("A", at),
            17..=23 => ("B", at - 16),
            _ => ("C", at - 23),
        };
        assert_eq!([(row[3], number(row[4])), (row[5], number(row[6]))], [place(i), place(j)]);
        assert!(row[3] < row[5]);
    }
    let single = std::fs::read_to_string(folder.path("out/joined.contacts.tsv")).expect("text");
    assert_eq!(single.lines().next(), Some("i\tj\tprobability"));
    assert!(folder.list("out").contains(&"complex.contacts.png".to_owned()));
}

/// `predict` and `digest` with a model that does not fold: the bare-metal example's without its folding part.
#[test]
fn a_model_of_contacts_alone() {
    let folder = Folder::new();
    sequences(&folder);
    folder.write("lm.fpm", language_model());
    run(&folder, &["predict", "--model", "lm.fpm"])
        .assert()
        .success()
        .stdout(contains("complex         39 "));
    check_maps(&folder);
    let model = ["digest", "in.fasta", "--each", "--model", "lm.fpm"];
    foldpoint(&folder)
        .args(model)
        .assert()
        .success()
        .stdout(contains("complex").and(contains("2 sequences")));
}

#[test]
fn linkers_count_for_memory_and_for_what_the_model_is_configured_for() {
    let folder = Folder::new();
    let chains = vec!["MKVLAAGI"; 40].join(":");
    folder.write("in.fasta", format!(">many\n{chains}\n"));
    run(&folder, &["embed", "--memory-limit", "100K"]).assert().code(1).stderr(contains(format!(
        "record 1 (`many`): not enough memory: {} residues need",
        40 * 8 + 39 * 25
    )));
    run(&folder, &["embed"])
        .assert()
        .success()
        .stderr(contains("1295 residues, and the model's configuration is for up to 1024"));
}
