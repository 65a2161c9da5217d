//! Line ends, blanks and comments.

use super::*;

#[test]
fn line_ends_of_every_kind() {
    for (text, ids) in [
        (format!(">a\r{S1}\r>b\r{S1}\r"), &["a", "b"][..]),
        (format!(">a x\r\n{S1}\r\n>b\r\n{S1}"), &["a", "b"]),
        (format!(">a\n{S1}\n>b\r\n{S1}\r\n>c\r{S1}\r>d\n{S1}\n"), &["a", "b", "c", "d"]),
        (format!("\r\n \t\n\r>a\r\r\n{S1}\n\r>b\r\n\n{S1}"), &["a", "b"]),
    ] {
        let batch = parse(&text);
        assert_eq!(records(&batch), ids.iter().map(|&id| (id, S1)).collect::<Vec<_>>(), "{text:?}");
        assert!(batch.rejected.is_empty());
    }
}

#[test]
fn bare_cr_among_others_is_a_warning() {
    let batch = parse(">a\nMK\n>b\rMK\r");
    assert_eq!(
        messages(&batch.warnings),
        [
            "t.fasta: lines end in several ways, some with a bare CR; each of LF, CRLF and CR is read as a line end"
        ]
    );
    assert!(parse(">a\nMK\r\n>b\nMK").warnings.is_empty());
    assert!(parse(">a\rMK\r>b\rMK").warnings.is_empty());
}

#[test]
fn the_records_of_a_mixed_file_keep_their_residues() {
    let batch = parse(format!(">a\n{S1}\n>b\r\n{S2}\r\n>c\r{S1}\r>d\n{S2}\n"));
    assert_eq!(records(&batch), [("a", S1), ("b", S2), ("c", S1), ("d", S2)]);
}

#[test]
fn blanks_anywhere() {
    let batch =
        parse("  \n> tyk2 kinase\nMK V\tL \n\t>\u{a0}\u{3000}p53\u{a0}x\n\u{a0}MK\u{200b}V\u{b}\u{c}L\n");
    assert_eq!(records(&batch), [("tyk2", "MKVL"), ("p53", "MKVL")]);
    let headers: Vec<&str> = batch.sequences.iter().map(|s| s.header.as_str()).collect();
    assert_eq!(headers, ["tyk2 kinase", "p53\u{a0}x"]);
}

#[test]
fn lines_with_semicolons_are_comments() {
    let batch = parse("; first\n;second\n>a\n;in the middle\nMK\n ; again\nVL\n;last\n>b\nGP\n;end");
    assert_eq!(records(&batch), [("a", "MKVL"), ("b", "GP")]);
    assert!(only_error(">a\nMK ; no comment\n").contains("line 2, column 4: record 1 (`a`): found `;`"));
    let only = read(&b";a\n;b\n"[..], "t", 10);
    assert!(matches!(only.failures[..], [FastaError::Empty { .. }]));
}

#[test]
fn headers_with_semicolons() {
    let batch = parse(";LCBO prolactin\n;a comment\nMKV\nL*\n;next\n;more\nGP*\n>last\nAC\n;comment\nAC\n");
    assert_eq!(records(&batch), [("LCBO", "MKVL"), ("next", "GP"), ("last", "ACAC")]);
    assert_eq!(batch.sequences[0].place.line, 1);
    // A record that is wrong ends at its stop, too.
    let batch = parse(";a\nMK1V\nL*\n;b\nGSHME*\n;c\nKLL*\n");
    assert_eq!(records(&batch), [("b", "GSHME"), ("c", "KLL")]);
    assert_eq!(batch.rejected.len(), 1);
    // Without a stop, the second one may be a comment or a header.
    let error = only_error(";a\nMKV\n;b\nGP\n");
    assert!(error.contains("line 3, column 1: record 1 (`a`): found a line that begins with `;`"), "{error}");
}
