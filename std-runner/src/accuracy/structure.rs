//! Structure files: the virtual C-beta of every residue that has a backbone, or all atoms.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pdbtbx::{Chain, Format, ReadOptions, Residue, StrictnessLevel};

/// Coordinates in ångström.
pub type Point = [f64; 3];

/// One residue of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainResidue {
    /// The residue number of the file.
    pub number: isize,
    /// One-letter code, X if unknown.
    pub letter: u8,
    /// Virtual C-beta, placed from N, CA and C: glycine has one, too.
    pub c_beta: Point,
}

/// One residue of a chain with its atoms.
#[derive(Clone, Debug, PartialEq)]
pub struct AtomResidue {
    /// The residue number of the file.
    pub number: isize,
    /// One-letter code, X if unknown.
    pub letter: u8,
    /// In the file's order.
    pub atoms: Vec<Atom>,
}

/// One atom.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// As in the PDB.
    pub name: String,
    /// Where it is.
    pub position: Point,
    /// Temperature factor: in predictions, the pLDDT.
    pub b_factor: f64,
}

impl AtomResidue {
    /// Where the atom `name` is.
    pub fn position(&self, name: &str) -> Option<Point> {
        self.atoms.iter().find(|a| a.name == name).map(|a| a.position)
    }

    fn of(residue: &Residue) -> Option<Self> {
        let (number, None) = residue.id() else { return None };
        let conformer =
            residue.conformers().find(|c| matches!(c.alternative_location(), None | Some("A")))?;
        let atom = |a: &pdbtbx::Atom| Atom {
            name: a.name().to_owned(),
            position: [a.x(), a.y(), a.z()],
            b_factor: a.b_factor(),
        };
        let atoms = conformer.atoms().filter(|a| !a.hetero()).map(atom).collect();
        Some(Self { number, letter: letter(conformer.name()), atoms })
    }

    fn backbone(self) -> Option<ChainResidue> {
        let [n, ca, c] = ["N", "CA", "C"].map(|name| self.position(name));
        let c_beta = virtual_c_beta(n?, ca?, c?);
        Some(ChainResidue { number: self.number, letter: self.letter, c_beta })
    }
}

/// A structure file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: not a readable PDB file: {reason}", path.display())]
pub struct StructureError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// Residues with a complete backbone in the first model's chain `chain` (or its first chain, if that has none), in order
/// of their numbers. Reads `.pdb` and `.pdb.gz`; ATOM records only, alternative location A, no insertion codes.
///
/// # Errors
/// [`StructureError`] with the file's name.
pub fn read(path: &Path, chain: Option<&str>) -> Result<Vec<ChainResidue>, StructureError> {
    read_chain(path, chain, AtomResidue::backbone)
}

/// As [`read`], but residues that have a CA, with all their atoms.
///
/// # Errors
/// As [`read`].
pub fn read_atoms(path: &Path, chain: Option<&str>) -> Result<Vec<AtomResidue>, StructureError> {
    read_chain(path, chain, |residue| residue.position("CA").is_some().then_some(residue))
}

fn read_chain<R>(
    path: &Path,
    chain: Option<&str>,
    keep: impl Fn(AtomResidue) -> Option<R>,
) -> Result<Vec<R>, StructureError> {
    let error = |reason: String| StructureError { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|e| error(e.to_string()))?;
    let gzipped = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    let input: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let (pdb, _) = ReadOptions::default()
        .set_format(Format::Pdb)
        .set_level(StrictnessLevel::Loose)
        .set_only_first_model(true)
        .set_only_atomic_coords(true)
        .read_raw(BufReader::new(input))
        .map_err(|errors| error(errors.first().map_or_else(String::new, ToString::to_string)))?;
    let of = |c: &Chain| -> BTreeMap<(isize, u8), R> {
        let residues = c.residues().filter_map(AtomResidue::of);
        residues.filter_map(|r| Some(((r.number, r.letter), keep(r)?))).collect()
    };
    let named = pdb.chains().find(|c| chain == Some(c.id())).map(of).filter(|r| !r.is_empty());
    let residues = named.or_else(|| pdb.chains().map(of).find(|r| !r.is_empty())).unwrap_or_default();
    Ok(residues.into_values().collect())
}

/// C-beta at ideal geometry from the backbone (the trRosetta convention).
pub fn virtual_c_beta(n: Point, ca: Point, c: Point) -> Point {
    let b = subtract(ca, n);
    let c = subtract(c, ca);
    let a = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
    std::array::from_fn(|i| -0.582_734_31 * a[i] + 0.568_028_27 * b[i] - 0.540_674_66 * c[i] + ca[i])
}

/// Distance in ångström.
pub fn distance(a: Point, b: Point) -> f64 {
    subtract(a, b).iter().map(|d| d * d).sum::<f64>().sqrt()
}

fn subtract(a: Point, b: Point) -> Point {
    std::array::from_fn(|i| a[i] - b[i])
}

fn letter(name: &str) -> u8 {
    match name {
        "ALA" => b'A',
        "ARG" => b'R',
        "ASN" => b'N',
        "ASP" => b'D',
        "CYS" => b'C',
        "GLN" => b'Q',
        "GLU" => b'E',
        "GLY" => b'G',
        "HIS" => b'H',
        "ILE" => b'I',
        "LEU" => b'L',
        "LYS" => b'K',
        "MET" | "MSE" => b'M',
        "PHE" => b'F',
        "PRO" => b'P',
        "SER" => b'S',
        "THR" => b'T',
        "TRP" => b'W',
        "TYR" => b'Y',
        "VAL" => b'V',
        _ => b'X',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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

    const PDB: &str = "\
ATOM      1  N   GLY B   7      11.104   6.134  -6.504  1.00  0.00           N
ATOM      2  CA  GLY B   7      11.639   6.071  -5.147  1.00  0.00           C
ATOM      3  C   GLY B   7      12.689   7.143  -4.921  1.00  0.00           C
ATOM      4  N   ALA B   8      13.104   8.134  -4.504  1.00  0.00           N
ATOM      5  CA AALA B   8      13.639   8.071  -3.147  0.50  0.00           C
ATOM      6  CA BALA B   8      13.939   8.071  -3.147  0.50  0.00           C
ATOM      7  C   ALA B   8      14.689   9.143  -2.921  1.00  0.00           C
ATOM      8  CA  SER B   9      15.639   9.071  -1.147  1.00  0.00           C
TER
HETATM    9  N   MSE B  10      15.104   8.134  -4.504  1.00  0.00           N
HETATM   10  CA  MSE B  10      15.639   8.071  -3.147  1.00  0.00           C
HETATM   11  C   MSE B  10      16.689   9.143  -2.921  1.00  0.00           C
END
";

    #[test]
    fn complete_backbones_of_one_chain() {
        let mut file = tempfile::Builder::new().suffix(".pdb").tempfile().expect("a file");
        file.write_all(PDB.as_bytes()).expect("written");
        let residues = read(file.path(), Some("B")).expect("a PDB file");
        let found: Vec<_> = residues.iter().map(|r| (r.number, r.letter)).collect();
        assert_eq!(found, [(7, b'G'), (8, b'A')]);
        let expected =
            virtual_c_beta([13.104, 8.134, -4.504], [13.639, 8.071, -3.147], [14.689, 9.143, -2.921]);
        assert!(distance(residues[1].c_beta, expected) < 1e-9);
        assert_eq!(read(file.path(), Some("Z")).expect("a PDB file"), residues);
    }

    #[test]
    fn atoms_of_residues_with_a_ca() {
        let mut file = tempfile::Builder::new().suffix(".pdb").tempfile().expect("a file");
        file.write_all(PDB.as_bytes()).expect("written");
        let residues = read_atoms(file.path(), None).expect("a PDB file");
        let found: Vec<_> = residues.iter().map(|r| (r.number, r.atoms.len())).collect();
        assert_eq!(found, [(7, 3), (8, 3), (9, 1)]);
        assert_eq!(residues[1].position("CA"), Some([13.639, 8.071, -3.147]));
        assert_eq!((residues[2].position("N"), residues[2].atoms[0].b_factor), (None, 0.0));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("no/such.pdb"), None).expect_err("missing").to_string();
        assert!(error.starts_with("no/such.pdb: not a readable PDB file"), "{error}");
    }
}
