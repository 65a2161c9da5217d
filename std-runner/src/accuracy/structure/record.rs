//! One atom as both formats say it.

use super::Point;

/// One line of coordinates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AtomRecord {
    /// Is it a HETATM?
    pub hetero: bool,
    pub name: String,
    /// Alternate location, empty if there is but one.
    pub alternate: String,
    /// The residue's name.
    pub residue: String,
    /// The chain's name: its author's.
    pub chain: String,
    /// The chain's name by the archive (mmCIF's `label_asym_id`), where that is another one.
    pub label: Option<String>,
    /// Tells chains of equal names apart.
    pub part: usize,
    /// The residue's number: its author's.
    pub number: isize,
    /// Insertion code, usually empty.
    pub insertion: String,
    /// The residue's place in the polymer's sequence (mmCIF's `label_seq_id`), from 1.
    pub sequence_number: Option<isize>,
    pub position: Point,
    pub occupancy: f64,
    pub b_factor: f64,
    /// Is it a polymer's? As far as the format says.
    pub polymer: Option<bool>,
    /// Is it behind its chain's TER?
    pub terminated: bool,
}

/// The first model's atoms.
#[derive(Debug)]
pub(super) struct Records {
    pub atoms: Vec<AtomRecord>,
    /// How many models the file has.
    pub models: usize,
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(super) struct RecordFault {
    pub line: Option<u64>,
    pub reason: String,
}
