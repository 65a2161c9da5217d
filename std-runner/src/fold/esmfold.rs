//! ESMFold: residues of one or several chains, linkers already cut.

use foldpoint_core::alphabet::tokens;
use foldpoint_core::chains::{joined_length, most_chains};
use foldpoint_core::esmfold::{FoldingModel, Input, Request, Step};
use foldpoint_core::{Executor, Isa, Runtime};
use std::ops::ControlFlow;

use super::{FoldPrediction, kind, result_bytes};
use crate::arena::Arena;
use crate::complex::Complex;
use crate::task::{Hook, Progress, Task, TaskError};
use crate::work::{FoldWork, Work};
use crate::workers::Workers;
use fasta::Sequence;

/// An ESMFold and how it is to fold.
pub struct EsmFold<'a> {
    /// The model.
    pub model: FoldingModel<'a>,
    /// The instruction set.
    pub isa: Isa,
    /// Passes through the trunk: recycles + 1.
    pub passes: usize,
    /// Whether the matrix of predicted aligned errors is wanted.
    pub aligned_error: bool,
}

impl EsmFold<'_> {
    fn request(&self, chains: usize) -> Request {
        Request::default().passes(self.passes).aligned_error(self.aligned_error).chain_scores(chains)
    }

    fn counted(&self, length: usize) -> FoldWork {
        FoldWork::new(self.model.language_model().config(), self.model.config(), length)
    }
}

impl Task for EsmFold<'_> {
    type Output = FoldPrediction;
    // A row of pairs is work enough for a thread long before a row of tokens is.
    const SHORT: usize = 128;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn configured_for(&self) -> usize {
        self.model.language_model().config().max_positions.saturating_sub(2)
    }

    /// Of as many chains as so many residues can be.
    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let workers = Workers(workers);
        let runtime = Runtime::new(self.isa, &workers);
        Ok(self.model.arena_bytes(length, &self.request(most_chains(length)), &runtime)? as u64)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let arena = self.arena_bytes(length, workers)?;
        // The matrix is held as integers and once more as floats while it is written.
        let pair = if self.aligned_error { 6 } else { 0 };
        Ok(arena + result_bytes(length) + length as u64 * length as u64 * pair)
    }

    fn work(&self, length: usize) -> Work {
        self.counted(length).all(self.passes)
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<FoldPrediction, TaskError> {
        let complex = Complex::new(sequence.chains());
        let tokens: Vec<u8> = tokens(&complex.residues).collect();
        let request = self.request(sequence.chain_lengths.len());
        let runtime = Runtime::new(self.isa, executor);
        let bytes = self.model.arena_bytes(complex.residues.len(), &request, &runtime)?;
        arena.reserve(bytes)?;
        let input = Input { tokens: &tokens, residue_index: &complex.residue_index, chains: &complex.chains };
        let (passes, blocks) = (self.passes, self.model.config().blocks);
        let work = self.counted(complex.residues.len());
        let mut progress = |step| {
            let (text, done) = match step {
                Step::Layer { layer } => (String::new(), work.language_model.layers(layer + 1)),
                Step::LanguageModel => ("language model done".to_owned(), work.done(0, 0)),
                Step::Block { pass, block } => (
                    format!("pass {} of {passes}, block {} of {blocks} done", pass + 1, block + 1),
                    work.done(pass, block + 1),
                ),
                Step::StructureModule { pass } => {
                    (format!("pass {} of {passes} done", pass + 1), work.done(pass + 1, 0))
                }
                _ => return ControlFlow::Continue(()),
            };
            hook(&Progress { text: &text, done })
        };
        let structure = self.model.run_with(&input, &request, arena.bytes(), &runtime, &mut progress)?;
        let kept = complex.kept();
        let length = complex.residues.len();
        let aligned_error = structure.aligned_error.map(|errors| {
            let row = |i: usize| kept.clone().map(move |j| errors[i * length + j]);
            kept.clone().flat_map(row).collect()
        });
        Ok(FoldPrediction {
            residues: sequence.residues.iter().map(|&letter| kind(letter)).collect(),
            atoms: kept.clone().map(|i| structure.atoms[i]).collect(),
            plddt: kept.map(|i| structure.plddt[i]).collect(),
            aligned_error,
            ptm: Some(structure.ptm),
            iptm: structure.iptm,
            chain_scores: structure.chain_scores.unwrap_or_default().to_vec(),
            best_cycle: None,
            arena: bytes,
        })
    }
}
