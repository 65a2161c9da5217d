use std::io::Cursor;

use pdbtbx::{Format, PDB, PDBError, ReadOptions, StrictnessLevel};
use proptest::prelude::*;

use super::model::chain_name;
use super::*;
use foldpoint_core::geometry;

/// A model of these sequences whose every number can be told from its neighbours.
fn model(chains: &[&str]) -> Model {
    let mut count = 0;
    let mut residue = |letter: char| {
        let kinds = (0..21).filter_map(geometry::Residue::from_index);
        let kind = kinds.into_iter().find(|kind| kind.letter() == letter).expect("an amino acid");
        let atoms = kind.atoms().iter().map(|atom| {
            count += 1;
            let at = f64::from(count);
            Atom { name: atom.name, position: [at * 0.5 - 3.0, -at, 100.0 + at * 0.001], plddt: at % 100.0 }
        });
        let atoms = atoms.collect();
        Residue { kind, atoms }
    };
    let chains = chains.iter().map(|chain| Chain { residues: chain.chars().map(&mut residue).collect() });
    let chains = chains.collect();
    Model { id: "sp|P1|TEST_é".into(), remarks: vec!["PLDDT 50.0".into(), "x".repeat(100)], chains }
}

fn written(model: &Model, write: fn(&mut dyn std::io::Write, &Model) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes, model).expect("in memory");
    String::from_utf8(bytes).expect("text")
}

fn read(text: &str, format: Format) -> (PDB, Vec<PDBError>) {
    ReadOptions::default()
        .set_format(format)
        .set_level(StrictnessLevel::Strict)
        .read_raw(std::io::BufReader::new(Cursor::new(text.as_bytes())))
        .expect("a strict reader takes it")
}

/// Chain, residue, its number, atom, position, B-factor, element.
type ReadAtom = (String, String, isize, String, [f64; 3], f64, String);

/// Everything of a file that a model holds, in order.
fn read_atoms(pdb: &PDB) -> Vec<ReadAtom> {
    let mut atoms = Vec::new();
    for chain in pdb.chains() {
        for residue in chain.residues() {
            for atom in residue.atoms() {
                atoms.push((
                    chain.id().to_owned(),
                    residue.name().expect("a name").to_owned(),
                    residue.serial_number(),
                    atom.name().to_owned(),
                    [atom.x(), atom.y(), atom.z()],
                    atom.b_factor(),
                    atom.element().expect("an element").symbol().to_owned(),
                ));
            }
        }
    }
    atoms
}

fn assert_same(model: &Model, pdb: &PDB) {
    let mut expected = Vec::new();
    for (chain, index) in model.chains.iter().zip(0..) {
        for (number, residue) in (1..).zip(&chain.residues) {
            for atom in &residue.atoms {
                let (kind, name) = (residue.kind.name().to_owned(), atom.name.to_owned());
                let element = atom.element().to_owned();
                expected.push((chain_name(index), kind, number, name, atom.position, atom.plddt, element));
            }
        }
    }
    let found = read_atoms(pdb);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(
            (&found.0, &found.1, found.2, &found.3),
            (&expected.0, &expected.1, expected.2, &expected.3)
        );
        assert!(found.4.iter().zip(expected.4).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        assert!((found.5 - expected.5).abs() < 1e-9, "{found:?}");
        assert_eq!(found.6, expected.6);
    }
}

#[test]
fn a_pdb_file_is_read_back() {
    let model = model(&["MKVLAAGIXGLCWRHYFNQSTPDE", "GX"]);
    let text = written(&model, pdb);
    let (pdb, warnings) = read(&text, Format::Pdb);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_same(&model, &pdb);
}

#[test]
fn pdb_records_are_where_the_format_wants_them() {
    let text = written(&model(&["XMG", "K"]), pdb);
    assert!(text.lines().all(|line| line.len() == 80), "{text}");
    let records: Vec<&str> = text.lines().map(str::trim_end).collect();
    for expected in [
        "HEADER    PREDICTED STRUCTURE",
        "TITLE     PREDICTED STRUCTURE OF sp|P1|TEST_?",
        "REMARK 250 PLDDT 50.0",
        "ATOM      1  N   MET A   2      -2.500  -1.000 100.001  1.00  1.00           N",
        "ATOM      7  SD  MET A   2       0.500  -7.000 100.007  1.00  7.00           S",
        "TER      13      GLY A   3",
        "ATOM     14  N   LYS B   1       3.500 -13.000 100.013  1.00 13.00           N",
        "TER      23      LYS B   1",
        "END",
    ] {
        assert!(records.contains(&expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn what_a_pdb_file_can_not_hold() {
    assert_eq!(fits_pdb(&[1; 62], 99_999 - 62), Ok(()));
    assert_eq!(fits_pdb(&[1; 63], 63), Err(PdbLimit::Chains(63)));
    assert_eq!(fits_pdb(&[10_000], 50_000), Err(PdbLimit::Residues(10_000)));
    assert_eq!(fits_pdb(&[9_999, 9_999], 99_998), Err(PdbLimit::Serials(100_000)));
    let mut far = model(&["A"]);
    far.chains[0].residues[0].atoms[0].position[1] = -1000.0;
    let error = pdb(&mut Vec::new(), &far).expect_err("too far").to_string();
    assert!(error.contains("a coordinate of -1000.000 A") && error.contains("--format cif"), "{error}");
    far.chains[0].residues[0].atoms[0].position[1] = -999.9994;
    assert_eq!(read(&written(&far, pdb), Format::Pdb).0.atom(0).map(|atom| atom.y()), Some(-999.999));
}

#[test]
fn an_mmcif_file_is_read_back() {
    let model = model(&["MKVLAAGIXGLCWRHYFNQSTPDE", "GX", "GX"]);
    let text = written(&model, mmcif);
    let (pdb, warnings) = read(&text, Format::Mmcif);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_same(&model, &pdb);
    for expected in [
        "data_sp_P1_TEST__\n",
        "\n2 'polypeptide(L)' B,C\n;GX\n;\n",
        "\n1 9 UNK\n",
        "\nC 2\n",
        "\n1 1 2 A 1 MET 2.00\n",
        "\nATOM 2 C CA . MET A 1 1 ? -2.000 -2.000 100.002 1.00 2.00 1 MET A CA 1\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn chains_that_a_pdb_file_has_no_names_for() {
    assert_eq!([0, 25, 26, 27, 701, 702].map(chain_name), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    let model = model(&["A"; 100]);
    assert!(pdb(&mut Vec::new(), &model).is_err());
    assert_same(&model, &read(&written(&model, mmcif), Format::Mmcif).0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_identifier_and_any_sequence_are_read_back(
        id in "\\PC{1,90}",
        chains in proptest::collection::vec("[ACDEFGHIKLMNPQRSTVWYX]{0,30}A", 1..5),
        position in proptest::array::uniform3(-999i32..9999),
    ) {
        let chains: Vec<&str> = chains.iter().map(String::as_str).collect();
        let mut model = model(&chains);
        model.id = id;
        model.chains[0].residues.last_mut().expect("A").atoms[0].position = position.map(f64::from);
        assert_same(&model, &read(&written(&model, pdb), Format::Pdb).0);
        assert_same(&model, &read(&written(&model, mmcif), Format::Mmcif).0);
    }
}
