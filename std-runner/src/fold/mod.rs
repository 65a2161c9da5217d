//! One sequence to a structure: letters in, integers out.
//!
//! [`FoldEngine`] is either folding model and how it is to fold; what only one of them gives is optional in
//! the [`FoldPrediction`] that both make.

mod esmfold;
mod omegafold;
mod prediction;

use foldpoint_core::Executor;
use foldpoint_core::alphabet::token;
use foldpoint_core::esmfold::ATOM_TYPES;
use foldpoint_core::geometry::Residue;

pub use esmfold::EsmFold;
pub use omegafold::OmegaFold;
pub use prediction::{BestCycle, FoldPrediction};

use crate::arena::Arena;
use crate::model::{Kind, Model, ModelError};
use crate::output::structure::{Atom, Method, Provenance};
use crate::task::{Hook, Task, TaskError};
use crate::work::Work;
use fasta::{Batch, Sequence};

/// A folding model and how it is to fold.
#[expect(clippy::large_enum_variant, reason = "there is one of them in a run")]
pub enum FoldEngine<'a> {
    /// ESMFold.
    EsmFold(EsmFold<'a>),
    /// OmegaFold.
    OmegaFold(OmegaFold<'a>),
}

impl FoldEngine<'_> {
    /// How it folds, as files tell it.
    pub fn method(&self) -> Method {
        match self {
            Self::EsmFold(engine) => Method::EsmFold { passes: engine.passes },
            Self::OmegaFold(engine) => {
                Method::OmegaFold { cycles: engine.request.cycles, rows: engine.request.rows }
            }
        }
    }

    /// What made its structures: this, of `model`.
    ///
    /// # Errors
    /// As [`Model::metadata`].
    pub fn provenance(&self, model: &Model) -> Result<Provenance, ModelError> {
        let meta = model.metadata()?.unwrap_or_default();
        let text = |key: &str| meta.get(key).and_then(|value| value.as_str()).unwrap_or("UNKNOWN").to_owned();
        Ok(Provenance {
            method: self.method(),
            model: model.file_name().to_owned(),
            checkpoint: text("checkpoint"),
            quantizer: text("quantizer"),
        })
    }

    /// What the model takes an upper-case letter for; X if for no amino acid.
    pub fn residue(&self, letter: u8) -> Residue {
        match self {
            Self::EsmFold(_) => kind(letter),
            Self::OmegaFold(_) => foldpoint_core::omegafold::residue(letter).unwrap_or(Residue::X),
        }
    }
}

impl Task for FoldEngine<'_> {
    type Output = FoldPrediction;
    // A row of pairs is work enough for a thread long before a row of tokens is.
    const SHORT: usize = 128;

    fn length(&self, sequence: &Sequence) -> usize {
        match self {
            Self::EsmFold(engine) => engine.length(sequence),
            Self::OmegaFold(engine) => engine.length(sequence),
        }
    }

    fn check(&self, sequence: &Sequence) -> Result<(), TaskError> {
        match self {
            Self::EsmFold(engine) => engine.check(sequence),
            Self::OmegaFold(engine) => engine.check(sequence),
        }
    }

    fn configured_for(&self) -> usize {
        match self {
            Self::EsmFold(engine) => engine.configured_for(),
            Self::OmegaFold(engine) => engine.configured_for(),
        }
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        match self {
            Self::EsmFold(engine) => engine.arena_bytes(length, workers),
            Self::OmegaFold(engine) => engine.arena_bytes(length, workers),
        }
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        match self {
            Self::EsmFold(engine) => engine.bytes_needed(length, workers),
            Self::OmegaFold(engine) => engine.bytes_needed(length, workers),
        }
    }

    fn work(&self, length: usize) -> Work {
        match self {
            Self::EsmFold(engine) => engine.work(length),
            Self::OmegaFold(engine) => engine.work(length),
        }
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<FoldPrediction, TaskError> {
        match self {
            Self::EsmFold(engine) => engine.run_with(sequence, arena, executor, hook),
            Self::OmegaFold(engine) => engine.run_with(sequence, arena, executor, hook),
        }
    }
}

/// A batch as a folding model reads it: no record with a mask, and rare letters as this model reads them;
/// those that it doesn't stay as they are.
pub fn to_fold(batch: Batch, kind: Kind) -> Batch {
    let batch = batch.without_masks();
    if kind != Kind::OmegaFold {
        return batch;
    }
    let read = |letter| {
        foldpoint_core::omegafold::residue(letter).and_then(|residue| u8::try_from(residue.letter()).ok())
    };
    batch.read_rare(|letter| read(letter).unwrap_or(letter))
}

/// The amino acid of a letter in ESM's alphabet; X if it is none.
pub fn kind(letter: u8) -> Residue {
    token(letter).and_then(Residue::from_token).unwrap_or(Residue::X)
}

/// Bytes of a structure of so many residues, as integers and as what files are written from.
fn result_bytes(length: usize) -> u64 {
    let residue = size_of::<[[i32; 3]; 14]>() + size_of::<[u16; ATOM_TYPES]>() + 15 * size_of::<Atom>();
    length as u64 * residue as u64
}
