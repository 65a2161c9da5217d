use super::*;

fn parse(text: impl AsRef<[u8]>) -> Batch {
    let batch = read(text.as_ref(), "t.fasta", 1000);
    assert!(batch.failures.is_empty(), "{:?}", batch.failures);
    batch
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
    assert!(
        error.contains("line 2, column 3: record 1 (`bad`): found `\u{e9}` (U+00E9); expected"),
        "{error}"
    );
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
    let batch = parse(">one\nMKV*\n>two\nMKV*:\nGP\n>four\nM:K / V/\nA\n");
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
        (">a\nMK:V/\n\n", "line 2, column 5: record 1 (`a`): chain 3 is empty"),
        (">a\n/MK\n", "line 2, column 1: record 1 (`a`): chain 1 is empty"),
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
    let batch = read(&b">a\nMKVL\n>b\nMKV\n"[..], "t", 3);
    assert_eq!(batch.sequences.len(), 1);
    assert!(batch.rejected[0].to_string().contains("has 4 residues; expected at most 3"));
}
