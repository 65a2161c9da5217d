//! Gzip as it is found.

use super::*;
use flate2::{Compression, GzBuilder};
use std::io::Write;

pub(super) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    member(GzBuilder::new(), bytes)
}

fn member(builder: GzBuilder, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A block of bgzip.
fn block(bytes: &str) -> Vec<u8> {
    member(GzBuilder::new().extra(b"BC\x02\0\0\0".to_vec()), bytes)
}

#[test]
fn one_member_or_several() {
    let (first, second) = (format!(">a\n{S1}\n>b\n{}", &S2[..9]), format!("{}\n>c\n{S1}\n", &S2[9..]));
    let whole = gzip(format!("{first}{second}"));
    let members = [gzip(&first), gzip(""), gzip(&second)];
    let apart = [&members[0][..], b"\0\0\n", &members[1], b"\n", &members[2]].concat();
    for bytes in [whole, members.concat(), apart] {
        let batch = parse(&bytes);
        assert_eq!(records(&batch), [("a", S1), ("b", S2), ("c", S1)]);
        assert!(batch.warnings.is_empty() && batch.rejected.is_empty());
    }
}

#[test]
fn what_is_behind_the_last_member_is_a_warning() {
    let good = gzip(format!(">a\n{S1}\n>b\n{S2}\n"));
    for (rubbish, message) in [
        (vec![0; 512], "512 bytes are ignored"),
        (b"\n".to_vec(), "1 byte is ignored"),
        (b"some rubbish".to_vec(), "12 bytes are ignored"),
        (b"\n\0 \x1f".to_vec(), "4 bytes are ignored"),
        (b"x".repeat(100_000), "100000 bytes are ignored"),
    ] {
        let batch = parse([good.clone(), rubbish].concat());
        assert_eq!(records(&batch), [("a", S1), ("b", S2)]);
        assert_eq!(
            messages(&batch.warnings),
            [format!("t.fasta: behind the end of the compressed data, {message}")]
        );
    }
    // Then there would be more records.
    for rubbish in [1, 2, 3, 65_533, 65_534, 65_535, 65_536, 200_000] {
        let bytes = [good.clone(), b"x".repeat(rubbish), good.clone()].concat();
        let batch = read(&bytes[..], "t.gz", 1000);
        assert!(batch.sequences.is_empty(), "{rubbish}");
        let error = batch.failures[0].to_string();
        assert!(
            error.starts_with("t.gz: is damaged: after a compressed part comes something else"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_breaks_off_keeps_its_complete_records() {
    let text: String = (0..2000).map(|i| format!(">r{i}\n{}{}\n", &S1[i % 40..], &S2[i % 7..])).collect();
    let whole = parse(&text);
    let bytes = gzip(&text);
    // The last one is cut within the checksum.
    for length in [12, 100, bytes.len() / 2, bytes.len() - 6] {
        let batch = read(&bytes[..length], "t.gz", 1000);
        let (complete, cut) = (batch.sequences.len(), batch.rejected.len());
        assert_eq!(batch.failures.len(), 1);
        let error = batch.failures[0].to_string();
        if cut == 0 {
            assert!(complete == 0 && error.starts_with("t.gz: cannot be read"), "{error}");
            continue;
        }
        assert_eq!(
            batch.sequences.iter().map(|s| &s.residues).collect::<Vec<_>>(),
            whole.sequences[..complete].iter().map(|s| &s.residues).collect::<Vec<_>>()
        );
        assert!(error.starts_with("t.gz: breaks off: "), "{error}");
        assert!(error.contains(&format!("complete records before that: {complete};")), "{error}");
        assert_eq!(
            (cut, &batch.rejected[0].problem, &batch.rejected[0].place.id),
            (1, &RecordProblem::Cut, &format!("r{complete}"))
        );
    }
    assert!(read(&bytes[..bytes.len() - 6], "t.gz", 1000).sequences.len() == 1999);
}

#[test]
fn damaged_data_is_not_used() {
    let mut bytes = gzip(format!(">a\n{S1}\n>b\n{S2}\n"));
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let batch = read(&bytes[..], "t.gz", 1000);
    assert!(batch.sequences.is_empty() && batch.rejected.is_empty());
    let error = batch.failures[0].to_string();
    assert!(
        error.starts_with("t.gz: is damaged: ") && error.contains("none of its records is used"),
        "{error}"
    );
}

#[test]
fn bgzip_ends_with_an_empty_block() {
    let blocks = [block(&format!(">a\n{S1}\n>b\n{}", &S2[..5])), block(&S2[5..]), block("")];
    let batch = parse(blocks.concat());
    assert_eq!(records(&batch), [("a", S1), ("b", S2)]);
    assert!(batch.warnings.is_empty());
    // Without it, the file may have been cut between two blocks.
    let cut = read(&blocks[..1].concat()[..], "t.gz", 1000);
    assert_eq!(records(&cut), [("a", S1)]);
    assert_eq!(cut.rejected[0].problem, RecordProblem::Cut);
    assert!(cut.failures[0].to_string().contains("the block that ends a file of bgzip is missing"));
}

#[test]
fn text_in_gzip_may_be_utf16() {
    let text: Vec<u8> = format!("\u{feff}>a\n{S1}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(records(&parse(gzip(text))), [("a", S1)]);
    assert!(matches!(read(&gzip("")[..], "t", 10).failures[..], [FastaError::Empty { .. }]));
}
