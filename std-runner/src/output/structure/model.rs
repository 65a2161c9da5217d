//! What is in a structure file.

use foldpoint_core::geometry;

/// A predicted structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Identifier of the sequence.
    pub id: String,
    /// What made it and how good it is, one line each.
    pub remarks: Vec<String>,
    /// The chains, named A, B and so on in this order.
    pub chains: Vec<Chain>,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Its residues, numbered from 1.
    pub residues: Vec<Residue>,
}

/// One residue.
#[derive(Clone, Debug, PartialEq)]
pub struct Residue {
    /// Which amino acid.
    pub kind: geometry::Residue,
    /// Its heavy atoms; none if it is X.
    pub atoms: Vec<Atom>,
}

/// One atom.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// As in the PDB: `CA`.
    pub name: &'static str,
    /// Coordinates in ångström.
    pub position: [f64; 3],
    /// pLDDT, 0 to 100.
    pub plddt: f64,
}

impl Model {
    /// All atoms, in the file's order.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.chains.iter().flat_map(|chain| &chain.residues).flat_map(|residue| &residue.atoms)
    }

    /// Mean pLDDT over all atoms (as ESMFold's), 0 to 100; 0 without atoms.
    pub fn mean_plddt(&self) -> f64 {
        let (sum, count) =
            self.atoms().fold((0.0, 0usize), |(sum, count), atom| (sum + atom.plddt, count + 1));
        if count == 0 { 0.0 } else { sum / count as f64 }
    }
}

impl Residue {
    /// The atom of that name.
    pub fn atom(&self, name: &str) -> Option<&Atom> {
        self.atoms.iter().find(|atom| atom.name == name)
    }

    /// pLDDT of the residue, 0 to 100: that of its CA, as in ESMFold's own files.
    pub fn plddt(&self) -> Option<f64> {
        Some(self.atom("CA")?.plddt)
    }
}

impl Atom {
    /// The element's symbol. Amino acids have only elements of one letter, which their names begin with.
    pub fn element(&self) -> &'static str {
        self.name.get(..1).unwrap_or_default()
    }
}

/// Text as structure files may hold it: printable ASCII, `?` for anything else.
pub(super) fn ascii(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// `A` to `Z`, `AA`, `AB`, and so on.
pub(super) fn chain_name(mut index: usize) -> String {
    let mut name = Vec::new();
    loop {
        name.insert(0, b'A' + (index % 26) as u8);
        match (index / 26).checked_sub(1) {
            Some(rest) => index = rest,
            None => return String::from_utf8(name).unwrap_or_default(),
        }
    }
}
