use super::*;

mod compressed;
mod encodings;
mod layout;
mod other_files;
mod paths;
mod round_trip;

/// Two chains of made-up residues.
const S1: &str = "MKVLAAGIVGLCAKAYRERWPDEGKLLEEAKRLGVDPSEVTVR";
const S2: &str = "GSHMEELLKKAIELAKRGVDPETIARVLGVSEEELRKLL";

/// Identifiers and residues of the accepted records.
fn records(batch: &Batch) -> Vec<(&str, &str)> {
    batch
        .sequences
        .iter()
        .map(|s| (s.id.as_str(), std::str::from_utf8(&s.residues).expect("letters")))
        .collect()
}

fn messages(of: &[impl ToString]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

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
fn rare_letters_are_what_a_model_reads_them_as() {
    let read = |letter| {
        if letter == b'B' {
            b'D'
        } else if letter == b'Z' {
            b'E'
        } else {
            letter
        }
    };
    let batch = parse(">a\nMBZ\nUX\n>b\nMBB\n>c\nMO\n").read_rare(read);
    let residues: Vec<&[u8]> = batch.sequences.iter().map(|s| &s.residues[..]).collect();
    assert_eq!(residues, [&b"MDEUX"[..], b"MDD", b"MO"]);
    let warnings: Vec<String> = batch.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "t.fasta: line 1: record 1 (`a`): 2 residues (BZ) are read as D, E",
        "t.fasta: line 4: record 2 (`b`): 2 residues (B) are read as D",
    ];
    assert_eq!(warnings, expected);
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

#[test]
fn masks_are_underscores_or_tokens() {
    let batch = parse(">a\nM_K<mask>\nV<MaS\nk>L:_\n");
    assert_eq!(batch.sequences[0].residues, b"M_K_V_L_");
    let place = batch.sequences[0].mask.as_ref().expect("masks");
    assert_eq!((place.line, place.column), (2, Some(2)));
    // Wrapped so that a line begins with its last character.
    // Nobody can tell what this `>` is: no record gets another's residues, and none is lost without a word.
    let wrapped = parse(">a\nMKV<mask\n>k\nGSHM\n>b\nGP\n");
    assert_eq!(records(&wrapped), [("b", "GP")]);
    let errors = messages(&wrapped.rejected);
    assert!(errors[0].contains("line 2, column 4: record 1 (`a`): found `<`"), "{errors:?}");
    assert!(
        errors[1].contains("line 3: record 2 (`k`): this `>` may be the end of the `<mask`"),
        "{errors:?}"
    );
    assert_eq!(records(&parse(">a\nMK<ma\nsk>VL\n")), [("a", "MK_VL")]);
    let refused = parse(">a\nMK\nG<mask>_\n>b\nMK\n").without_masks();
    assert_eq!(records(&refused), [("b", "MK")]);
    let error = refused.rejected[0].to_string();
    assert!(error.starts_with("t.fasta: line 3, column 2: record 1 (`a`): found a mask"), "{error}");
    for text in [">a\nMK<cls>\n", ">a\nMK<mask\n", ">a\nMK<m>\n", ">a\nMK<\n>b c\n"] {
        let batch = parse(text);
        assert!(batch.sequences.is_empty(), "{batch:?}");
        let error = batch.rejected[0].to_string();
        assert!(error.contains("line 2, column 3: record 1 (`a`): found `<`; expected"), "{error}");
    }
}

#[test]
fn three_letter_codes_are_no_residues() {
    for text in
        [">x\nMetLysValAlaGlySer\n", ">x\nMET LYS VAL ALA\nGLY SER LEU UNK\n", ">x\nMKV:ALAGLYLEUPRO\n"]
    {
        let error = only_error(text);
        assert!(error.contains("is written in three-letter codes"), "{error}");
    }
    for text in [">x\nALAALAALAALA\n", ">x\nMETLYSVAL\n", ">x\nMETLYSVALALAG\n"] {
        assert_eq!(parse(text).sequences.len(), 1, "{text}");
    }
}

#[test]
fn nucleotides_are_a_warning() {
    let batch = parse(format!(">a\n{}\n>b\n{S1}:{}\n", "ACGTN".repeat(4), "acgu".repeat(5)));
    assert_eq!(
        messages(&batch.warnings)[0],
        "t.fasta: line 1: record 1 (`a`): chain 1 has the letters of nucleotides only: is it DNA or RNA? It is read as a protein"
    );
    assert!(messages(&batch.warnings)[2].contains("record 2 (`b`): chain 2 has the letters of nucleotides"));
    let proteins = [S1, "ACGTACGTACGTACGTACG", &"GA".repeat(20), &"A".repeat(30), &"GAT_".repeat(10)];
    for protein in proteins {
        assert!(parse(format!(">a\n{protein}\n")).warnings.is_empty(), "{protein}");
    }
}

#[test]
fn what_is_not_understood_is_never_residues_of_another() {
    let batch = parse(format!(">a\n{S1}>b\n{S2}\n>c\n{S2}\n"));
    assert_eq!(records(&batch), [("c", S2)]);
    let error = only_error(&format!(">a\n{S1}>b\n{S2}\n"));
    assert!(
        error.contains("line 2, column 44: record 1 (`a`): found `>` inside a line of residues"),
        "{error}"
    );
    assert!(only_error(">a\nMKV\0\0\0").contains("line 2, column 4: record 1 (`a`): found the byte 0x00"));
    assert!(only_error(">a\0b\nMKV\n").contains("line 1: record 1 (`a\\u{0}b`): the header has a byte 0x00"));
    let pir = only_error(">P1;CRAB_ANAPL\nALPHA CRYSTALLIN B CHAIN\nMDITIHNPL*\n");
    assert!(pir.contains("line 1: record 1 (`P1;CRAB_ANAPL`): this is a header of PIR"), "{pir}");
    assert_eq!(records(&parse(">X1;a\nMK\n")), [("X1;a", "MK")]);
}

#[test]
fn ids_are_told_apart_and_rejected_records_keep_theirs() {
    let batch = parse(">a\nMK\n>a\nM1\n>A\nMK\n>a x\nMK\n>\nMK\n");
    let ids: Vec<_> =
        batch.sequences.iter().map(|s| (s.id.as_str(), s.stem.as_str(), s.place.id.as_str())).collect();
    assert_eq!(ids, [("a", "a", "a"), ("A", "A_3", "A"), ("a_x", "a_x", "a"), ("t_5", "t_5", "")]);
    let error = &batch.rejected[0];
    assert_eq!(
        (error.id.as_str(), error.stem.as_str(), error.header.as_str(), error.index),
        ("a_2", "a_2", "a", 1)
    );
    assert_eq!(batch.sequences.iter().map(|s| s.index).collect::<Vec<_>>(), [0, 2, 3, 4]);
}

#[test]
fn messages_escape_control_characters() {
    let error = only_error(">a\u{1b}[31mb\nM1\n");
    assert!(error.contains("(`a\\u{1b}[31mb`)") && !error.contains('\u{1b}'), "{error}");
}
