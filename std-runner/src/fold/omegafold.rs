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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Model};
    use foldpoint_core::Serial;
    use std::cell::RefCell;

    const TINY: &[u8] = include_bytes!("../../tests/omegafold.fpm");

    fn with_engine(request: Request, test: impl FnOnce(&OmegaFold)) {
        let model = Model::from_bytes("omegafold.fpm", TINY).expect("a model");
        assert!(model.kind() == Kind::OmegaFold && model.folds());
        let model = model.omegafold().expect("an OmegaFold");
        test(&OmegaFold { model, isa: Isa::best(), request });
    }

    #[test]
    fn what_is_done_grows_to_the_whole_and_a_hook_ends_it() {
        for rows in [0, 3] {
            with_engine(Request::default().cycles(2).rows(rows), |engine| {
                let sequence = Sequence::from_residues("a", b"MKVLBXG".to_vec());
                let told = RefCell::new((vec![0.0], Vec::new()));
                let run = |last: usize| {
                    engine.run_with(&sequence, &mut Arena::default(), &Serial, &|progress| {
                        let (done, texts) = &mut *told.borrow_mut();
                        done.push(progress.done.total());
                        texts.extend((!progress.text.is_empty()).then(|| progress.text.to_owned()));
                        if done.len() > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })
                };
                let folded = run(usize::MAX).expect("a structure");
                let (done, texts) = told.take();
                assert!(done.windows(2).all(|pair| pair[0] < pair[1]), "{done:?}");
                let (last, all) = (done[done.len() - 1], engine.work(7).total());
                assert!((last / all - 1.0).abs() < 1e-9, "{last} {all}");
                assert_eq!(texts.last().map(String::as_str), Some("cycle 2 of 2 done"));
                assert!(folded.best_cycle.is_some_and(|best| (1..=2).contains(&best.number)));
                assert_eq!((folded.residues[4].name(), folded.residues[5].name()), ("ASP", "UNK"));
                assert_eq!((folded.ptm(), folded.iptm(), folded.aligned_error), (None, None, None));
                assert!(run(2).expect_err("stopped").is_stop());
            });
        }
    }

    #[test]
    fn complexes_and_letters_that_it_does_not_read_are_refused() {
        with_engine(Request::default(), |engine| {
            let refused = |sequence: &Sequence| {
                let checked = engine.check(sequence).expect_err("refused").to_string();
                let run = engine.run(sequence, &mut Arena::default(), &Serial, &|_| {});
                assert_eq!(run.expect_err("refused").to_string(), checked);
                checked
            };
            let batch = fasta::read(&b">a\nMK:V\n"[..], "t", 10);
            assert!(refused(&batch.sequences[0]).contains("one chain at a time, and this record has 2"));
            let odd = Sequence::from_residues("a", b"MKJ".to_vec());
            assert!(refused(&odd).starts_with("residue 3 is J, which OmegaFold does not read"));
        });
    }
}
