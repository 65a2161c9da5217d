//! A group of tensors of a certain model.

use super::row::{Kind, Row, Unit};

/// A group of tensors that are written together, of a certain model: a [`Row`] with its number, or what an
/// [OmegaFold](super::omegafold) has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What a model file calls it: the tensor, or what the names of its tensors begin with.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The unit of what it gives.
    pub unit: Unit,
    /// Where calibration sees what it reads, or what it stores; `None` if it needn't.
    pub site: Option<String>,
    /// Which columns it reads of what is seen there, if not all: the first one, and how many.
    pub columns: Option<(usize, usize)>,
    /// The name by which calibration keeps what it chose: Linears that read the same values share a choice.
    pub choice: String,
}

impl Group {
    /// Number `index` of `count` of a row. What reads a part of the columns is told which elsewhere.
    pub fn of(row: &Row, index: usize, count: usize) -> Self {
        Self {
            name: row.numbered(index),
            kind: row.kind,
            unit: row.unit,
            site: row.seen_at(index, count),
            columns: None,
            choice: row.choice(index),
        }
    }

    /// The names of its tensors in a model file.
    pub fn tensors(&self) -> impl Iterator<Item = String> {
        self.kind.tensors().iter().map(|part| format!("{}{part}", self.name))
    }
}
