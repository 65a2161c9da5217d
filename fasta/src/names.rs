//! Names of files, made from headers: every record has one, and no two records of a run share it.
//!
//! - The name is the identifier (the first word of the header), made safe.
//! - Records with the same identifier take as many more words of their headers as tell them from each other.
//! - A record without a letter or digit in its header is named by its file and its number there.
//! - What is still equal, ignoring case, gets `_2`, `_3` and so on behind it; no such name is one that
//!   another record has.
//!
//! Only headers matter, so a record that can't be run keeps its name from others, and names don't depend on
//! what is done.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::text::words;

/// Longest stem in bytes: file systems allow 255 for the whole name, and every output adds its own ending.
const MAX_STEM: usize = 200;

/// What a record is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The identifier as it was typed, where no other record has it; else the stem.
    pub id: String,
    /// The beginning of its files' names.
    pub stem: String,
}

/// The records of a run, and what their names are made of.
#[derive(Debug, Default)]
pub struct Names {
    /// Header, and what a record is called that has none.
    records: Vec<(String, String)>,
}

impl Names {
    /// Adds record `number` (from 1) of `file`.
    pub fn add(&mut self, header: &str, file: &str, number: usize) {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        // That of `x.fasta.gz` is `x.fasta`.
        let stem = Path::new(stem).file_stem().unwrap_or_default().to_string_lossy();
        self.records.push((header.to_owned(), format!("{stem}_{number}")));
    }

    /// The names of all records, in the order in which they were added.
    pub fn assign(&self) -> Vec<Name> {
        let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, (header, _)) in self.records.iter().enumerate() {
            groups.entry(words(header).next().unwrap_or_default()).or_default().push(index);
        }
        let mut needed = vec![1; self.records.len()];
        for group in groups.values_mut().filter(|group| group.len() > 1) {
            self.tell_apart(group, &mut needed);
        }
        let bases: Vec<String> = self.records.iter().zip(needed).map(|(record, n)| base(record, n)).collect();
        let stems = number(&bases);
        let owners: HashMap<&str, usize> = stems.iter().map(String::as_str).zip(0..).collect();
        // As it was typed, where no other record has that, nor a stem that is the same.
        let id = |(index, stem): (usize, &String)| {
            let typed = words(&self.records[index].0).next();
            let alone = |word: &&str| {
                groups.get(word).is_some_and(|group| group.len() == 1)
                    && owners.get(word).is_none_or(|&owner| owner == index)
            };
            typed.filter(alone).unwrap_or(stem).to_owned()
        };
        let ids: Vec<String> = stems.iter().enumerate().map(id).collect();
        ids.into_iter().zip(stems).map(|(id, stem)| Name { id, stem }).collect()
    }

    /// For each record of a group with the same first word, how many words tell it from those whose headers
    /// differ.
    fn tell_apart(&self, group: &mut [usize], needed: &mut [usize]) {
        let header = |index: usize| words(&self.records[index].0);
        group.sort_by(|&a, &b| header(a).cmp(header(b)).then(a.cmp(&b)));
        // In this order a record shares most words with one of its neighbours.
        for pair in group.chunk_by(|&a, &b| header(a).eq(header(b))).collect::<Vec<_>>().windows(2) {
            let (Some(&a), Some(&b)) = (pair[0].first(), pair[1].first()) else { continue };
            let common = header(a).zip(header(b)).take_while(|(a, b)| a == b).count();
            for &index in pair.iter().copied().flatten() {
                needed[index] = needed[index].max(common + 1);
            }
        }
    }
}

/// A record's name of at least `needed` words, and as many more as it takes to have a letter or digit in it.
fn base((header, fallback): &(String, String), needed: usize) -> String {
    let words: Vec<&str> = words(header).collect();
    let named = |word: &&str| word.contains(char::is_alphanumeric);
    let first = words.iter().position(named).map_or(0, |place| place + 1);
    let text = words[..needed.max(first).min(words.len())].join(" ");
    safe(if first == 0 { fallback } else { &text })
}

/// Makes names differ, ignoring case: the first record keeps an equal name, the others get numbers.
fn number(bases: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let firsts: Vec<bool> = bases.iter().map(|base| taken.insert(folded(base))).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut stem = |base: &String, first: bool| {
        if first {
            return base.clone();
        }
        let count = counts.entry(folded(base)).or_insert(1);
        loop {
            *count += 1;
            let ending = format!("_{count}");
            let stem = format!("{}{ending}", shortened(base, MAX_STEM - ending.len()));
            if taken.insert(folded(&stem)) {
                return stem;
            }
        }
    };
    bases.iter().zip(firsts).map(|(base, first)| stem(base, first)).collect()
}

/// Equal for names that some file system takes for the same.
fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// `text` made safe as the beginning of a file name on any system, at most 200 bytes.
///
/// In Unicode NFC, letters, digits and marks of every script and `_`, `-`, `+`, `@`, `.` stay; what is
/// between them becomes one `_`. Dots at the end go, a `-` or `.` at the beginning becomes `_`, and `_` is
/// put before what Windows reserves for devices. Different texts can give the same name.
fn safe(text: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || is_combining_mark(c) || "_-+@.".contains(c);
    let mut name = String::new();
    let mut between = false;
    for c in text.nfc() {
        if keep(c) {
            if between && !name.is_empty() && !name.ends_with('_') && c != '_' {
                name.push('_');
            }
            name.push(c);
        }
        between = !keep(c);
    }
    if name.starts_with(['-', '.']) {
        name.replace_range(..1, "_");
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    let name = shortened(&name, MAX_STEM);
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// The beginning of `name` of at most `limit` bytes, without dots at its end.
fn shortened(name: &str, limit: usize) -> &str {
    name[..name.floor_char_boundary(limit)].trim_end_matches('.')
}

/// Whether Windows takes a file of this name for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    if matches!(base.as_str(), "CON" | "PRN" | "AUX" | "NUL") {
        return true;
    }
    let port = base.strip_prefix("COM").or_else(|| base.strip_prefix("LPT"));
    port.is_some_and(|port| {
        let mut digits = port.chars();
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    })
}

/// `id` made safe as a name of ASCII letters, digits, `_`, `-`, `+`, `@` and `.`, for formats that allow
/// nothing else.
pub fn ascii_name(id: &str) -> String {
    safe(id).chars().map(|c| if c.is_ascii() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
