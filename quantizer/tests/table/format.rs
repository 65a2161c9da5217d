//! The tables of tensors in `docs/FORMAT.md`: names, kinds and units.

use std::collections::{BTreeMap, BTreeSet};

use quantizer::checkpoint::OmegaFold;
use quantizer::table::omegafold::groups;
use quantizer::table::{Kind, Parts, Unit};

use super::fixture::golden;

const FORMAT: &str = include_str!("../../../docs/FORMAT.md");

/// What the document says of a name.
#[derive(Debug)]
struct Description {
    kind: String,
    unit: String,
}

/// The cells of `line`, if it is a row of a table that names tensors.
fn cells(line: &str) -> Option<[&str; 4]> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    cells.try_into().ok().filter(|cells: &[&str; 4]| cells[0].starts_with('`'))
}

/// The names in a cell: in quotes, one that begins with a dot in the place of the last part of the one
/// before.
fn names(cell: &str) -> Vec<String> {
    let mut base = "";
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|name| {
            if name.starts_with('.') {
                return format!("{base}{name}");
            }
            base = name.rsplit_once('.').map_or("", |(base, _)| base);
            name.to_owned()
        })
        .collect()
}

/// `name` with each of the words in braces that are separated by commas.
fn alternatives(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (words, after) = rest.split_once('}').unwrap();
    let words: Vec<String> = match words.contains(',') {
        true => words.split(',').map(str::to_owned).collect(),
        false => vec![format!("{{{words}}}")],
    };
    let ends = alternatives(after);
    words.iter().flat_map(|word| ends.iter().map(move |end| format!("{before}{word}{end}"))).collect()
}

/// Part `index` of `count` of a cell, which says one thing of all names or one of each.
fn part(cell: &str, index: usize, count: usize) -> String {
    let parts: Vec<&str> = cell.split("; ").collect();
    assert!(parts.len() == 1 || parts.len() == count, "{cell}: of {count} names");
    parts[if parts.len() == 1 { 0 } else { index }].to_owned()
}

/// Everything that the document describes: of ESM-2 and ESMFold, and of OmegaFold.
fn described() -> [BTreeMap<String, Description>; 2] {
    let section = FORMAT.split("\n## ").find(|section| section.starts_with("Tensors\n")).unwrap();
    // The tensors of a Linear have a table of their own.
    let tables = section.split("\n### Linear\n").next().unwrap();
    let (mut esm, mut omegafold, mut of_omegafold) = (String::new(), String::new(), false);
    for line in tables.lines() {
        if line.starts_with('#') {
            of_omegafold = line.contains("OmegaFold");
        }
        let tables = if of_omegafold { &mut omegafold } else { &mut esm };
        *tables += line;
        *tables += "\n";
    }
    [in_tables(&esm), in_tables(&omegafold)]
}

fn in_tables(text: &str) -> BTreeMap<String, Description> {
    let mut described = BTreeMap::new();
    for [name, kind, _, unit] in text.lines().filter_map(cells) {
        let names = names(name);
        for (index, name) in names.iter().enumerate() {
            for name in alternatives(name) {
                let (kind, unit) = (part(kind, index, names.len()), part(unit, index, names.len()));
                assert!(described.insert(name.clone(), Description { kind, unit }).is_none(), "{name} twice");
            }
        }
    }
    described
}

/// How the document's kind of a group begins.
fn begins(kind: Kind) -> &'static str {
    match kind {
        Kind::Metadata => "u8[",
        Kind::Config | Kind::Rotary => "u32[",
        Kind::Table | Kind::Residues | Kind::Shares | Kind::PointWeights | Kind::QueryKey => "i32[",
        Kind::Norm => "norm",
        Kind::Linear | Kind::Chain | Kind::Columns => "Linear",
        Kind::Residual | Kind::Middle => "codec",
        Kind::ContactHead => "i",
    }
}

/// Asserts that group `name` is described as what it is, and returns the names under which it is: its own, or
/// those of its tensors.
fn assert_described(
    described: &BTreeMap<String, Description>,
    name: &str,
    kind: Kind,
    unit: Unit,
) -> Vec<String> {
    let tensors = || kind.tensors().iter().map(|part| format!("{name}{part}")).collect();
    let names: Vec<String> = if described.contains_key(name) { vec![name.to_owned()] } else { tensors() };
    for name in &names {
        let found = described.get(name).unwrap_or_else(|| panic!("{name} is not in the document"));
        assert!(found.kind.starts_with(begins(kind)), "{name}: {found:?}, expected {}", begins(kind));
        assert!(unit == Unit::Own || found.unit == unit.to_string(), "{name}: {found:?}, expected {unit}");
    }
    names
}

fn assert_all_found(described: &BTreeMap<String, Description>, found: &BTreeSet<String>) {
    let only: Vec<&String> = described.keys().filter(|name| !found.contains(*name)).collect();
    assert!(only.is_empty(), "only in the document: {only:?}");
}

#[test]
fn the_document_has_the_tables_names_kinds_and_units() {
    let [described, _] = described();
    let rows = Parts::ALL.rows().into_iter();
    let found = rows.flat_map(|row| assert_described(&described, row.name, row.kind, row.unit)).collect();
    assert_all_found(&described, &found);
}

/// A name with `#` for each number, or each placeholder of one.
fn unnumbered(name: &str) -> String {
    let is_number = |part: &str| part.starts_with('{') || part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = name.split('.').map(|part| if is_number(part) { "#" } else { part }).collect();
    parts.join(".")
}

#[test]
fn the_document_has_what_an_omegafold_is_made_of() {
    let [of_all, of_omegafold] = described().map(|described| -> BTreeMap<String, Description> {
        described.into_iter().map(|(name, description)| (unnumbered(&name), description)).collect()
    });
    let checkpoint = OmegaFold::open(&golden("omegafold-tiny")).unwrap();
    let mut found = BTreeSet::new();
    for group in groups(checkpoint.config()) {
        let name = unnumbered(&group.name);
        if name == "meta.json" || name.starts_with("fold.structure.") {
            // As of all models, but that each iteration has its number.
            let name = name.replacen("fold.structure.#.", "fold.structure.", 1);
            assert_described(&of_all, &name, group.kind, group.unit);
        } else {
            found.extend(assert_described(&of_omegafold, &name, group.kind, group.unit));
        }
    }
    assert_all_found(&of_omegafold, &found);
}
