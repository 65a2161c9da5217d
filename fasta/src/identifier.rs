//! Identifiers, and file names made of them.

/// Longest stem in bytes: file systems allow 255 for the whole name, and every output adds its own ending.
const MAX_STEM: usize = 200;

/// The identifier of a header line: up to the first blank, bytes that are not UTF-8 replaced.
pub(super) fn from_header(header: &[u8]) -> String {
    let id = header.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    String::from_utf8_lossy(id).into_owned()
}

/// An identifier made safe as the beginning of a file name on any system.
///
/// ASCII letters, digits, `_`, `-`, `+`, `=`, `@` and `.` stay, all else becomes `_`; a leading `.` becomes `_`, so that
/// no name is hidden, `.` or `..`; and at most 200 bytes are kept. Different identifiers can give the same stem.
pub fn file_stem(id: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "_-+=@.".contains(c);
    let mut stem: String = id.chars().map(|c| if keep(c) { c } else { '_' }).take(MAX_STEM).collect();
    if stem.starts_with('.') {
        stem.replace_range(..1, "_");
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_identifiers() {
        assert_eq!(from_header(b"1UBQ_A ubiquitin"), "1UBQ_A");
        assert_eq!(from_header(b"a\tb"), "a");
        assert_eq!(from_header(b""), "");
        assert_eq!(file_stem("1UBQ_A"), "1UBQ_A");
        assert_eq!(file_stem("sp|P0CG48|UBC_HUMAN"), "sp_P0CG48_UBC_HUMAN");
        assert_eq!(file_stem("../../etc/passwd"), "_._.._etc_passwd");
        assert_eq!(file_stem(".."), "_.");
    }

    proptest! {
        #[test]
        fn a_stem_names_a_file_in_its_own_folder(id in "\\PC{1,300}") {
            let stem = file_stem(&id);
            prop_assert!(!stem.is_empty() && stem.len() <= MAX_STEM);
            prop_assert!(!stem.starts_with('.'));
            prop_assert!(!stem.contains(['/', '\\', '\0', ':']));
            let path = std::path::Path::new("out").join(format!("{stem}.npy"));
            prop_assert_eq!(path.parent(), Some(std::path::Path::new("out")));
        }
    }
}
