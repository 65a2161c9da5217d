//! Any list of records comes back, however it is written.

use super::*;
use proptest::prelude::*;

/// How a file is written.
#[derive(Clone, Debug)]
struct Style {
    ends: Vec<&'static str>,
    width: usize,
    blanks: bool,
    comments: bool,
    lower: bool,
    stops: bool,
    slashes: bool,
    mask_tokens: bool,
    encoding: u8,
    /// Where the file is cut into gzip members; none is no gzip.
    members: Option<Vec<prop::sample::Index>>,
}

fn style() -> impl Strategy<Value = Style> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let flags = prop::array::uniform6(any::<bool>());
    let members = prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 0..4));
    (prop::collection::vec(end, 1..4), 1usize..90, flags, 0u8..5, members).prop_map(
        |(ends, width, [blanks, comments, lower, stops, slashes, mask_tokens], encoding, members)| Style {
            ends,
            width,
            blanks,
            comments,
            lower,
            stops,
            slashes,
            mask_tokens,
            encoding,
            members,
        },
    )
}

type Written = (String, Vec<String>);

fn text(records: &[Written], style: &Style) -> String {
    let mut ends = style.ends.iter().cycle();
    let mut text = String::new();
    let mut line = |line: &str| {
        text += line;
        // An empty line that ends with LF after a CR would be one line end, which is all the same here.
        text += ends.next().copied().unwrap_or("\n");
    };
    for (header, chains) in records {
        if style.comments {
            line("; a comment with > and MKV");
        }
        line(&if style.blanks { format!(" >\t\u{a0}{header} ") } else { format!(">{header}") });
        let separator = if style.slashes { "/" } else { ":" };
        let stop = if style.stops { "*" } else { "" };
        let mut sequence = chains.join(&format!("{stop}{separator}")) + stop;
        if style.mask_tokens {
            sequence = sequence.replace('_', "<mask>");
        }
        if style.lower {
            sequence = sequence.to_ascii_lowercase();
        }
        let mut rest = sequence.as_str();
        while !rest.is_empty() {
            // No line begins with the `>` of a mask.
            let end = style.width.min(rest.len());
            let (part, others) = rest.split_at(end + usize::from(rest[end..].starts_with('>')));
            rest = others;
            // No blank before what could be a header.
            line(&if style.blanks { format!("{part} \t\u{3000}") } else { part.to_owned() });
            if style.blanks {
                line("\t");
            }
            if style.comments {
                line(";MKV");
            }
        }
    }
    text
}

fn bytes(text: &str, style: &Style) -> Vec<u8> {
    let utf16 = |to: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to).collect()
    };
    let bytes = match style.encoding {
        0 => utf16(u16::to_le_bytes),
        1 => utf16(u16::to_be_bytes),
        2 => format!("\u{feff}{text}").into_bytes(),
        _ => text.as_bytes().to_vec(),
    };
    let Some(members) = &style.members else { return bytes };
    let mut cuts: Vec<usize> = members.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).flat_map(|cut| compressed::gzip(&bytes[cut[0]..cut[1]])).collect()
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let chain = "[ACDEFGHIKLMNPQRSTVWYX_]{1,70}";
    // Not PIR's headers.
    let header = "([a-zA-Z0-9\u{e9}\u{3b1}|=.,\\[\\]>-][a-zA-Z0-9\u{e9}\u{3b1}|=.,;\\[\\]> -]{0,30})?"
        .prop_map(|h| h.trim().to_owned());
    let header = header.prop_filter("PIR", |header| header.as_bytes().get(2) != Some(&b';'));
    prop::collection::vec((header, prop::collection::vec(chain, 1..4)), 1..8)
}

proptest! {
    #[test]
    fn records_come_back(records in written(), style in style()) {
        let bytes = bytes(&text(&records, &style), &style);
        let batch = read(&bytes[..], "t", 1000);
        prop_assert!(batch.failures.is_empty() && batch.rejected.is_empty(), "{:?}", batch);
        let found: Vec<Written> = batch.sequences.iter().map(|s| {
            let chain = |chain: &[u8]| String::from_utf8(chain.to_vec()).expect("letters");
            (s.header.clone(), s.chains().map(chain).collect())
        }).collect();
        prop_assert_eq!(found, records);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes[..], "t", 50);
    }

    #[test]
    fn damaged_gzip_gives_no_other_residues(records in written(), place: prop::sample::Index, bit in 0u8..8, cut: bool) {
        let style = Style { ends: vec!["\n"], width: 60, blanks: false, comments: false, lower: false, stops: false,
            slashes: false, mask_tokens: false, encoding: 4, members: Some(vec![]) };
        let mut bytes = bytes(&text(&records, &style), &style);
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
        let batch = read(&bytes[..], "t", 1000);
        for (found, (_, chains)) in batch.sequences.iter().zip(&records) {
            prop_assert_eq!(&found.residues, &chains.concat().into_bytes());
        }
        prop_assert!(batch.sequences.len() == records.len() || !batch.failures.is_empty());
    }

    #[test]
    fn any_fasta_like_text_gives_clean_sequences(text in "(>?[ -~]{0,8}[\r\n\t>*.:/_<;-]{0,2}){0,30}") {
        let batch = read(text.as_bytes(), "t", 50);
        prop_assert!(!(batch.sequences.is_empty() && batch.rejected.is_empty() && batch.failures.is_empty()));
        let mut stems = std::collections::HashSet::new();
        for s in &batch.sequences {
            prop_assert!(!s.residues.is_empty() && s.residues.len() <= 50);
            prop_assert!(s.residues.iter().all(|r| b"ACDEFGHIKLMNPQRSTVWYX_".contains(r)));
            prop_assert!(stems.insert(s.stem.to_lowercase()));
            prop_assert!(s.chains().all(|chain| !chain.is_empty()));
            prop_assert_eq!(s.chain_lengths.iter().sum::<usize>(), s.residues.len());
        }
        let lines = text.matches(['\n', '\r']).count() as u64 + 1;
        for e in &batch.rejected {
            prop_assert!(stems.insert(e.stem.to_lowercase()));
            prop_assert!(e.place.line >= 1 && e.place.line <= lines, "{}", e);
        }
    }
}
