//! Folding one sequence: cycles of language model, trunk, structure module and confidence, of which the best
//! one is kept.

use super::choice::Best;
use super::cycle::Steps;
use super::language_model;
use super::memory::{BelowMemory, Dims, Fold, Memory};
use super::model::FoldingModel;
use super::request::{Event, Hook, Request, RunError, Structure, tell};
use crate::arena::{Arena, bytes_of};
use crate::geometry::Residue;
use crate::runtime::Runtime;
use core::ops::ControlFlow;

impl FoldingModel<'_> {
    /// Bytes of working memory for `residues` residues.
    ///
    /// # Errors
    /// There are no residues or cycles, too many residues or rows, or the bytes exceed the address width.
    pub fn arena_bytes(
        &self,
        residues: usize,
        request: &Request,
        runtime: &Runtime,
    ) -> Result<usize, RunError> {
        let dims = self.dims(residues, request, runtime)?;
        Ok(bytes_of(|counter| Memory::take(counter, &dims))?)
    }

    fn dims(&self, residues: usize, request: &Request, runtime: &Runtime) -> Result<Dims, RunError> {
        let mut dims = Dims::new(self, residues, request, runtime.context().workers())?;
        dims.below_work = self.below_work(&dims)?;
        dims.shared = self.shared(&dims)?;
        Ok(dims)
    }

    /// Bytes of what the language model over the rows below the sequence works in, and then the embedding.
    #[inline(never)]
    fn below_work(&self, dims: &Dims) -> Result<usize, RunError> {
        let language_model = match &dims.below {
            Some(shape) => bytes_of(|counter| language_model::Memory::take(counter, shape))?,
            None => 0,
        };
        let embedding = self.recycling()?.bytes(self.embedding()?.bytes()?, dims.workers)?;
        Ok(language_model.max(embedding))
    }

    /// Bytes of the shared region.
    #[inline(never)]
    fn shared(&self, dims: &Dims) -> Result<usize, RunError> {
        let needs = [
            bytes_of(|counter| language_model::Memory::take(counter, &dims.sequence))?,
            bytes_of(|counter| BelowMemory::take(counter, dims))?,
            self.block(0).bytes(&dims.node(), dims.workers)?,
            self.structure().bytes(dims.trunk.residues, dims.workers)?,
            self.confidence()?.bytes(dims.workers)?,
        ];
        Ok(needs.into_iter().fold(0, usize::max))
    }

    /// Folds one sequence.
    ///
    /// `arena` holds at least [`arena_bytes`](Self::arena_bytes) for the same request and runtime and starts
    /// at a multiple of [`ALIGN`](crate::ALIGN) ([`Aligned`](crate::Aligned) does); its contents don't
    /// matter. The result depends on the model, the residues and the request alone.
    ///
    /// # Errors
    /// Nothing is computed if the residues, the request or the arena can't be used.
    pub fn run<'m>(
        &self,
        residues: &[Residue],
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
    ) -> Result<Structure<'m>, RunError> {
        self.run_with(residues, request, arena, runtime, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`run`](Self::run); `hook` is told of every finished step, sees what came of it, and can break off
    /// the run.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::Stopped`] if the hook breaks.
    pub fn run_with<'m>(
        &self,
        residues: &[Residue],
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
        hook: &mut Hook,
    ) -> Result<Structure<'m>, RunError> {
        let dims = &self.dims(residues.len(), request, runtime)?;
        let needed = bytes_of(|counter| Memory::take(counter, dims))?;
        let mut memory = Memory::take(&mut Arena::of_size(needed, arena)?, dims)?;
        let steps = Steps { model: self, dims, context: runtime.context(), request, residues };
        let alone = steps.sequence(&mut memory, hook)?;
        let mut best = Best::NONE;
        for cycle in 0..request.cycles {
            steps.start(cycle, alone, &mut memory, hook)?;
            steps.trunk(cycle, &mut memory, hook)?;
            steps.structure(&mut memory)?;
            let overall = steps.confidence(&mut memory)?;
            // The first one is better than none even if nothing speaks for it.
            if best.offer(cycle, overall) || cycle == 0 {
                memory.best.atoms.copy_from_slice(memory.last.atoms);
                memory.best.confidence.copy_from_slice(memory.last.confidence);
            }
            let Fold { atoms, confidence } = &memory.last;
            tell(hook, Event::Cycle(Structure { atoms, confidence, overall: overall.rounded(), cycle }))?;
            steps.place(&mut memory);
        }
        let (Fold { atoms, confidence }, Best { cycle, overall }) = (memory.best, best);
        Ok(Structure { atoms, confidence, overall: overall.rounded(), cycle })
    }
}
