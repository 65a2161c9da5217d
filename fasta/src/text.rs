//! Blanks and words, and headers of any encoding.

use encoding_rs::WINDOWS_1252;

/// Whether `c` is a blank: white space of any script, or nothing that can be seen (a byte order mark,
/// zero-width blanks).
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}

/// The first character of `bytes`, if they begin with UTF-8.
pub(crate) fn first_char(bytes: &[u8]) -> Option<char> {
    bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

/// `bytes` from their first character on that is no blank.
pub(crate) fn skip_blanks(mut bytes: &[u8]) -> &[u8] {
    while let Some(c) = first_char(bytes).filter(|&c| is_blank(c)) {
        bytes = &bytes[c.len_utf8()..];
    }
    bytes
}

/// The words of a header.
pub(crate) fn words(header: &str) -> impl Iterator<Item = &str> {
    header.split(is_blank).filter(|word| !word.is_empty())
}

/// A header's text without blanks around it, and whether it was UTF-8; what is not is read as Windows-1252,
/// where every byte is some character, so that different headers stay different.
pub(crate) fn header(bytes: &[u8]) -> (String, bool) {
    let (text, valid) = match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), true),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(bytes).0, false),
    };
    (text.trim_matches(is_blank).to_owned(), valid)
}
