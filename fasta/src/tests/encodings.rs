//! Text that isn't plain UTF-8.

use super::*;

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

#[test]
fn byte_order_marks_of_utf8() {
    let batch = parse(format!("\u{feff}>a\n{S1}\n\u{feff}>b\n{S2}\n"));
    assert_eq!(records(&batch), [("a", S1), ("b", S2)]);
}

#[test]
fn utf16_with_and_without_a_mark() {
    let text = format!(">\u{3b1}1 \u{1f9ec}\r\n{S1}\r\n>b\r\n{S2}");
    for (little, mark) in [(true, true), (false, true), (true, false), (false, false)] {
        // Without a mark it is obvious from letters that are ASCII only.
        let text = if mark { text.clone() } else { text.replace('\u{3b1}', "a").replace(' ', "\n") };
        let text = text.replace("\n\u{1f9ec}", "");
        let batch = parse(utf16(&text, little, mark));
        let first = if mark { "\u{3b1}1" } else { "a1" };
        assert_eq!(records(&batch), [(first, S1), ("b", S2)]);
        assert_eq!(batch.sequences[1].place.line, 3);
        assert!(batch.warnings.is_empty());
    }
    let cut = parse(&utf16(">a\nMK\n>b\nMKV", true, true)[..25]);
    assert_eq!(records(&cut), [("a", "MK")]);
    assert!(
        cut.rejected[0].to_string().contains("line 4, column 3: record 2 (`b`): found `\u{fffd}` (U+FFFD)"),
        "{cut:?}"
    );
}

#[test]
fn headers_that_are_not_utf8() {
    let batch = parse(b">prot\xe9ine 1\nMK\n>prot\xe8ine 2\nMK\n>\xe2\x82\xac\nMK\n");
    let headers: Vec<&str> = batch.sequences.iter().map(|s| s.header.as_str()).collect();
    assert_eq!(headers, ["prot\u{e9}ine 1", "prot\u{e8}ine 2", "\u{20ac}"]);
    assert_eq!(
        messages(&batch.warnings),
        [
            "t.fasta: line 1: record 1 (`prot\u{e9}ine`): the header is not UTF-8; it, and others of this file that are not, \
          are read as Windows-1252"
        ]
    );
    let error = parse(b">a\nMK\xe9\n").rejected[0].to_string();
    assert!(error.contains("line 2, column 3: record 1 (`a`): found the byte 0xe9"), "{error}");
}
