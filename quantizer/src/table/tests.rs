//! The rows agree with each other.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_found_and_occur_once() {
    let rows = Parts::ALL.rows();
    let mut names = BTreeSet::new();
    for row in &rows {
        assert!(names.insert(row.name), "{} occurs twice", row.name);
        assert_eq!(find(&row.numbered(3)), Some((*row, if pattern::is_numbered(row.name) { 3 } else { 0 })));
        let repeats = row.repeat != Repeat::Once;
        assert_eq!(pattern::is_numbered(row.name), repeats, "{}", row.name);
        for source in row.sources {
            // A source of many groups is cut; one of a single group is the group's.
            assert!(
                pattern::is_numbered(source.name) == repeats || row.kind == Kind::Columns,
                "{}",
                source.name
            );
            assert_eq!(pattern::is_numbered(source.name), pattern::is_numbered(source.fair_esm));
        }
    }
    assert_eq!(find("lm.layers.0"), None);
    assert_eq!(find("fold.trunk.{b}.pair_bias.norm"), None);
}

#[test]
fn sources_are_those_of_one_group() {
    let mut names = BTreeSet::new();
    for source in Parts::ALL.rows().iter().flat_map(|row| row.sources) {
        assert!(names.insert(source.name), "{} occurs twice", source.name);
    }
}

#[test]
fn sites_are_those_of_groups_that_read() {
    for row in Parts::ALL.rows() {
        let readers: Vec<&str> = match row.site {
            Site::Stored { readers, last } => [readers, &[last]].concat(),
            // Without a group of this name, it is that of the groups that name it.
            Site::Of(name) if name != "fold.heads.pair" => vec![name],
            _ => continue,
        };
        for reader in readers {
            let (found, _) = find(&pattern::fill(reader, 0)).unwrap_or_else(|| panic!("{reader}"));
            assert!(matches!(found.kind, Kind::Norm | Kind::Linear), "{reader}");
        }
    }
}

#[test]
fn what_shares_a_number_comes_together() {
    let mut seen = Vec::new();
    let rows = Parts::ALL.language_model();
    let count = |repeat| if repeat == Repeat::Layers { 2 } else { 1 };
    for_each(&rows, count, |row, index| {
        seen.push(row.numbered(index));
        Ok::<(), ()>(())
    })
    .unwrap();
    let at = |name: &str| seen.iter().position(|seen| seen == name).unwrap();
    assert!(at("lm.layers.0.ffn.down") < at("lm.layers.1.attention.norm"));
    assert!(at("lm.layers.1.ffn.down") < at("lm.norm"));
    let stopped = for_each(&rows, count, |row, _| if row.name == "lm.rotary" { Err(7) } else { Ok(()) });
    assert_eq!(stopped, Err(7));
}

#[test]
fn stored_representations_are_seen_where_they_are_read_next() {
    let seen = |name: &str, index, count| find(&pattern::fill(name, index)).unwrap().0.seen_at(index, count);
    let pair = "fold.residual.pair.{k}";
    assert_eq!(PAIR_STATES, foldpoint_core::esmfold::PAIR_SITES);
    assert_eq!(seen(pair, 0, 13).as_deref(), Some("fold.trunk.0.pair_bias.norm"));
    assert_eq!(seen(pair, 11, 13).as_deref(), Some("fold.trunk.1.pair_transition.norm"));
    assert_eq!(seen(pair, 12, 13).as_deref(), Some("fold.structure.pair_input"));
    assert_eq!(seen("lm.residual.{k}", 1, 3).as_deref(), Some("lm.layers.1.attention.norm"));
    assert_eq!(seen("lm.residual.{k}", 2, 3).as_deref(), Some("lm.norm"));
    let output = "fold.structure.attention.output.{i}";
    assert_eq!(seen(output, 1, 2).as_deref(), Some("fold.structure.attention.output"));
    assert_eq!(seen("lm.head.norm", 0, 1), None);
}
