//! OmegaFold: residues of one chain.

use foldpoint_core::esmfold::ATOM_TYPES;
use foldpoint_core::geometry::Residue;
use foldpoint_core::omegafold::{Event, FoldingModel, RESIDUES_MAX, Request, residue};
use foldpoint_core::{Executor, Isa, Runtime};
use std::ops::ControlFlow;

use super::{BestCycle, FoldPrediction, result_bytes};
use crate::arena::Arena;
use crate::task::{Hook, Progress, Task, TaskError};
use crate::work::{OmegaFoldWork, Work};
use crate::workers::Workers;
use fasta::Sequence;

/// An OmegaFold and how it is to fold.
pub struct OmegaFold<'a> {
    /// The model.
    pub model: FoldingModel<'a>,
    /// The instruction set.
    pub isa: Isa,
    /// Cycles and rows of the pseudo-MSA.
    pub request: Request,
}

impl OmegaFold<'_> {
    fn counted(&self, length: usize) -> OmegaFoldWork {
        OmegaFoldWork::new(self.model.config(), length, self.request.rows)
    }

    /// What the model reads.
    fn residues(sequence: &Sequence) -> Result<Vec<Residue>, TaskError> {
        match sequence.chain_lengths.len() {
            0 | 1 => {}
            chains => return Err(TaskError::SeveralChains { chains }),
        }
        let read = |(position, &letter): (usize, _)| {
            residue(letter).ok_or_else(|| TaskError::UnknownLetter {
                letter: char::from(letter),
                position: position + 1,
            })
        };
        sequence.residues.iter().enumerate().map(read).collect()
    }
}

impl Task for OmegaFold<'_> {
    type Output = FoldPrediction;
    // As ESMFold's pairs.
    const SHORT: usize = 128;

    fn check(&self, sequence: &Sequence) -> Result<(), TaskError> {
        Self::residues(sequence).map(|_| ())
    }

    /// The configuration has no limit: that of the arithmetic.
    fn configured_for(&self) -> usize {
        RESIDUES_MAX
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let workers = Workers(workers);
        let runtime = Runtime::new(self.isa, &workers);
        Ok(self.model.arena_bytes(length, &self.request, &runtime)? as u64)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        Ok(self.arena_bytes(length, workers)? + result_bytes(length))
    }

    fn work(&self, length: usize) -> Work {
        self.counted(length).all(self.request.cycles)
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<FoldPrediction, TaskError> {
        let residues = Self::residues(sequence)?;
        let runtime = Runtime::new(self.isa, executor);
        let bytes = self.model.arena_bytes(residues.len(), &self.request, &runtime)?;
        arena.reserve(bytes)?;
        let (cycles, blocks) = (self.request.cycles, self.model.config().blocks);
        let layers = self.model.config().layers;
        let work = self.counted(residues.len());
        let mut progress = |event: Event| {
            let (text, done) = match event {
                Event::Layer { cycle: None, layer } => (String::new(), work.sequence_layers(layer + 1)),
                Event::Layer { cycle: Some(cycle), layer } => {
                    let last = layer + 1 == layers;
                    let text = format!("cycle {} of {cycles}, language model done", cycle + 1);
                    (if last { text } else { String::new() }, work.done(cycle, layer + 1, 0))
                }
                Event::Block { cycle, block, .. } => (
                    format!("cycle {} of {cycles}, block {} of {blocks} done", cycle + 1, block + 1),
                    work.done(cycle, layers, block + 1),
                ),
                Event::Cycle(structure) => (
                    format!("cycle {} of {cycles} done", structure.cycle + 1),
                    work.done(structure.cycle + 1, 0, 0),
                ),
                _ => return ControlFlow::Continue(()),
            };
            hook(&Progress { text: &text, done })
        };
        let structure =
            self.model.run_with(&residues, &self.request, arena.bytes(), &runtime, &mut progress)?;
        Ok(FoldPrediction {
            atoms: structure.atoms.to_vec(),
            plddt: structure.confidence.iter().map(|&confidence| [confidence; ATOM_TYPES]).collect(),
            best_cycle: Some(BestCycle { number: structure.cycle + 1, confidence: structure.overall }),
            arena: bytes,
            residues,
            ..FoldPrediction::default()
        })
    }
}
