//! What a model is made of, group by group of tensors: one table for the language model, one for the folding
//! model; the groups of an [`omegafold`] follow from its shape.
//!
//! A [`Row`] says what a group is called in a model file and in checkpoints, of what kind it is, the unit of
//! what it gives, and at which site of the float model its inputs are seen. Checkpoints are checked and read
//! by these rows, calibration looks at their sites, and a model file is written row by row; tests hold core's
//! loader and `docs/FORMAT.md` to them.
//!
//! Names that occur once for each layer, block or the like have one placeholder for its number:
//! `lm.layers.{i}.ffn.up`.

mod fold;
mod group;
mod language_model;
pub mod omegafold;
pub mod pattern;
mod row;
mod source;
mod structure;
mod trunk;

pub use group::Group;
pub use row::{Kind, Repeat, Row, Site, Stream, Unit};
pub use source::{
    ATOM_TYPES, DISTANCE_BINS, Form, PAIR_BINS, PLDDT_BINS, RESIDUE_ROWS, Size, Source, TORSIONS,
};

/// Places in a trunk block after which the pair representation is stored.
pub const PAIR_STATES: usize = fold::PAIR_READERS.len();

/// Which parts of a model there are besides the body of its language model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Contacts can be predicted.
    pub contact_head: bool,
    /// Tokens can be predicted.
    pub lm_head: bool,
    /// Structures can be predicted.
    pub fold: bool,
}

impl Parts {
    /// Every part.
    pub const ALL: Self = Self { contact_head: true, lm_head: true, fold: true };

    /// The rows of the language model.
    pub fn language_model(self) -> Vec<&'static Row> {
        let heads =
            [(self.contact_head, language_model::CONTACT_HEAD), (self.lm_head, language_model::LM_HEAD)];
        let heads = heads.into_iter().filter_map(|(there, rows)| there.then_some(rows));
        std::iter::once(language_model::BODY).chain(heads).flatten().collect()
    }

    /// The rows of the folding model, none if there isn't one.
    pub fn folding_model(self) -> Vec<&'static Row> {
        let rows = [fold::ROWS, trunk::ROWS, structure::ROWS, fold::HEADS];
        rows.into_iter().filter(|_| self.fold).flatten().collect()
    }

    /// All rows.
    pub fn rows(self) -> Vec<&'static Row> {
        [self.language_model(), self.folding_model()].concat()
    }
}

/// The group that a model file calls `name`, and its number.
pub fn find(name: &str) -> Option<(&'static Row, usize)> {
    Parts::ALL.rows().into_iter().find_map(|row| Some((row, pattern::number(row.name, name)?)))
}

/// Calls `visit` with every row and each number of it. What shares a number comes together, as in a model:
/// layer by layer.
///
/// # Errors
/// The first of `visit`.
pub fn for_each<E>(
    rows: &[&'static Row],
    count: impl Fn(Repeat) -> usize,
    mut visit: impl FnMut(&'static Row, usize) -> Result<(), E>,
) -> Result<(), E> {
    for alike in rows.chunk_by(|a, b| a.repeat == b.repeat) {
        for index in 0..alike.first().map_or(0, |row| count(row.repeat)) {
            alike.iter().try_for_each(|row| visit(row, index))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
