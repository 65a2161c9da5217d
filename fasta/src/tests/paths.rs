//! Files and folders of a run.

use super::*;
use std::fs::{create_dir, write};

#[test]
fn folders_several_files_and_unreadable_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    create_dir(path("designs")).expect("a folder");
    create_dir(path("designs/inner.fa")).expect("a folder");
    create_dir(path("empty")).expect("a folder");
    for (name, text) in [
        ("designs/b.FASTA", ">x\nMKB\n>y\nMK\n"),
        ("designs/a.faa", ">x\nMKA\n"),
        ("designs/._a.faa", "\0\x05\x16\x07"),
        ("designs/readme.txt", "no FASTA"),
        ("designs/inner.fa/z.fa", ">z\nMK\n"),
        ("empty/dna.fna", ">z\nACGT\n"),
        ("bad.fa", "MKV\n"),
        // Plain, whatever the name says; and the other way round.
        ("more.fa.gz", ">x\nMKM\n>X\nMKX\n>q\nM1\n"),
    ] {
        write(path(name), text).expect("written");
    }
    write(path("designs/c.fas"), compressed::gzip(">c\nMKC\n")).expect("written");
    write(path("designs/d.fa.xz"), b"\xfd7zXZ\0").expect("written");
    let names = ["bad.fa", "designs", "empty", "missing.fa", "more.fa.gz", "designs/a.faa", "bad.fa"];
    let batch = read_paths(&names.map(path), 1000);
    let found: Vec<_> = batch.sequences.iter().map(|s| (s.stem.as_str(), s.residues.as_slice())).collect();
    let expected: [(&str, &[u8]); 6] =
        [("x", b"MKA"), ("x_2", b"MKX"), ("y", b"MK"), ("c", b"MKC"), ("x_3", b"MKM"), ("X_4", b"MKX")];
    assert_eq!(
        found,
        expected.map(|(stem, residues)| (stem, if stem == "x_2" { &b"MKX"[..] } else { residues }))
    );
    let failures = messages(&batch.failures).join("\n");
    for message in [
        "bad.fa: line 1, column 1: expected a header",
        "d.fa.xz: this looks like a file compressed by xz",
        "empty: this folder holds no FASTA; expected files *.fa, *.fas, *.fasta or *.faa",
        "missing.fa: cannot be read: ",
    ] {
        assert!(failures.contains(message), "{failures}");
    }
    assert_eq!(batch.failures.len(), 4);
    let twice: Vec<_> = batch.warnings.iter().filter(|w| matches!(w, Warning::GivenTwice { .. })).collect();
    assert!(
        twice.len() == 2
            && twice[0].to_string().ends_with("a.faa: was given more than once; it is read once")
    );
    assert_eq!(batch.rejected.len(), 1);
    assert_eq!((batch.rejected[0].stem.as_str(), batch.rejected[0].index), ("q", 6));
}
