//! All integers that a model computes of a sequence, as one digest.

use foldpoint_core::chains::joined_length;
use foldpoint_core::executor::Executor;

use crate::arena::Arena;
use crate::complex::Complex;
use crate::digest::{Digest, of_all, of_fold, of_prediction};
use crate::engine::Requests;
use crate::fold::FoldEngine;
use crate::task::{Hook, Progress, Task, TaskError};
use crate::work::Work;
use fasta::Sequence;

/// Everything that a model computes.
pub struct Everything<'e, 'a> {
    /// What the language model gives by itself, if it does.
    pub outputs: Option<Requests<'e, 'a>>,
    /// What folds, if structures are wanted.
    pub fold_engine: Option<FoldEngine<'a>>,
}

impl Task for Everything<'_, '_> {
    type Output = Digest;
    const SHORT: usize = FoldEngine::SHORT;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn check(&self, sequence: &Sequence) -> Result<(), TaskError> {
        self.fold_engine.as_ref().map_or(Ok(()), |fold| fold.check(sequence))
    }

    fn configured_for(&self) -> usize {
        let folding = self.fold_engine.as_ref().map(Task::configured_for);
        self.outputs.as_ref().map(Task::configured_for).or(folding).unwrap_or(usize::MAX)
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.outputs.as_ref().map_or(Ok(0), |outputs| outputs.arena_bytes(length, workers))?;
        // Both use the same arena.
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.arena_bytes(length, workers))?;
        Ok(outputs.max(folding))
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let outputs = self.outputs.as_ref().map_or(Ok(0), |outputs| outputs.bytes_needed(length, workers))?;
        let folding = self.fold_engine.as_ref().map_or(Ok(0), |fold| fold.bytes_needed(length, workers))?;
        // An upper bound: both use the same arena.
        Ok(outputs.saturating_add(folding))
    }

    fn work(&self, length: usize) -> Work {
        let folding = self.fold_engine.as_ref().map(|fold| fold.work(length)).unwrap_or_default();
        self.outputs.as_ref().map(|outputs| outputs.work(length)).unwrap_or_default() + folding
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Digest, TaskError> {
        let mut digests = Vec::new();
        let mut before = Work::default();
        if let Some(Requests { engine, request }) = self.outputs {
            let residues = Complex::new(sequence.chains()).residues;
            digests.push(of_prediction(&engine.run_with(&residues, request, arena, executor, hook)?));
            before = engine.work(residues.len(), request).all();
        }
        if let Some(fold_engine) = &self.fold_engine {
            let folded = fold_engine.run_with(sequence, arena, executor, &|Progress { text, done }| {
                hook(&Progress { text, done: before + *done })
            })?;
            digests.push(of_fold(&folded));
        }
        Ok(match digests.as_slice() {
            &[one] => one,
            _ => of_all(digests),
        })
    }
}
