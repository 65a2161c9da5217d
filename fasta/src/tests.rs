use super::*;
use proptest::prelude::*;

fn parse(text: impl AsRef<[u8]>) -> Batch {
    read(text.as_ref(), "t.fasta", 1000).expect("a FASTA file")
}

fn only_error(text: &str) -> String {
    let batch = parse(text);
    assert_eq!(batch.rejected.len(), 1, "{batch:?}");
    batch.rejected[0].to_string()
}

#[test]
fn plain_records() {
    let batch = parse("\n>a first\nMKV\nLL\n\n>b\nmkv*\n");
    let found: Vec<_> =
        batch.sequences.iter().map(|s| (s.id.as_str(), s.residues.as_slice(), s.place.line)).collect();
    assert_eq!(found, [("a", &b"MKVLL"[..], 2), ("b", &b"MKV"[..], 6)]);
    assert!(batch.rejected.is_empty() && batch.warnings.is_empty());
}

#[test]
fn windows_lines_and_no_final_newline() {
    let batch = parse(">a x\r\nMK\r\nVL\r\n>b\r\nAC*");
    assert_eq!(batch.sequences[0].residues, b"MKVL");
    assert_eq!(batch.sequences[1].residues, b"AC");
}

#[test]
fn gzip_is_recognised() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b">a\nMKV\n").expect("in memory");
    let bytes = encoder.finish().expect("in memory");
    assert_eq!(parse(&bytes).sequences[0].residues, b"MKV");
    let cut = read(&bytes[..bytes.len() - 6], "t.fasta.gz", 10).expect_err("a truncated file");
    assert!(cut.to_string().starts_with("t.fasta.gz: cannot be read"), "{cut}");
}

#[test]
fn rare_letters_become_x_with_one_warning() {
    let batch = parse(">a\nMBZ\nUOJbX\n");
    assert_eq!(batch.sequences[0].residues, b"MXXXXXXX");
    assert_eq!(batch.warnings.len(), 1);
    assert_eq!(
        batch.warnings[0].to_string(),
        "t.fasta: line 1: record 1 (`a`): 6 residues (BZUOJ) are read as X"
    );
}

#[test]
fn bad_characters_are_placed() {
    let error = only_error(">ok\nMK\n>bad id\nMKV\n\nM1K\n>also\nMK\n");
    assert!(error.starts_with("t.fasta: line 6, column 2: record 2 (`bad`): found `1`; expected"), "{error}");
    let error = only_error(">bad\nMK\u{e9}\n");
    assert!(error.contains("line 2, column 3") && error.contains("0xc3"), "{error}");
    let error = only_error(">bad\nMK-V\n");
    assert!(error.contains("line 2, column 3: record 1 (`bad`): found the gap `-`; expected"), "{error}");
}

#[test]
fn stop_inside() {
    let error = only_error(">bad\nMK*\nVL\n");
    assert!(error.contains("line 2, column 3: record 1 (`bad`): found `*` (stop) inside"), "{error}");
}

#[test]
fn several_chains() {
    let batch = parse(">one\nMKV*\n>two\nMKV*:\nGP\n>four\nM:K : V:\nA\n");
    let chains = |i: usize| -> Vec<&[u8]> { batch.sequences[i].chains().collect() };
    assert_eq!(chains(0), [&b"MKV"[..]]);
    assert_eq!(chains(1), [&b"MKV"[..], b"GP"]);
    assert_eq!(chains(2), [&b"M"[..], b"K", b"V", b"A"]);
    assert_eq!(batch.sequences[1].residues, b"MKVGP");
    let single = parse(">two\nM:K\n>bad\nM1\n>one\nM\n").single_chains();
    assert_eq!(single.sequences.len(), 1);
    let messages: Vec<String> = single.rejected.iter().map(ToString::to_string).collect();
    assert!(messages[0].contains("line 1: record 1 (`two`): the sequence has 2 chains"), "{messages:?}");
    assert!(messages[1].contains("record 2 (`bad`)"), "{messages:?}");
}

#[test]
fn empty_chains_are_placed() {
    for (text, place) in [
        (">a\n:MK\n", "line 2, column 1: record 1 (`a`): chain 1 is empty; expected at least one residue"),
        (">a\nMK:\nV::A\n", "line 3, column 3: record 1 (`a`): chain 3 is empty"),
        (">a\nMK:V:\n\n", "line 2, column 5: record 1 (`a`): chain 3 is empty"),
        (">a\n*:MK\n", "line 2, column 2: record 1 (`a`): chain 1 is empty"),
        (">a\nM*K:V\n", "line 2, column 2: record 1 (`a`): found `*` (stop) inside"),
    ] {
        let error = only_error(text);
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn empty_and_long_sequences() {
    let error = only_error(">a\n>b\nMK\n");
    assert!(error.contains("line 1: record 1 (`a`): the sequence is empty"), "{error}");
    assert!(only_error(">a\n*\n").contains("the sequence is empty"));
    let batch = read(&b">a\nMKVL\n>b\nMKV\n"[..], "t", 3).expect("FASTA");
    assert_eq!(batch.sequences.len(), 1);
    assert!(batch.rejected[0].to_string().contains("has 4 residues; expected at most 3"));
}

#[test]
fn identifiers_must_exist_and_differ() {
    assert!(only_error(">\nMK\n").contains("line 1: record 1: the header has no identifier"));
    let error = only_error(">a\nMK\n>b\nMK\n>a other\nMV\n");
    assert!(error.contains("line 5: record 3 (`a`): the identifier is already used at line 1"), "{error}");
    let error = only_error(">a|b\nMK\n>a/b\nMK\n");
    assert!(
        error.contains("line 3: record 2 (`a/b`): its output would be named `a_b`, as that of `a|b`"),
        "{error}"
    );
    // A record that is wrong still owns its identifier, but not a file name.
    assert_eq!(parse(">a|b\nM-K\n>a/b\nMK\n>a|b\nMK\n").rejected.len(), 2);
}

#[test]
fn whole_files() {
    let error = read(&b""[..], "t", 10).expect_err("an empty file").to_string();
    assert!(error.starts_with("t: is empty; expected FASTA"), "{error}");
    assert!(matches!(read(&b"\n \r\n\n"[..], "t", 10), Err(FastaError::NoHeader { line: 2, .. })));
    assert!(matches!(read(&b"\n\r\n\n"[..], "t", 10), Err(FastaError::Empty { .. })));
    let error = read(&b"\nMKV\n>a\nMK\n"[..], "t", 10).expect_err("no header").to_string();
    assert!(error.starts_with("t: line 2, column 1: expected a header"), "{error}");
    let error = read_path(Path::new("no/such.fasta"), 10).expect_err("no file").to_string();
    assert!(error.starts_with("no/such.fasta: cannot be read"), "{error}");
    assert!(matches!(read_path(Path::new("."), 10), Err(FastaError::Unreadable { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes[..], "t", 50);
    }

    #[test]
    fn any_fasta_like_text_gives_clean_sequences(text in "(>?[ -~]{0,8}[\r\n\t>*.:-]{0,2}){0,30}") {
        if let Ok(batch) = read(text.as_bytes(), "t", 50) {
            prop_assert!(!(batch.sequences.is_empty() && batch.rejected.is_empty()));
            let mut stems = std::collections::HashSet::new();
            for s in &batch.sequences {
                prop_assert!(!s.residues.is_empty() && s.residues.len() <= 50);
                prop_assert!(s.residues.iter().all(|r| b"ACDEFGHIKLMNPQRSTVWYX".contains(r)));
                prop_assert!(stems.insert(s.stem.clone()));
                prop_assert!(s.chains().all(|chain| !chain.is_empty()));
                prop_assert_eq!(s.chain_lengths.iter().sum::<usize>(), s.residues.len());
            }
            let lines = text.lines().count() as u64;
            for e in &batch.rejected {
                prop_assert!(e.place.line >= 1 && e.place.line <= lines.max(1), "{}", e);
            }
        }
    }

    #[test]
    fn residues_survive_any_wrapping(residues in "[ACDEFGHIKLMNPQRSTVWYX]{1,200}", width in 1usize..60) {
        let wrapped: Vec<&str> = residues.as_bytes().chunks(width).map(|c| std::str::from_utf8(c).expect("ASCII")).collect();
        let batch = parse(format!(">a\n{}\n", wrapped.join("\n")));
        prop_assert_eq!(&batch.sequences[0].residues, residues.as_bytes());
    }
}
