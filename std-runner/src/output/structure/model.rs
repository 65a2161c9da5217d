//! What is in a structure file.

use foldpoint_core::geometry;

use crate::fold::BestCycle;

/// A predicted structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Identifier of the sequence.
    pub id: String,
    /// The whole header of the sequence.
    pub header: String,
    /// What made it.
    pub provenance: Provenance,
    /// How good it says it is.
    pub scores: Scores,
    /// The chains, in the order of their names ([`chain_name`]).
    pub chains: Vec<Chain>,
}

/// What made a structure. No path and no date: the same prediction is the same file everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Which model folded, and how.
    pub method: Method,
    /// Name of the model's file.
    pub model: String,
    /// The checkpoint that the model was made of.
    pub checkpoint: String,
    /// The quantizer that made it, with its version.
    pub quantizer: String,
}

/// A folding model and what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// ESMFold.
    EsmFold {
        /// Passes through the trunk: recycles + 1.
        passes: usize,
    },
    /// OmegaFold.
    OmegaFold {
        /// Passes through the whole model, of which the best one is the result.
        cycles: usize,
        /// Rows of the pseudo-MSA below the sequence.
        rows: usize,
    },
}

impl Default for Method {
    fn default() -> Self {
        Self::EsmFold { passes: 1 }
    }
}

/// What a prediction says of itself as a whole; what the model has no head for is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Predicted TM-score, 0 to 1.
    pub ptm: Option<f32>,
    /// Predicted TM-score of the interfaces, 0 to 1, if there are several chains.
    pub iptm: Option<f32>,
    /// OmegaFold's best cycle.
    pub best_cycle: Option<BestCycle>,
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

/// A residue and where it is.
#[derive(Clone, Debug)]
pub struct ChainResidue<'m> {
    /// Place of its chain, from 0.
    pub chain: usize,
    /// Its number in the chain, from 1.
    pub number: usize,
    /// The residue.
    pub residue: &'m Residue,
}

impl Model {
    /// All residues, in the file's order.
    pub fn residues(&self) -> impl Iterator<Item = ChainResidue<'_>> {
        self.chains.iter().enumerate().flat_map(|(chain, residues)| {
            (1..).zip(&residues.residues).map(move |(number, residue)| ChainResidue {
                chain,
                number,
                residue,
            })
        })
    }

    /// The residues that have atoms, in the file's order: all but X.
    pub fn modelled(&self) -> impl Iterator<Item = ChainResidue<'_>> {
        self.residues().filter(|placed| !placed.residue.atoms.is_empty())
    }

    /// All atoms, in the file's order.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.residues().flat_map(|placed| &placed.residue.atoms)
    }

    /// Mean pLDDT over the CA atoms, 0 to 100; 0 without any.
    pub fn mean_plddt(&self) -> f64 {
        let of_residues = self.residues().filter_map(|placed| placed.residue.plddt());
        let (sum, count) = of_residues.fold((0.0, 0usize), |(sum, count), plddt| (sum + plddt, count + 1));
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

/// Names of as many chains as a PDB file has names for.
pub(super) const NAMES: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The name of the chain at a place, the same in PDB and mmCIF files: A to Z, a to z, 0 to 9; then, where
/// only mmCIF has room, AA, AB, and so on to ZZ, AAA, ...
pub fn chain_name(index: usize) -> String {
    let Some(mut rest) = index.checked_sub(NAMES.len()) else { return char::from(NAMES[index]).into() };
    // 26 names of one letter are among the 62.
    rest += 26;
    let mut name = Vec::new();
    loop {
        name.insert(0, NAMES[rest % 26]);
        match (rest / 26).checked_sub(1) {
            Some(more) => rest = more,
            None => return String::from_utf8(name).unwrap_or_default(),
        }
    }
}

/// The date in every file, in the form of mmCIF and of PDB: that of this form of the files, not of the
/// prediction, so that the same prediction is the same file whenever it is made.
pub(super) const DATE: (&str, &str) = ("2026-11-28", "28-NOV-26");

/// Text as structure files may hold it: printable ASCII, `?` for any other character, one blank for any
/// number of them.
pub(super) fn ascii(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// What the structure is of: the header or, without one, the identifier, cut to `longest` characters; nothing
/// if nobody said.
pub(super) fn subject(model: &Model, longest: usize) -> String {
    let text = ascii(if model.header.trim().is_empty() { &model.id } else { &model.header });
    if text.len() > longest { format!("{}...", text[..longest - 3].trim_end()) } else { text }
}

/// The title of the structure. A header may be a page; a PDB file has 99 lines for it, and a line of mmCIF
/// 2,048 characters.
pub(super) fn title(model: &Model) -> String {
    let subject = subject(model, 1000);
    if subject.is_empty() {
        "Predicted structure".into()
    } else {
        format!("Predicted structure of {subject}")
    }
}
