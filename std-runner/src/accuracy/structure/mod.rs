//! Structure files: the polypeptide chains of PDB and mmCIF files, plain or gzipped.
//!
//! | in the file | is read as |
//! |---|---|
//! | several models (NMR) | the first one |
//! | alternate locations | for each residue, the one of the highest mean occupancy, the first of equals; blank is one where an atom has another one, too |
//! | a chain's name and numbers once more | another chain |
//! | selenomethionine (MSE) and other modified residues with one of the 20 as parent | that amino acid; selenium as SD |
//! | other residues with a backbone | X |
//! | waters, ligands, nucleic acids | no residues of a polypeptide chain |
//! | mmCIF chains and numbers | chains by both names; places in the sequence by `label_seq_id`, else the author's numbers |
//!
//! Coordinates only: `ATOM`, `HETATM`, `TER`, `MODEL`, `ENDMDL` and `END` of a PDB file, the `_atom_site`
//! loop of an mmCIF file. Errors name the line.

mod chains;
mod mmcif;
mod names;
mod pdb;
mod record;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// Coordinates in ångström.
pub type Point = [f64; 3];

/// The chains of a file's first model.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// Polymer chains in the file's order; each has at least one residue.
    pub chains: Vec<Chain>,
    /// How many models the file has.
    pub models: usize,
}

/// A chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Its author's name, empty in some PDB files.
    pub name: String,
    /// The archive's name (mmCIF's `label_asym_id`).
    pub label: Option<String>,
    /// In the order of the sequence.
    pub residues: Vec<Residue>,
}

/// One residue of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Residue {
    /// Its number: in mmCIF files the place in the chain's sequence, otherwise its author's.
    pub number: isize,
    /// Its author's number with the insertion code: `52A`.
    pub place: String,
    /// Its name: `MSE`.
    pub name: String,
    /// One-letter code, a modified residue's parent's; X if unknown.
    pub letter: u8,
    /// Is any of its atoms a HETATM?
    pub hetero: bool,
    /// Does it have alternate locations?
    pub several: bool,
    /// In the file's order; each name once.
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

impl Residue {
    /// Where the atom `name` is.
    pub fn position(&self, name: &str) -> Option<Point> {
        self.atoms.iter().find(|a| a.name == name).map(|a| a.position)
    }

    /// Virtual C-beta, placed from N, CA and C: glycine has one, too. `None` without a complete backbone.
    pub fn c_beta(&self) -> Option<Point> {
        let [n, ca, c] = ["N", "CA", "C"].map(|name| self.position(name));
        Some(virtual_c_beta(n?, ca?, c?))
    }

    /// Is it known by its parent's letter?
    pub fn is_modified(&self) -> bool {
        self.letter != b'X' && names::standard(&self.name).is_none()
    }
}

impl std::fmt::Display for Residue {
    /// Name and number: `MSE 52A`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.place)
    }
}

/// A structure file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: not a readable PDB or mmCIF file: {reason}", path.display(), line.map(|n| format!(":{n}")).unwrap_or_default())]
pub struct StructureError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, if one is to blame.
    pub line: Option<u64>,
    /// What is wrong, and what was expected.
    pub reason: String,
}

/// Reads a PDB or mmCIF file, plain or gzipped; all three are recognised by their content.
///
/// # Errors
/// [`StructureError`] with the file's name and line.
pub fn read(path: &Path) -> Result<Structure, StructureError> {
    let error = |line, reason| StructureError { path: path.to_owned(), line, reason };
    let mut bytes = fs::read(path).map_err(|e| error(None, e.to_string()))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let decoded = MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
        decoded.map_err(|e| error(None, format!("its gzip data are damaged: {e}")))?;
        bytes = plain;
    }
    parse(&bytes).map_err(|malformed| error(malformed.line, malformed.reason))
}

/// What a file of these bytes holds.
fn parse(bytes: &[u8]) -> Result<Structure, record::RecordFault> {
    // Windows editors put a byte-order mark before the first record.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mmcif = mmcif::is_mmcif(bytes);
    let records = if mmcif { mmcif::records(bytes)? } else { pdb::records(bytes)? };
    if records.atoms.is_empty() {
        let expected = if mmcif { "an _atom_site loop" } else { "ATOM records" };
        return Err(record::RecordFault {
            line: None,
            reason: format!("it has no atoms; expected {expected}"),
        });
    }
    Ok(Structure { chains: chains::chains(records.atoms), models: records.models })
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
