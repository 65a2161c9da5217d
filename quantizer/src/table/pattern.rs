//! Names with a placeholder for a number: `lm.layers.{i}.ffn.up`.

/// What comes before the placeholder and after it; `None` if there is none.
fn halves(pattern: &str) -> Option<(&str, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    Some((before, rest.split_once('}')?.1))
}

/// Whether `pattern` has a placeholder.
pub fn is_numbered(pattern: &str) -> bool {
    halves(pattern).is_some()
}

/// `pattern` with `number` in the place of its placeholder, if it has one.
pub fn fill(pattern: &str, number: impl std::fmt::Display) -> String {
    match halves(pattern) {
        Some((before, after)) => format!("{before}{number}{after}"),
        None => pattern.to_owned(),
    }
}

/// What stands in `name` in the place of the placeholder of `pattern`, nothing if it has none; `None` if
/// `name` is another one.
pub fn placed<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let Some((before, after)) = halves(pattern) else {
        return (pattern == name).then_some("");
    };
    let placed = name.strip_prefix(before)?.strip_suffix(after)?;
    (!placed.is_empty() && !placed.contains('.')).then_some(placed)
}

/// The number in `name`, 0 if `pattern` has no placeholder; `None` if `name` is another one.
pub fn number(pattern: &str, name: &str) -> Option<usize> {
    let placed = placed(pattern, name)?;
    if placed.is_empty() {
        return Some(0);
    }
    placed.bytes().all(|digit| digit.is_ascii_digit()).then_some(placed)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_put_in_and_found_again() {
        let pattern = "lm.layers.{i}.ffn.up";
        assert_eq!(fill(pattern, 12), "lm.layers.12.ffn.up");
        assert_eq!(number(pattern, "lm.layers.12.ffn.up"), Some(12));
        for other in
            ["lm.layers.+1.ffn.up", "lm.layers..ffn.up", "lm.layers.1.2.ffn.up", "lm.layers.1.ffn.down"]
        {
            assert_eq!(number(pattern, other), None, "{other}");
        }
        assert_eq!(placed(pattern, "lm.layers.x.ffn.up"), Some("x"));
        assert_eq!((fill("lm.norm", 3).as_str(), number("lm.norm", "lm.norm")), ("lm.norm", Some(0)));
        assert_eq!(number("lm.norm", "lm.norms"), None);
        assert!(is_numbered(pattern) && !is_numbered("lm.norm"));
    }
}
