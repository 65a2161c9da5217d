//! What a file is that is no FASTA.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use crate::text::skip_blanks;

/// How files begin that are no text.
const BINARY: [(&[u8], &str); 20] = [
    (b"BZh", "a file compressed by bzip2 (decompress it first: bunzip2)"),
    (b"\xfd7zXZ\0", "a file compressed by xz (decompress it first: unxz)"),
    (b"\x28\xb5\x2f\xfd", "a file compressed by zstd (decompress it first: unzstd)"),
    (b"\x04\x22\x4d\x18", "a file compressed by lz4 (decompress it first: unlz4)"),
    (b"\x1f\x9d", "a file compressed by compress (decompress it first: uncompress)"),
    (b"LZIP", "a file compressed by lzip (decompress it first: lzip -d)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it first)"),
    (b"Rar!\x1a", "a RAR archive (unpack it first)"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "a document of a word processor or spreadsheet (save it as plain text)",
    ),
    (b"{\\rtf", "a document of a word processor, RTF (save it as plain text)"),
    (b"%PDF-", "a PDF document (copy the sequences into a plain text file)"),
    (b"FOLDPNT\0", "a model file of Foldpoint (give it as --model)"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe\0\0", "text in UTF-32 (save it as UTF-8)"),
    (b"\0\0\xfe\xff", "text in UTF-32 (save it as UTF-8)"),
];

/// How text files begin that are no FASTA; upper case stands for both.
const TEXT: [(&[u8], &str); 38] = [
    (b"HEADER ", PDB),
    (b"ATOM  ", PDB),
    (b"HETATM", PDB),
    (b"REMARK ", PDB),
    (b"CRYST1", PDB),
    (b"MODEL  ", PDB),
    (b"TITLE  ", PDB),
    (b"COMPND ", PDB),
    (b"SEQRES ", PDB),
    (b"EXPDTA ", PDB),
    (b"PARENT ", PDB),
    (b"DATA_", "an mmCIF file (give its sequences as FASTA)"),
    (b"LOCUS  ", "a GenBank file (export it as FASTA)"),
    (b"ID   ", "an entry of UniProt or EMBL (export it as FASTA)"),
    (b"CLUSTAL", ALIGNMENT),
    (b"MUSCLE (", ALIGNMENT),
    (b"# STOCKHOLM", ALIGNMENT),
    (b"#NEXUS", ALIGNMENT),
    (b"PILEUP", ALIGNMENT),
    (b"!!AA_MULTIPLE", ALIGNMENT),
    (b"MSF:", ALIGNMENT),
    (b"#A3M#", ALIGNMENT),
    (b"HMMER3/", "a profile of HMMER"),
    (b"HHM", "a profile of HH-suite"),
    (b"##GFF", "annotations, GFF"),
    (b"<!DOCTYPE HTML", HTML),
    (b"<HTML", HTML),
    (b"<HEAD", HTML),
    (b"<!DOCTYPE", "an XML document"),
    (b"<?XML", "an XML document"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"@", "FASTQ, reads of a sequencer"),
    (b"VERSION:", "YAML"),
    (b"SEQUENCES:", "YAML"),
    (b"---", "YAML"),
    (b"&GT;", "FASTA copied out of HTML, with `&gt;` for `>`"),
];

const PDB: &str = "a PDB file (give its sequences as FASTA)";
const ALIGNMENT: &str = "an alignment (give the unaligned sequences as FASTA)";
const HTML: &str = "a web page (save the FASTA file itself)";

/// The encoding of text that begins with `head`, if that is UTF-16: by its byte order mark, or since every
/// second byte is 0.
pub(crate) fn utf16(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        &[a, 0, b, 0, ..] if a != 0 && b != 0 => Some(UTF_16LE),
        &[0, a, 0, b, ..] if a != 0 && b != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// What a file of bytes is that begins with `head`, if it is known and no text.
pub(crate) fn binary(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PK\x03\x04") {
        let has = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
        return Some(
            if has(b"word/") || has(b"xl/") || has(b"[Content_Types].xml") || has(b"opendocument") {
                "a document of a word processor or spreadsheet (save it as plain text)"
            } else {
                "a zip archive (unpack it first)"
            },
        );
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive (unpack it first)");
    }
    BINARY.iter().find(|(begin, _)| head.starts_with(begin)).map(|&(_, what)| what)
}

/// What a file is that begins with `head`, if that can't be FASTA and is known.
pub(crate) fn text(head: &[u8]) -> Option<&'static str> {
    let head = skip_blanks(head);
    if matches!(head.first(), None | Some(b'>' | b';')) {
        return None;
    }
    let begins = |begin: &[u8]| head.get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin));
    let known = TEXT.iter().find(|(begin, _)| begins(begin)).map(|&(_, what)| what);
    known.or_else(|| head.contains(&0).then_some("a binary file"))
}

/// Whether a line is one of residues, as far as one can tell.
pub(crate) fn is_bare_sequence(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_alphabetic() || b" \t*:/".contains(byte))
}
