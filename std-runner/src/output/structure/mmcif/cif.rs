//! The syntax of CIF 1.1: values, items and tables.

use std::io::{self, Write};

/// An unknown value.
pub const UNKNOWN: &str = "?";
/// A value that there is none of.
pub const NONE: &str = ".";

/// Words that mean something to a reader, whatever comes after them.
const RESERVED: [&str; 5] = ["data_", "save_", "loop_", "global_", "stop_"];

/// Text of one or more lines as a value, in the quotes that it needs. Empty text is an unknown value.
///
/// `?` and `.` stay what they mean; no line may be longer than 2,000 characters, and no character other than
/// printable ASCII.
pub fn quoted(text: &str) -> String {
    if text.is_empty() {
        return UNKNOWN.into();
    }
    let lower = text.to_ascii_lowercase();
    // Some readers take a dot or a question mark at the beginning for the whole value.
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\"".contains(&byte))
        && (!text.starts_with(['_', '#', '$', '[', ']', ';', '.', '?']) || [UNKNOWN, NONE].contains(&text))
        && !RESERVED.iter().any(|word| lower.starts_with(word));
    match (plain, text.contains('\n'), text.contains('\''), text.contains('"')) {
        (true, ..) => text.into(),
        (_, false, false, _) => format!("'{text}'"),
        (_, false, _, false) => format!("\"{text}\""),
        // A text field ends at a line that begins with a semicolon.
        _ => format!("\n;{}\n;\n", text.replace("\n;", "\n ;")),
    }
}

/// A category of one row.
pub fn items(out: &mut dyn Write, category: &str, values: &[(&str, &str)]) -> io::Result<()> {
    writeln!(out, "#")?;
    values.iter().try_for_each(|(item, value)| writeln!(out, "_{category}.{item} {}", quoted(value)))
}

/// The head of a table.
pub fn table(out: &mut dyn Write, category: &str, columns: &[&str]) -> io::Result<()> {
    writeln!(out, "#\nloop_")?;
    columns.iter().try_for_each(|column| writeln!(out, "_{category}.{column}"))
}

/// A row of a table.
pub fn row(out: &mut dyn Write, values: &[&str]) -> io::Result<()> {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    writeln!(out, "{}", values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_quotes_that_they_need() {
        for (text, expected) in [
            ("1abc_A", "1abc_A"),
            ("a#b;c$", "a#b;c$"),
            ("", "?"),
            ("?", "?"),
            ("a b", "'a b'"),
            ("Data_x", "'Data_x'"),
            ("loop_", "'loop_'"),
            ("_a", "'_a'"),
            ("#a", "'#a'"),
            ("$a", "'$a'"),
            ("[a]", "'[a]'"),
            (";a", "';a'"),
            (".a", "'.a'"),
            (".", "."),
            ("5'-end", "\"5'-end\""),
            ("a\"", "'a\"'"),
            ("'a' \"b\"", "\n;'a' \"b\"\n;\n"),
            ("a\n;b", "\n;a\n ;b\n;\n"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
