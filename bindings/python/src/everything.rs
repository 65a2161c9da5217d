//! All integers that a model computes of a sequence, as one digest: what `foldpoint digest` prints.

use fasta::Sequence;
use foldpoint_core::chains::joined_length;
use foldpoint_core::executor::Executor;
use std_runner::arena::Arena;
use std_runner::complex::Complex;
use std_runner::digest::{Digest, of_all, of_fold, of_prediction};
use std_runner::engine::{Request, Requests};
use std_runner::fold::FoldEngine;
use std_runner::task::{Hook, Progress, Task, TaskError};
use std_runner::work::Work;

/// What a model computes.
pub struct Everything<'e, 'a> {
    /// The language model's outputs.
    pub outputs: Requests<'e, 'a>,
    /// The structure, if it is wanted.
    pub fold: Option<FoldEngine<'a>>,
}

/// All outputs that a language model has.
pub fn outputs(model: &foldpoint_core::esm::LanguageModel) -> Request {
    Request {
        contacts: model.has_contact_head(),
        logits: model.has_lm_head(),
        layers: vec![model.config().layers],
    }
}

impl Task for Everything<'_, '_> {
    type Output = Digest;
    const SHORT: usize = FoldEngine::SHORT;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn configured_for(&self) -> usize {
        self.outputs.configured_for()
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let fold = self.fold.as_ref().map_or(Ok(0), |fold| fold.arena_bytes(length, workers))?;
        Ok(fold.max(self.outputs.arena_bytes(length, workers)?))
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let fold = self.fold.as_ref().map_or(Ok(0), |fold| fold.bytes_needed(length, workers))?;
        Ok(fold.saturating_add(self.outputs.bytes_needed(length, workers)?))
    }

    fn work(&self, length: usize) -> Work {
        self.outputs.work(length) + self.fold.as_ref().map(|fold| fold.work(length)).unwrap_or_default()
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Digest, TaskError> {
        let residues = Complex::new(sequence.chains()).residues;
        let Requests { engine, request } = self.outputs;
        let outputs = of_prediction(&engine.run_with(&residues, request, arena, executor, hook)?);
        let Some(fold) = &self.fold else { return Ok(outputs) };
        let before = engine.work(residues.len(), request).all();
        let folded = fold.run_with(sequence, arena, executor, &|Progress { text, done }| {
            hook(&Progress { text, done: before + *done })
        })?;
        Ok(of_all([outputs, of_fold(&folded)]))
    }
}
