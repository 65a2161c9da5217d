//! What `docs/GLOSSARY.md` says is in the code is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const GLOSSARY: &str = include_str!("../../docs/GLOSSARY.md");

/// Adds all Rust files below `folder`.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// All words of the crates that users get.
fn words_of_the_code() -> BTreeSet<String> {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Vec::new();
    for part in ["core/src", "fasta/src", "quantizer/src", "std-runner/src"] {
        rust_files(&workspace.join(part), &mut files);
    }
    let text = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// The items that the last column names, with the words that they are for.
fn items() -> Vec<(String, String)> {
    let rows = GLOSSARY.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let (word, code) = (cells[0].trim().to_owned(), cells[cells.len() - 1]);
        code.split('`')
            .skip(1)
            .step_by(2)
            .map(move |item| (word.clone(), item.to_owned()))
            .collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_code_has_what_the_glossary_names() {
    let (words, items) = (words_of_the_code(), items());
    assert!(items.len() > 60, "only {} items were found in the tables", items.len());
    let missing: Vec<_> =
        items.iter().filter(|(_, item)| item.split("::").any(|part| !words.contains(part))).collect();
    assert!(missing.is_empty(), "docs/GLOSSARY.md names what no source has: {missing:?}");
}
