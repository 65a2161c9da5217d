//! Sequences as people hand them in: no record is lost over its name or its file's layout, and each has its
//! own residues.

use crate::common::{Folder, foldpoint};
use flate2::{Compression, write::GzEncoder};
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Write;

const S1: &str = "MKVLAAGIVGLCAKAYRERWPDE";
const S2: &str = "GSHMEELLKKAIELAKRGVDP";

/// Runs `contacts` on files; returns each map's name and length, and what was said.
fn maps(folder: &Folder, arguments: &[&str], code: i32) -> (Vec<(String, usize)>, String) {
    let run = foldpoint(folder).arg("contacts").args(arguments).args(["-o", "out"]).assert().code(code);
    let maps = folder.list("out").into_iter().map(|name| {
        let bytes = std::fs::read(folder.path(&format!("out/{name}"))).expect("the file is there");
        let shape = npyz::NpyFile::new(&bytes[..]).expect("an npy file").shape().to_vec();
        (name.strip_suffix(".contacts.npy").expect("a contact map").to_owned(), shape[0] as usize)
    });
    (maps.collect(), String::from_utf8(run.get_output().stderr.clone()).expect("text"))
}

/// As [`maps`], for one file whose records can all be run.
fn maps_of(name: &str, bytes: impl AsRef<[u8]>) -> (Vec<(String, usize)>, String) {
    let folder = Folder::new();
    folder.write(name, bytes);
    maps(&folder, &[name], 0)
}

fn expect(found: &(Vec<(String, usize)>, String), expected: &[(&str, usize)]) {
    let found: Vec<(&str, usize)> = found.0.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    assert_eq!(found, expected);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn designs_whose_first_word_is_the_same() {
    let mut text = format!(">5abc, score=1.61, designed_chains=['A'], seed=37\n{S1}\n");
    for n in 1..4 {
        text += &format!(">T=0.1, sample={n}, score=0.8{n}, seq_recovery=0.4\n{S1}E{}\n", "K".repeat(n));
    }
    let n = S1.len();
    let designs = [("T_0.1_sample_1", n + 2), ("T_0.1_sample_2", n + 3), ("T_0.1_sample_3", n + 4)];
    expect(&maps_of("in.fa", text), &[&[("5abc", n)][..], &designs].concat());
    let last = [1, 20, 300].map(|n| format!(">ESMFOLD V0 PREDICTION FOR MGYP{n}\n{S2}\n")).concat();
    let names = [1, 20, 300].map(|n| format!("ESMFOLD_V0_PREDICTION_FOR_MGYP{n}"));
    expect(&maps_of("in.fa", last), &names.each_ref().map(|name| (name.as_str(), S2.len())));
}

#[test]
fn blanks_before_the_identifier() {
    let text = format!("> tyk2 kinase\n{S1}\n>\tp53\n{S2}\n");
    expect(&maps_of("in.fa", text), &[("p53", S2.len()), ("tyk2", S1.len())]);
}

#[test]
fn byte_order_marks_and_utf16() {
    expect(&maps_of("in.fa", format!("\u{feff}>a\n{S1}\n")), &[("a", S1.len())]);
    let text = format!("\u{feff}>a\r\n{S1}\r\n");
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    expect(&maps_of("in.fa", bytes), &[("a", S1.len())]);
}

#[test]
fn line_ends_of_every_kind() {
    expect(&maps_of("in.fa", format!(">a\r{S1}\r>b\r{S2}\r")), &[("a", S1.len()), ("b", S2.len())]);
    let mixed = maps_of("in.fa", format!(">a\n{S1}\n>b\r\n{S2}\r\n>c\r{S1}\r>d\n{S2}\n"));
    expect(&mixed, &[("a", S1.len()), ("b", S2.len()), ("c", S1.len()), ("d", S2.len())]);
    assert!(mixed.1.contains("warning: in.fa: lines end in several ways"), "{}", mixed.1);
}

#[test]
fn gzip_with_something_behind_it() {
    for rubbish in [&[0; 512][..], b"\n", b"rubbish"] {
        let bytes = [&gzip(&format!(">a\n{S1}\n>b\n{S2}\n")), rubbish].concat();
        let found = maps_of("in.fa.gz", bytes);
        expect(&found, &[("a", S1.len()), ("b", S2.len())]);
        assert!(
            found.1.contains("warning: in.fa.gz: behind the end of the compressed data, "),
            "{}",
            found.1
        );
    }
}

#[test]
fn a_gzip_file_that_breaks_off() {
    let folder = Folder::new();
    let bytes = gzip(&format!(">a\n{S1}\n>b\n{S2}\n"));
    folder.write("in.fa.gz", &bytes[..bytes.len() - 4]);
    let found = maps(&folder, &["in.fa.gz"], 1);
    expect(&found, &[("a", S1.len())]);
    assert!(found.1.contains("error: in.fa.gz: breaks off: "), "{}", found.1);
    assert!(found.1.contains("line 3: record 2 (`b`): the file breaks off in this record"), "{}", found.1);
}

#[test]
fn names_that_some_system_cannot_hold() {
    let text = ["3unb_T", "3unb_t", "aux", "CON", "nul.1", "com1", "-rf", "\u{86cb}\u{767d}"];
    let text = text.map(|id| format!(">{id}\n{S2}\n")).concat();
    let names = ["3unb_T", "3unb_t_2", "_CON", "_aux", "_com1", "_nul.1", "_rf", "\u{86cb}\u{767d}"];
    expect(&maps_of("in.fa", text), &names.map(|name| (name, S2.len())));
}

#[test]
fn equal_and_missing_identifiers() {
    let text = format!(">a\n{S1}\n>a\n{S2}\n>\n{S2}\n");
    expect(&maps_of("in.fa", text), &[("a", S1.len()), ("a_2", S2.len()), ("in_3", S2.len())]);
}

#[test]
fn folders_several_files_and_the_standard_input() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("designs")).expect("a folder");
    folder.write("designs/one.fasta", format!(">a\n{S1}\n"));
    folder.write("designs/two.FA.gz", gzip(&format!(">a\n{S2}\n")));
    folder.write("designs/notes.txt", "no FASTA");
    folder.write("more.fa", format!(">b\n{S1}\n"));
    let all = ["designs", "missing.fa", "more.fa", "-"];
    let run = foldpoint(&folder)
        .arg("contacts")
        .args(all)
        .args(["-o", "out"])
        .write_stdin(format!(">c\n{S2}\n"))
        .assert()
        .code(1);
    run.stderr(
        contains("error: missing.fa: cannot be read: ")
            .and(contains("1 file was not read, or not to the end"))
            .and(contains("sequences failed").not()),
    );
    let names = ["a.contacts.npy", "a_2.contacts.npy", "b.contacts.npy", "c.contacts.npy"];
    assert_eq!(folder.list("out"), names);
}

#[test]
fn chains_separated_by_slashes() {
    let folder = Folder::new();
    folder.write("in.fa", ">T=0.1, sample=1\nMKVL/GSH\n>b\nMKVL/\n");
    let run = foldpoint(&folder).args(["predict", "in.fa", "-o", "out", "--recycles", "0"]).assert().code(1);
    run.stderr(contains(
        "in.fa: line 4, column 5: record 2 (`b`): chain 2 is empty; expected at least one residue before and after each `:` or `/`",
    ));
    let pdb = std::fs::read_to_string(folder.path("out/T_0.1.pdb")).expect("a structure");
    let chains: String =
        pdb.lines().filter(|l| l.starts_with("ATOM") && &l[12..16] == " CA ").map(|l| &l[21..22]).collect();
    assert_eq!(chains, "AAAABBB");
}
