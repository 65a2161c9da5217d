//! `docs/CHECKPOINTS.md` names tests and quotes messages: they must be there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of all Rust files in `folder`.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the table whose first line begins with `heading`.
fn table<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let lines = document.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn tests_and_messages_of_the_document_are_there() {
    let document = fs::read_to_string(root().join("docs/CHECKPOINTS.md")).unwrap();
    let tests = sources(&root().join("quantizer/tests")) + &sources(&root().join("quantizer/src/checkpoint"));
    let is_there = |name: &str| match name.strip_prefix("scripts/") {
        Some(_) => root().join(name).is_file(),
        None => {
            tests.contains(&format!("#[test]\nfn {name}()")) || tests.contains(&format!("    fn {name}()"))
        }
    };
    let (layouts, messages) = (table(&document, "| layout |"), table(&document, "| what |"));
    assert!(layouts.len() > 10 && messages.len() > 30, "{} and {} rows", layouts.len(), messages.len());
    for name in layouts.iter().map(|row| row[3]).chain(messages.iter().map(|row| row[2])).flat_map(quoted) {
        assert!(is_there(name), "there is no test {name}");
    }
    // This file quotes none, so that it can't be where a message is found.
    for message in messages.iter().map(|row| row[1]).flat_map(quoted) {
        assert!(tests.contains(message), "nothing says `{message}`");
    }
}
