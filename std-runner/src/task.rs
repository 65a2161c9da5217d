//! What a batch does with each of its sequences: the one thing that contact maps, embeddings and folding
//! share.

use std::ops::ControlFlow;

use foldpoint_core::executor::Executor;
use foldpoint_core::{esm, esmfold, omegafold};

use crate::arena::{AllocationError, Arena};
use crate::work::Work;
use fasta::Sequence;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'p> {
    /// In words; empty where there is nothing new to say.
    pub text: &'p str,
    /// What is done.
    pub done: Work,
}

/// Who is told how far a run is, and can break it off.
pub type Hook<'h> = dyn Fn(&Progress) -> ControlFlow<()> + 'h;

/// A computation over one sequence, with its memory known beforehand.
pub trait Task: Sync {
    /// What it computes; owns its values, so that the arena is free for the next sequence.
    type Output;

    /// Sequences up to this many residues run side by side, one thread each: all threads inside one of them
    /// would mostly wait for each other.
    const SHORT: usize;

    /// Residues that the model sees for this sequence. They are what memory depends on.
    fn length(&self, sequence: &Sequence) -> usize {
        sequence.residues.len()
    }

    /// Whether the model can do anything with a sequence, however much memory there is.
    ///
    /// # Errors
    /// [`TaskError`], as a run would give it.
    fn check(&self, _sequence: &Sequence) -> Result<(), TaskError> {
        Ok(())
    }

    /// Most residues that the model's configuration is for. What it was trained on may be less: the file
    /// doesn't say.
    fn configured_for(&self) -> usize;

    /// Bytes of core's arena for `length` residues with `workers` threads inside.
    ///
    /// # Errors
    /// [`TaskError`] if the model can't do it at all.
    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError>;

    /// Bytes that `length` residues need with `workers` threads inside: core's arena and the outputs. Grows
    /// with both.
    ///
    /// # Errors
    /// [`TaskError`] if the model can't do it at all.
    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError>;

    /// How much work `length` residues are.
    fn work(&self, length: usize) -> Work;

    /// Computes one sequence in `arena`, which grows as needed.
    ///
    /// # Errors
    /// [`TaskError`]; if `hook` breaks off the run, one that [is](TaskError::is_stop) nothing else.
    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Self::Output, TaskError>;

    /// Computes one sequence in `arena`, which grows as needed. `status` is told, in words, how far it is.
    ///
    /// # Errors
    /// [`TaskError`].
    fn run(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        status: &dyn Fn(&str),
    ) -> Result<Self::Output, TaskError> {
        self.run_with(sequence, arena, executor, &|progress| {
            if !progress.text.is_empty() {
                status(progress.text);
            }
            ControlFlow::Continue(())
        })
    }

    /// The longest sequence that `bytes` are enough for, with one thread inside; 0 if none.
    fn longest(&self, bytes: u64) -> usize {
        let fits = |length| self.bytes_needed(length, 1).is_ok_and(|needed| needed <= bytes);
        let (mut good, mut bad) = (0, 1);
        while fits(bad) {
            (good, bad) = (bad, bad.saturating_mul(2));
            if good == bad {
                return good;
            }
        }
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle) { good = middle } else { bad = middle }
        }
        good
    }
}

/// A sequence that could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The language model's refusal.
    #[error(transparent)]
    LanguageModel(#[from] esm::RunError),
    /// A layer is asked for that the model hasn't.
    #[error("layer {layer} was asked for, and the model has layers 0 to {last}")]
    NoLayer {
        /// Its number.
        layer: usize,
        /// The last layer.
        last: usize,
    },
    /// ESMFold's refusal.
    #[error(transparent)]
    EsmFold(#[from] esmfold::RunError),
    /// OmegaFold's refusal.
    #[error(transparent)]
    OmegaFold(#[from] omegafold::RunError),
    /// OmegaFold is given a complex.
    #[error(
        "OmegaFold folds one chain at a time, and this record has {chains}; give each as a record, or the complex to an \
         ESMFold"
    )]
    SeveralChains {
        /// How many.
        chains: usize,
    },
    /// OmegaFold is given a letter that it does not read.
    #[error(
        "residue {position} is {letter}, which OmegaFold does not read; expected one of the 20 amino acids, X, or B, Z or U"
    )]
    UnknownLetter {
        /// The letter.
        letter: char,
        /// Its place, from 1.
        position: usize,
    },
    /// The system's refusal of the memory.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}

impl TaskError {
    /// Whether the run's hook broke it off.
    pub fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::LanguageModel(esm::RunError::Stopped)
                | Self::EsmFold(esmfold::RunError::Stopped)
                | Self::OmegaFold(omegafold::RunError::Stopped)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Needs `length`^2 bytes up to `limit` residues and refuses more.
    struct Square {
        limit: usize,
    }

    impl Task for Square {
        type Output = ();
        const SHORT: usize = 0;
        fn configured_for(&self) -> usize {
            0
        }
        fn arena_bytes(&self, _: usize, _: usize) -> Result<u64, TaskError> {
            Ok(0)
        }
        fn bytes_needed(&self, length: usize, _: usize) -> Result<u64, TaskError> {
            if length > self.limit {
                return Err(esm::RunError::TooLong { tokens: length, limit: self.limit }.into());
            }
            Ok(length as u64 * length as u64)
        }
        fn work(&self, _: usize) -> Work {
            Work::default()
        }
        fn run_with(&self, _: &Sequence, _: &mut Arena, _: &dyn Executor, _: &Hook) -> Result<(), TaskError> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn the_longest_fits_and_one_more_does_not(bytes in 0u64..1_000_000, limit in 0usize..2000) {
            let expected = (bytes.isqrt() as usize).min(limit);
            prop_assert_eq!(Square { limit }.longest(bytes), expected);
        }
    }
}
