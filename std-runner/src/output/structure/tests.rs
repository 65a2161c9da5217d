use std::io::Cursor;

use pdbtbx::{Format, PDB, PDBError, ReadOptions, StrictnessLevel};
use proptest::prelude::*;

use super::*;
use crate::output::AlignedErrors;
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
    let provenance = Provenance {
        method: Method::EsmFold { passes: 4 },
        model: "tiny.fpm".into(),
        checkpoint: "x".repeat(100),
        quantizer: "0.1.0".into(),
    };
    let scores = Scores { ptm: Some(0.5), iptm: Some(0.25), best_cycle: None };
    let header = "sp|P1|TEST_é a protein\tOS=Nobody".into();
    Model { id: "sp|P1|TEST_é".into(), header, provenance, scores, chains }
}

fn mmcif(out: &mut dyn std::io::Write, model: &Model) -> std::io::Result<()> {
    super::mmcif(out, model, None)
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
        // pdbtbx numbers SEQRES from 0 where there is no DBREF, and knows no free remarks:
        // scripts/check-readers has other readers.
        .set_only_atomic_coords(true)
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
    let text = written(&model(&["XMG", "K", "X", &"A".repeat(14)]), pdb);
    assert!(text.lines().all(|line| line.len() == 80), "{text}");
    let records: Vec<&str> = text.lines().map(str::trim_end).collect();
    for expected in [
        "HEADER    PREDICTED STRUCTURE                     28-NOV-26",
        "TITLE     Predicted structure of sp|P1|TEST_? a protein OS=Nobody",
        "COMPND    MOL_ID: 1;",
        "COMPND   5 MOLECULE: sp|P1|TEST_? a protein OS=Nobody, chain B;",
        "COMPND  12 CHAIN: D;",
        "EXPDTA    THEORETICAL MODEL",
        concat!("REMARK   6 FOLDPOINT ", env!("CARGO_PKG_VERSION"), ", INTEGER ARITHMETIC, PASSES 4"),
        "REMARK   6 MODEL tiny.fpm",
        "REMARK   6 MEAN PLDDT OF CA 47.24 PTM 0.500 IPTM 0.250",
        "REMARK 465   M RES C SSSEQI",
        "REMARK 465     UNK A     1",
        "REMARK 465     UNK C     1",
        "SEQRES   1 A    3  UNK MET GLY",
        "SEQRES   1 C    1  UNK",
        "SEQRES   1 D   14  ALA ALA ALA ALA ALA ALA ALA ALA ALA ALA ALA ALA ALA",
        "SEQRES   2 D   14  ALA",
        "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1",
        "ORIGX2      0.000000  1.000000  0.000000        0.00000",
        "SCALE3      0.000000  0.000000  1.000000        0.00000",
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
        "\n_struct.title 'Predicted structure of sp|P1|TEST_? a protein OS=Nobody'\n",
        "\n_exptl.method 'THEORETICAL MODEL'\n",
        "\nUNK 'L-peptide linking' . UNKNOWN ? 'C4 H9 N O2' 103.120\n",
        "\nC\nN\nO\nS\n#",
        "\n2 polymer man 'sp|P1|TEST_? a protein OS=Nobody, chains B, C' 2\n",
        "\n2 polypeptide(L) no no B,C G(UNK) GX\n",
        "\n1 9 UNK n\n",
        "\nC 2 N N ?\n",
        "\nC 2 1 GLY 1 1 1 GLY GLY C . n\nC 2 2 UNK 2 2 ? ? ? C . n\n",
        "\n2 1 Y 1 B UNK 2 ? B UNK 2\n",
        "\n1 2 designed\n2 3 designed\n",
        "\n2 1 3 0.500\n3 1 4 0.250\n",
        "\n1 1 2 A 1 MET 2.00\n",
        "\nATOM 2 C CA . MET A 1 1 ? -2.000 -2.000 100.002 1.00 2.00 1 MET A CA 1\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn aligned_errors_are_in_an_mmcif_file_by_residue() {
    let model = model(&["GX", "K"]);
    let errors = AlignedErrors::new(&model, 9, |place| place as f32).expect("3 x 3");
    let mut bytes = Vec::new();
    super::mmcif(&mut bytes, &model, Some(&errors)).expect("in memory");
    let text = String::from_utf8(bytes).expect("text");
    for expected in [
        "\n5 PAE \"Predicted error of residue 2's position, residue 1 aligned, in angstroms\" local-pairwise PAE 1\n",
        "_ma_qa_metric_local_pairwise.metric_value\n\
         1 1 5 A 1 GLY A 1 GLY 0.00\n\
         2 1 5 A 1 GLY B 1 LYS 2.00\n\
         3 1 5 B 1 LYS A 1 GLY 6.00\n\
         4 1 5 B 1 LYS B 1 LYS 8.00\n#",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!written(&model, mmcif).contains("PAE"));
    assert_same(&model, &read(&text, Format::Mmcif).0);
}

#[test]
fn long_headers_are_broken_at_blanks_and_cut() {
    let mut long = model(&["G"]);
    long.header = "word ".repeat(300);
    let text = written(&long, pdb);
    let title: Vec<&str> = text.lines().filter(|line| line.starts_with("TITLE")).map(str::trim_end).collect();
    assert_eq!(title[0], format!("TITLE     Predicted structure of{}", " word".repeat(9)));
    assert_eq!(title[1], format!("TITLE    2{}", " word".repeat(14)));
    assert!(title.last().expect("a title").ends_with(" wo..."), "{title:?}");
    // Every 69 characters of a word without blanks.
    long.header = "x".repeat(2000);
    let text = written(&long, pdb);
    assert!(text.contains(&format!("\nTITLE    3 {}\n", "x".repeat(69))) && text.contains("x... "), "{text}");
    let cif = written(&long, mmcif);
    assert!(cif.contains(&format!("'Predicted structure of {}...'\n", "x".repeat(997))), "{cif}");
    // 62 entities with such names have room, too.
    let kinds = "ARNDCQEGHILKMFPSTWYV".repeat(2);
    let mut many = model(&(0..62).map(|i| &kinds[i % 20..=i % 20 + i / 20]).collect::<Vec<_>>());
    let residues = many.chains.iter_mut().flat_map(|chain| &mut chain.residues);
    residues.flat_map(|residue| &mut residue.atoms).for_each(|atom| atom.position = [0.0; 3]);
    assert_eq!(entity::Entities::of(&many).first.len(), 62);
    many.header = "x".repeat(2000);
    let text = written(&many, pdb);
    let wrong: Vec<&str> = text.lines().filter(|line| line.len() != 80).collect();
    assert!(wrong.is_empty() && text.contains("COMPND"), "{wrong:?}");
    // Biopython takes this word for a table even in quotes.
    (long.id, long.header) = ("Loop_".into(), "Loop_".into());
    let values = cif_values(&written(&long, mmcif));
    assert_eq!((values["data_"].as_str(), values["_entry.id"].as_str()), ("Loop__", "Loop__"));
    (long.id, long.header) = (String::new(), " ".into());
    assert!(written(&long, pdb).contains("\nTITLE     Predicted structure  "));
    assert!(written(&long, mmcif).starts_with("data_prediction\n"));
}

#[test]
fn mean_plddt_is_over_ca_atoms() {
    let mut model = model(&["XA", "G"]);
    let residues = model.chains.iter_mut().flat_map(|chain| &mut chain.residues);
    for (atom, plddt) in
        residues.flat_map(|residue| residue.atoms.iter_mut()).zip([0.0, 80.0, 0.0, 0.0, 0.0, 0.0, 60.0])
    {
        atom.plddt = plddt;
    }
    assert_eq!(model.mean_plddt(), 70.0);
    assert_eq!(Model::default().mean_plddt(), 0.0);
}

#[test]
fn chains_that_a_pdb_file_has_no_names_for() {
    let names = [0, 25, 26, 51, 52, 61, 62, 63, 87, 88, 737, 738].map(chain_name);
    assert_eq!(names, ["A", "Z", "a", "z", "0", "9", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
    let most = self::model(&["AX"; 62]);
    let (pdb, cif) =
        (read(&written(&most, pdb), Format::Pdb).0, read(&written(&most, mmcif), Format::Mmcif).0);
    assert_same(&most, &pdb);
    assert_same(&most, &cif);
    let model = model(&["A"; 100]);
    assert!(super::pdb(&mut Vec::new(), &model).is_err());
    assert_same(&model, &read(&written(&model, mmcif), Format::Mmcif).0);
}

/// The items of a CIF file that are in no table, as its grammar has them, and the name of its data block.
fn cif_values(text: &str) -> std::collections::HashMap<String, String> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        let at_line_start = text[..text.len() - rest.len() + start].ends_with(['\n']);
        let token = &rest[start..];
        let first = token.chars().next().expect("a character");
        // Where the token ends, and how many characters around the value are none of it.
        let (end, quotes) = match first {
            '#' => (token.find('\n').unwrap_or(token.len()), usize::MAX),
            ';' if at_line_start => (token.find("\n;").expect("an end") + 2, 1),
            '\'' | '"' => {
                let closes = |(at, c): &(usize, char)| {
                    *at > 0 && *c == first && token[at + 1..].starts_with(char::is_whitespace)
                };
                (token.char_indices().find(closes).expect("an end").0 + 1, 1)
            }
            _ => (token.find(char::is_whitespace).expect("an end"), 0),
        };
        match (first, quotes) {
            (_, usize::MAX) => {}
            (';', 1) => tokens.push((token[1..end - 2].to_owned(), true)),
            _ => tokens.push((token[quotes..end - quotes].to_owned(), quotes > 0)),
        }
        rest = &token[end..];
    }
    let name = tokens[0].0.strip_prefix("data_").expect("a data block").to_owned();
    let mut values: std::collections::HashMap<_, _> = [("data_".to_owned(), name)].into();
    let mut tokens = tokens.into_iter().skip(1).peekable();
    while let Some((token, quoted)) = tokens.next() {
        if !quoted && token == "loop_" {
            let is_tag = |(token, quoted): &(String, bool)| !quoted && token.starts_with('_');
            let columns = std::iter::from_fn(|| tokens.next_if(is_tag)).count();
            let is_value =
                |(token, quoted): &(String, bool)| *quoted || !(token.starts_with('_') || token == "loop_");
            let cells = std::iter::from_fn(|| tokens.next_if(is_value)).count();
            assert!(cells > 0 && cells % columns == 0, "{cells} cells of {columns} columns");
        } else {
            assert!(!quoted && token.starts_with('_'), "{token} is no item's name");
            values.insert(token, tokens.next().expect("a value").0);
        }
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_identifier_and_any_sequence_are_read_back(
        id in "\\PC{1,90}|(data_|loop_|[;'\"#$_?. \\[\\]]){1,5}[a-z]?",
        more in "([ \t]?[ -~]|[;'\" ]){0,120}",
        chains in proptest::collection::vec("[ACDEFGHIKLMNPQRSTVWYX]{0,30}A", 1..5),
        position in proptest::array::uniform3(-999i32..9999),
    ) {
        let chains: Vec<&str> = chains.iter().map(String::as_str).collect();
        let mut model = model(&chains);
        (model.id, model.header) = (id.clone(), format!("{id}{more}"));
        model.chains[0].residues.last_mut().expect("A").atoms[0].position = position.map(f64::from);
        assert_same(&model, &read(&written(&model, pdb), Format::Pdb).0);
        let text = written(&model, mmcif);
        assert_same(&model, &read(&text, Format::Mmcif).0);

        let values = cif_values(&text);
        let header: Vec<&str> = model.header.split_whitespace().collect();
        let header: String = header.join(" ").chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect();
        let title = if header.is_empty() { "Predicted structure".into() } else { format!("Predicted structure of {header}") };
        prop_assert_eq!(&values["_struct.title"], &title);
        prop_assert_eq!(&values["_exptl.entry_id"], &values["_entry.id"]);
        prop_assert_eq!(&values["data_"], &values["_entry.id"]);
    }
}
