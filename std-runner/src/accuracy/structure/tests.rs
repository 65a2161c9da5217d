//! Structures typed in, in both formats.

use super::*;

/// A line of a PDB file: group, atom, alternate location, residue, chain, number, insertion code, x,
/// occupancy.
#[rustfmt::skip]
#[expect(clippy::too_many_arguments, reason = "the columns of a line, in order")]
fn pdb_line(group: &str, atom: &str, alternate: char, residue: &str, chain: char, number: isize, insertion: char, x: f64, occupancy: f64) -> String {
    let element = if residue == "MSE" && atom == "SE" { "SE" } else { &atom[..1] };
    format!("{group:<6}{:5} {atom:^4}{alternate}{residue:>3} {chain}{number:4}{insertion}   {x:8.3}{:8.3}{:8.3}{occupancy:6.2}{:6.2}          {element:>2}\n", 1, 2.0, 3.0, 40.5)
}

/// N, CA and C of a residue.
fn residue(group: &str, name: &str, chain: char, number: isize, insertion: char) -> String {
    let atom = |atom| pdb_line(group, atom, ' ', name, chain, number, insertion, 1.0, 1.0);
    ["N", "CA", "C"].map(atom).concat()
}

fn parsed(text: &str) -> Structure {
    parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"))
}

/// Letters and places of a chain.
fn letters(chain: &Chain) -> Vec<(char, &str)> {
    chain.residues.iter().map(|r| (char::from(r.letter), &*r.place)).collect()
}

fn only(text: &str) -> Chain {
    let mut chains = parsed(text).chains;
    assert_eq!(chains.len(), 1, "{chains:?}");
    chains.remove(0)
}

#[test]
fn c_beta_has_the_bond_length_of_alanine() {
    // Alanine with ideal bond lengths and angles, CA at the origin.
    let (n, ca, c) = ([1.458, 0.0, 0.0], [0.0; 3], [-0.5464, 1.4236, 0.0]);
    let cb = virtual_c_beta(n, ca, c);
    assert!((distance(cb, ca) - 1.53).abs() < 0.02, "{cb:?}");
    // L amino acids: looking from H, CO, R and N are clockwise, so b x c and CB lie on opposite sides.
    let b_cross_c_z = (-1.458) * 1.4236;
    assert!(cb[2] * b_cross_c_z < 0.0);
}

#[test]
fn selenomethionine_is_methionine_and_selenium_sulfur() {
    let text = residue("ATOM", "GLY", 'B', 7, ' ')
        + &residue("HETATM", "MSE", 'B', 8, ' ')
        + &pdb_line("HETATM", "SE", ' ', "MSE", 'B', 8, ' ', 9.0, 1.0)
        + &residue("ATOM", "ALA", 'B', 9, ' ');
    let chain = only(&text);
    assert_eq!(letters(&chain), [('G', "7"), ('M', "8"), ('A', "9")]);
    let methionine = &chain.residues[1];
    assert_eq!(methionine.position("SD"), Some([9.0, 2.0, 3.0]));
    assert_eq!(
        (methionine.position("SE"), methionine.is_modified(), methionine.to_string()),
        (None, true, "MSE 8".into())
    );
    assert_eq!(methionine.atoms[1].b_factor, 40.5);
}

#[test]
fn modified_residues_of_any_group_are_their_parents() {
    let names = ["SEP", "TPO", "PTR", "CSO", "HYP", "MLY", "KCX", "CME", "PCA"];
    for group in ["ATOM", "HETATM"] {
        let text: String =
            names.iter().zip(1..).map(|(name, number)| residue(group, name, 'A', number, ' ')).collect();
        let found: String = letters(&only(&text)).into_iter().map(|(letter, _)| letter).collect();
        assert_eq!(found, "STYCPKKCQ", "{group}");
    }
    // Unknown ones with a backbone stay, as X; what has none is no residue.
    let text = residue("ATOM", "GLY", 'A', 1, ' ')
        + &residue("HETATM", "XYZ", 'A', 2, ' ')
        + &pdb_line("HETATM", "C1", ' ', "LIG", 'A', 3, ' ', 1.0, 1.0);
    assert_eq!(letters(&only(&text)), [('G', "1"), ('X', "2")]);
}

#[test]
fn waters_ligands_and_ions_are_no_residues() {
    let text = residue("ATOM", "GLY", 'A', 1, ' ')
        + "TER\n"
        + &pdb_line("HETATM", "CA", ' ', "CA", 'A', 301, ' ', 1.0, 1.0)
        + &pdb_line("HETATM", "O", ' ', "HOH", 'A', 401, ' ', 1.0, 1.0)
        + &residue("HETATM", "GLU", 'A', 302, ' ')
        + &residue("HETATM", "SAH", 'A', 303, ' ')
        + &pdb_line("HETATM", "OXT", ' ', "SAH", 'A', 303, ' ', 1.0, 1.0)
        + &pdb_line("ATOM", "O", ' ', "HOH", 'W', 1, ' ', 1.0, 1.0);
    assert_eq!(letters(&only(&text)), [('G', "1")]);
}

#[test]
fn modified_residues_behind_the_chain_are_put_where_they_belong() {
    let text = residue("ATOM", "GLY", 'A', 1, ' ')
        + &residue("ATOM", "ALA", 'A', 3, ' ')
        + "TER\n"
        + &residue("HETATM", "MSE", 'A', 2, ' ')
        + &residue("HETATM", "MSE", 'A', 4, ' ');
    assert_eq!(letters(&only(&text)), [('G', "1"), ('M', "2"), ('A', "3"), ('M', "4")]);
    assert_eq!(letters(&only(&text.replace("TER\n", ""))), [('G', "1"), ('M', "2"), ('A', "3"), ('M', "4")]);
}

/// CA of one residue at the alternate location, x and occupancy of each.
fn alternatives(of: &[(char, &str, f64, f64)]) -> String {
    let backbone =
        ["N", "C"].map(|atom| pdb_line("ATOM", atom, ' ', of[0].1, 'A', 1, ' ', 0.0, 1.0)).concat();
    of.iter().fold(backbone, |text, &(alternate, name, x, occupancy)| {
        text + &pdb_line("ATOM", "CA", alternate, name, 'A', 1, ' ', x, occupancy)
    })
}

#[test]
fn the_best_occupied_alternative_counts_and_the_first_of_equals() {
    let ca = |text: &str| only(text).residues[0].position("CA").map(|[x, ..]| x);
    assert_eq!(ca(&alternatives(&[('A', "SER", 1.0, 0.3), ('B', "SER", 2.0, 0.7)])), Some(2.0));
    assert_eq!(ca(&alternatives(&[('A', "SER", 1.0, 0.5), ('B', "SER", 2.0, 0.5)])), Some(1.0));
    assert_eq!(ca(&alternatives(&[('B', "SER", 2.0, 0.5), ('A', "SER", 1.0, 0.5)])), Some(2.0));
    // Only alternative B or 1, or no occupancy at all.
    assert_eq!(ca(&alternatives(&[('B', "SER", 2.0, 0.5)])), Some(2.0));
    assert_eq!(ca(&alternatives(&[('1', "SER", 2.0, 0.0), ('2', "SER", 3.0, 0.0)])), Some(2.0));
    let residue = only(&alternatives(&[('A', "SER", 1.0, 0.3), ('B', "SER", 2.0, 0.7)])).residues.remove(0);
    assert!(residue.several && residue.atoms.len() == 3);
    assert!(!only(&alternatives(&[('A', "SER", 1.0, 0.3)])).residues[0].several);
}

#[test]
fn a_blank_alternative_beside_a_named_one_counts_by_its_occupancy() {
    let residue = |blank, named| {
        only(&alternatives(&[(' ', "SER", 1.0, blank), ('B', "SER", 2.0, named)])).residues.remove(0)
    };
    for (blank, named, x) in [(0.3, 0.7, 2.0), (0.7, 0.3, 1.0), (0.5, 0.5, 1.0)] {
        let residue = residue(blank, named);
        assert_eq!(residue.position("CA").map(|[x, ..]| x), Some(x), "{blank} {named}");
        assert!(residue.several && residue.atoms.len() == 3);
    }
}

#[test]
fn a_second_copy_of_a_chain_is_a_chain_of_its_own() {
    let chain = |x: f64| {
        let residue = |(number, name): (isize, &str)| {
            ["N", "CA", "C"].map(|atom| pdb_line("ATOM", atom, ' ', name, 'A', number, ' ', x, 1.0)).concat()
        };
        [(1, "GLY"), (2, "ALA"), (3, "SER")].map(residue).concat()
    };
    let structure = parsed(&(chain(1.0) + &chain(2.0) + &residue("HETATM", "MSE", 'A', 4, ' ')));
    let found: Vec<_> = structure.chains.iter().map(|chain| (chain.name.as_str(), letters(chain))).collect();
    let first = vec![('G', "1"), ('A', "2"), ('S', "3")];
    let second = [&first[..], &[('M', "4")]].concat();
    assert_eq!(found, [("A", first), ("A", second)]);
    let x = |chain: usize| structure.chains[chain].residues[1].position("CA").map(|[x, ..]| x);
    assert_eq!((x(0), x(1)), (Some(1.0), Some(2.0)));
    // An alternative that is written behind all of the chain is none.
    let other =
        chain(2.0).replace("  N   ", "  N  B").replace("  CA  ", "  CA B").replace("  C   ", "  C  B");
    assert_eq!(parsed(&(chain(1.0) + &other)).chains.len(), 1);
}

#[test]
fn a_byte_order_mark_costs_no_atom() {
    let text = residue("ATOM", "GLY", 'A', 1, ' ');
    assert_eq!(only(&format!("\u{feff}{text}")), only(&text));
    assert_eq!(parsed(&format!("\u{feff}{COLUMNS}{ROWS}")), parsed(&(COLUMNS.to_owned() + ROWS)));
}

#[test]
fn a_residue_is_all_of_one_alternative() {
    // Two atoms whose occupancies disagree: B has the higher mean, so A's CB is not mixed in.
    let text = alternatives(&[('A', "SER", 1.0, 0.2), ('B', "SER", 2.0, 0.6)])
        + &pdb_line("ATOM", "CB", 'A', "SER", 'A', 1, ' ', 1.5, 0.55)
        + &pdb_line("ATOM", "CB", 'B', "SER", 'A', 1, ' ', 2.5, 0.45)
        + &pdb_line("ATOM", "OG", 'A', "SER", 'A', 1, ' ', 1.7, 0.5);
    let residue = only(&text).residues.remove(0);
    let x = |name| residue.position(name).map(|[x, ..]| x);
    assert_eq!((x("CA"), x("CB"), x("N")), (Some(2.0), Some(2.5), Some(0.0)));
    // An atom that is there in one alternative alone is not lost.
    assert_eq!(x("OG"), Some(1.7));
}

#[test]
fn alternatives_may_be_different_amino_acids() {
    let text = ["N", "CA", "C", "CB", "OG1"]
        .map(|a| pdb_line("ATOM", a, 'A', "THR", 'A', 5, ' ', 1.0, 0.4))
        .concat()
        + &["N", "CA", "C", "CB", "SD"]
            .map(|a| pdb_line("ATOM", a, 'B', "MET", 'A', 5, ' ', 2.0, 0.6))
            .concat();
    let chain = only(&text);
    assert_eq!(letters(&chain), [('M', "5")]);
    assert_eq!((chain.residues[0].position("OG1"), chain.residues[0].atoms.len()), (None, 5));
}

#[test]
fn the_first_model_of_an_ensemble() {
    let model = |n: usize, x: f64| {
        format!("MODEL     {n:4}\n{}ENDMDL\n", pdb_line("ATOM", "CA", ' ', "GLY", 'A', 1, ' ', x, 1.0))
    };
    for text in [
        model(1, 1.0) + &model(2, 2.0) + &model(3, 3.0) + "END\n",
        model(7, 1.0).replace("ENDMDL\n", "") + &model(8, 2.0) + &model(9, 3.0),
        (model(1, 1.0) + &model(2, 2.0) + &model(3, 3.0)).replace("MODEL", "REMARK"),
    ] {
        let structure = parsed(&text);
        assert_eq!((structure.models, structure.chains.len()), (3, 1), "{text}");
        assert_eq!(structure.chains[0].residues[0].position("CA"), Some([1.0, 2.0, 3.0]));
    }
    assert_eq!(parsed(&(residue("ATOM", "GLY", 'A', 1, ' ') + "END\n")).models, 1);
}

#[test]
fn insertion_codes_and_chains() {
    let text = residue("ATOM", "GLY", 'H', 52, ' ')
        + &residue("ATOM", "ALA", 'H', 52, 'A')
        + &residue("ATOM", "SER", 'H', 52, 'B')
        + &residue("ATOM", "THR", 'H', 53, ' ')
        + "TER\n"
        + &residue("ATOM", "LYS", 'L', 52, ' ')
        + "TER\n";
    let chains = parsed(&text).chains;
    assert_eq!(letters(&chains[0]), [('G', "52"), ('A', "52A"), ('S', "52B"), ('T', "53")]);
    assert_eq!((chains[1].name.as_str(), letters(&chains[1])), ("L", vec![('K', "52")]));
}

#[test]
fn chains_without_names_end_at_their_ter() {
    let text = residue("ATOM", "GLY", ' ', 1, ' ') + "TER\n" + &residue("ATOM", "ALA", ' ', 2, ' ') + "TER\n";
    assert_eq!(parsed(&text).chains.len(), 2);
    // A named chain goes on behind a TER, unless its numbers begin anew.
    let text = residue("ATOM", "GLY", 'A', 1, ' ') + "TER\n" + &residue("ATOM", "ALA", 'A', 2, ' ') + "TER\n";
    assert_eq!(letters(&only(&text)), [('G', "1"), ('A', "2")]);
    let text = residue("ATOM", "GLY", 'A', 1, ' ') + "TER\n" + &residue("ATOM", "ALA", 'A', 1, ' ') + "TER\n";
    assert_eq!(parsed(&text).chains.len(), 2);
}

/// Rows of atoms: group, element, atom, alternate, residue, label chain, label number, insertion, x,
/// occupancy, author's number, author's chain, model.
const COLUMNS: &str = "data_1ABC\n#\nloop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n\
    _atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_id\n\
    _atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.occupancy\n\
    _atom_site.B_iso_or_equiv\n_atom_site.auth_seq_id\n_atom_site.auth_asym_id\n_atom_site.pdbx_PDB_model_num\n";
const ROWS: &str = "\
ATOM 1 N N . GLY A 1 ? 1.0 2.0 3.0 1.00 40.5 11 H 1
ATOM 2 C CA . GLY A 1 ? 1.5 2.0 3.0 1.00 40.5 11 H 1
ATOM 3 C 'CA' A SER A 2 A 2.0 2.0 3.0 0.40 40.5 11 H 1
ATOM 4 C CA B SER A 2 A 2.5(3) 2.0 3.0 0.60 40.5 11 H 1
HETATM 5 C CA . MSE A 3 ? 3.0 2.0 3.0 ? ? 12 H 1
HETATM 6 SE SE . MSE A 3 ? 4.0 2.0 3.0 1.00 40.5 12 H 1
ATOM 7 C CA . LYS B 1 ? 5.0 2.0 3.0 1.00 40.5 5 A 1
HETATM 8 C CA . GLY C . ? 6.0 2.0 3.0 1.00 40.5 201 H 1
HETATM 9 O O . HOH D . ? 7.0 2.0 3.0 1.00 40.5 301 H 1
ATOM 10 C CA . GLY A 1 ? 9.0 2.0 3.0 1.00 40.5 11 H 2
#
";

#[test]
fn mmcif_has_both_names_of_chains_and_numbers_of_the_sequence() {
    let other = "data_x\n_entry.id 'a b'\n_struct.title\n;loop_\n_atom_site.x\n;\nloop_\n_a.b\n_a.c\n1 ';'\n";
    for text in [
        COLUMNS.to_owned() + ROWS,
        COLUMNS.to_uppercase().replace("DATA_1ABC\n", other) + ROWS + "_tail.x 1\n",
    ] {
        let structure = parsed(&text);
        let [heavy, other] = &structure.chains[..] else { panic!("{structure:?}") };
        assert_eq!((heavy.name.as_str(), heavy.label.as_deref(), structure.models), ("H", Some("A"), 2));
        assert_eq!((other.name.as_str(), other.label.as_deref()), ("A", Some("B")));
        assert_eq!(letters(heavy), [('G', "11"), ('S', "11A"), ('M', "12")]);
        assert_eq!(heavy.residues.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 2, 3]);
        let x = |i: usize, name| heavy.residues[i].position(name).map(|[x, ..]| x);
        assert_eq!((x(0, "CA"), x(1, "CA"), x(2, "SD")), (Some(1.5), Some(2.5), Some(4.0)));
    }
}

#[test]
fn mmcif_with_fewer_columns() {
    let columns = [
        "group_PDB",
        "label_atom_id",
        "label_comp_id",
        "label_asym_id",
        "label_seq_id",
        "Cartn_x",
        "Cartn_y",
        "Cartn_z",
    ];
    let head = |skip: &str| {
        let names = columns.iter().filter(|name| **name != skip).map(|name| format!("_atom_site.{name}\n"));
        format!("# a comment\n\ndata_\nloop_\n{}", names.collect::<String>())
    };
    let chain = only(&(head("") + "ATOM CA GLY B 4 1 2 3\nHETATM CA \"MSE\" B 5 1 2 3"));
    assert_eq!((chain.name.as_str(), letters(&chain)), ("B", vec![('G', "4"), ('M', "5")]));
    let error = |text: String| {
        let malformed = parse(text.as_bytes()).expect_err("malformed");
        (malformed.line, malformed.reason)
    };
    assert_eq!(
        error(head("Cartn_y")),
        (Some(4), "its loop of atoms has no column _atom_site.cartn_y".into())
    );
    assert_eq!(error(head("") + "ATOM CA GLY B 4 1 2\n#\n"), (Some(13), "the row has 7 of 8 values".into()));
    assert_eq!(error(head("") + "ATOM CA GLY B 4 1 y 3\n").1, "a coordinate is `y`; expected a number");
    assert_eq!(error(head("") + "ATOM CA GLY B 4 1 ? 3\n").1, "a coordinate is missing");
    assert_eq!(error(head("") + "ATOM CA GLY B four 1 2 3\n").1, "`four` is no residue number");
    assert_eq!(error("data_x\n_entry.id x\n".into()).1, "it has no atoms; expected an _atom_site loop");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let good = residue("ATOM", "GLY", 'A', 1, ' ');
    let error = |bad: &str, with: &str, end: &str| {
        let text = good.replace('\n', end);
        let line = text.split(end).nth(1).expect("a line").to_owned();
        let malformed =
            parse(text.replacen(&line, &line.replace(bad, with), 1).as_bytes()).expect_err("malformed");
        (malformed.line, malformed.reason)
    };
    for end in ["\n", "\r\n", "\r"] {
        let number = (Some(2), "columns 31 to 38 are `1.o00`; expected a number".into());
        assert_eq!(error("1.000", "1.o00", end), number, "{end:?}");
    }
    assert_eq!(error("   1    ", "   ?    ", "\n").1, "columns 23 to 26 are `?`; expected a residue number");
    assert_eq!(
        error("   1    ", "        ", "\n").1,
        "columns 23 to 26 are blank; expected a residue number"
    );
    assert_eq!(
        error("3.000  1.00 40.50           C", "", "\n").1,
        "columns 47 to 54 are blank; expected a coordinate"
    );
    assert_eq!(error("3.000", "  NaN", "\n").1, "columns 47 to 54 are `NaN`; expected a number");
    for empty in ["", "END\n", "HEADER    a\n", "\0\u{1}\u{2}"] {
        assert_eq!(
            parse(empty.as_bytes()).expect_err("empty").reason,
            "it has no atoms; expected ATOM records"
        );
    }
}

#[test]
fn numbers_beyond_four_digits_and_blank_occupancies() {
    let text = residue("ATOM", "GLY", 'A', 9999, ' ')
        + &residue("ATOM", "ALA", 'A', 1, ' ').replace("A   1 ", "AA000 ");
    assert_eq!(letters(&only(&text)), [('G', "9999"), ('A', "10000")]);
    let short: String =
        residue("ATOM", "GLY", 'A', -3, ' ').lines().map(|line| format!("{}\n", &line[..54])).collect();
    let chain = only(&short);
    assert_eq!((letters(&chain), chain.residues[0].atoms[0].b_factor), (vec![('G', "-3")], 0.0));
}

#[test]
fn files_plain_and_gzipped_whatever_they_are_called() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a folder");
    let pdb = residue("ATOM", "GLY", 'A', 1, ' ');
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(pdb.as_bytes()).expect("in memory");
    let gzipped = encoder.finish().expect("in memory");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    assert_eq!(
        read(&file("a.pdb", pdb.as_bytes())).expect("read"),
        read(&file("b.ENT", &gzipped)).expect("read")
    );
    assert_eq!(read(&file("c.pdb", (COLUMNS.to_owned() + ROWS).as_bytes())).expect("read").chains.len(), 2);
    let error = |path: PathBuf| read(&path).expect_err("it is damaged").to_string();
    assert!(
        error(file("d.pdb.gz", &gzipped[..30]))
            .contains("d.pdb.gz: not a readable PDB or mmCIF file: its gzip data are damaged")
    );
    assert!(
        error(file("e.pdb", b"ATOM  \n"))
            .contains("e.pdb:1: not a readable PDB or mmCIF file: columns 23 to 26 are blank")
    );
    assert!(error("no/such.pdb".into()).starts_with("no/such.pdb: not a readable PDB or mmCIF file"));
}
