//! Files that are no FASTA say what they look like.

use super::*;

fn failure(bytes: impl AsRef<[u8]>) -> String {
    let batch = read(bytes.as_ref(), "t", 1000);
    assert!(
        batch.sequences.is_empty() && batch.rejected.is_empty() && batch.failures.len() == 1,
        "{batch:?}"
    );
    batch.failures[0].to_string()
}

#[test]
fn other_formats_are_named() {
    let tar = [&b"in.fasta"[..], &[0; 249], b"ustar", &[0; 200]].concat();
    let zip = [&b"PK\x03\x04\x14\0\0\0"[..], b"in.fasta>a\nMK"].concat();
    let word = [&b"PK\x03\x04\x14\0\0\0"[..], b"[Content_Types].xml"].concat();
    for (bytes, what) in [
        (&b"BZh91AY&SY"[..], "bzip2"),
        (b"\xfd7zXZ\0\0\x04", "xz"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (&zip, "a zip archive"),
        (&word, "a document of a word processor"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "a document of a word processor"),
        (b"{\\rtf1\\ansi", "a document of a word processor"),
        (b"%PDF-1.7", "a PDF document"),
        (&tar, "a tar archive"),
        (&compressed::gzip(compressed::gzip(">a\nMK\n")), "gzip within gzip"),
        (&compressed::gzip(&tar), "a tar archive"),
        (b"\xff\xfe\0\0>\0\0\0", "UTF-32"),
        (b"FOLDPNT\0\x02\0\0\0", "a model file of Foldpoint"),
        (b"HEADER    HYDROLASE", "a PDB file"),
        (b"ATOM      1  N   MET A   1", "a PDB file"),
        (b"\ndata_1ABC\n#\n", "an mmCIF file"),
        (b"LOCUS       NP_000001  100 aa", "a GenBank file"),
        (b"ID   UBC_HUMAN   Reviewed;", "an entry of UniProt"),
        (b"CLUSTAL O(1.2.4) multiple sequence alignment", "an alignment"),
        (b"# STOCKHOLM 1.0\n", "an alignment"),
        (b"#NEXUS\n", "an alignment"),
        (b"<!doctype html><html>", "a web page"),
        (b"<?xml version=\"1.0\"?>", "an XML document"),
        (b"{\"sequences\": []}", "JSON"),
        (b"@read1\nACGT\n+\nIIII\n", "FASTQ"),
        (b"&gt;a\nMKV\n", "FASTA copied out of HTML"),
        (b"\x01\x02\x03\0\0\0\0", "a binary file"),
    ] {
        let error = failure(bytes);
        assert!(error.starts_with("t: this looks like ") && error.contains(what), "{error}");
        assert!(error.contains("expected FASTA: a line `>identifier`"), "{error}");
    }
}

#[test]
fn text_before_the_first_header() {
    let bare = failure(format!("\n{S1}\n>a\nMK\n"));
    let place = "t: line 2, column 1: expected a header `>identifier` before any sequence, found `M`";
    assert_eq!(bare, format!("{place} (a bare sequence? put a line `>name` before it)"));
    assert!(failure("name,sequence\na,MK\n").ends_with("found `n`"));
    assert!(failure("1 2\n>a\nMK\n").contains("found `1`"));
    assert!(failure("\u{ff1e}a\nMK\n").contains("found `\u{ff1e}` (U+FF1E)"));
}

#[test]
fn files_without_records() {
    for text in ["", "\n\n", " \r\n\t\r", "\u{feff}", "; nothing\n"] {
        assert!(failure(text).starts_with("t: is empty; expected FASTA"), "{text:?}");
    }
}
