//! Folding one sequence: the language model, passes through trunk and structure module, the confidence heads.

use super::block::{PAIR_SITES, TrunkFormats};
use super::distances;
use super::memory::{Dims, Memory};
use super::model::FoldingModel;
use super::recycling::Geometry;
use super::request::{Input, Request, RunError, Step, Structure};
use crate::arena::{Arena, Source, bytes_of};
use crate::chains::LINKER;
use crate::esm::{self, HiddenLayers};
use crate::format::FormatError;
use crate::geometry::Residue;
use crate::heads::{Chains, PairScores, Pairs, TmScores};
use crate::nn::Context;
use crate::nn::stream::{Stream, StreamFormat};
use crate::runtime::Runtime;
use crate::trunk::representations::Representations;
use crate::trunk::shape::{Setting, Shape};
use crate::{structure, trunk};
use core::ops::ControlFlow;

/// Who is told of a run's steps, and can break it off.
pub type Hook<'h> = dyn FnMut(Step) -> ControlFlow<()> + 'h;

/// A [`Hook`] that after each block of the trunk is shown both representations, too.
pub type Watch<'h> = dyn FnMut(Step, Option<&Representations>) -> ControlFlow<()> + 'h;

/// What the language model is asked for.
const HIDDEN: esm::Request =
    esm::Request { contacts: false, logits: false, hidden: HiddenLayers::All, piece: false };

/// What every step of a run reads.
struct Pass<'r, 'a> {
    model: &'r FoldingModel<'a>,
    dims: Dims,
    runtime: &'r Runtime<'r>,
    context: Context<'r>,
    input: &'r Input<'r>,
}

impl<'a> FoldingModel<'a> {
    /// Bytes of working memory for `residues` residues, linkers included.
    ///
    /// # Errors
    /// There are too few or too many residues, or the bytes exceed the address width.
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
        Dims::check(residues)?;
        let mut dims = Dims::new(self, residues, request);
        dims.shared = self.shared(&dims, runtime)?;
        Ok(dims)
    }

    /// Bytes of the shared region.
    fn shared(&self, dims: &Dims, runtime: &Runtime) -> Result<usize, RunError> {
        let Dims { residues, request, .. } = *dims;
        let workers = runtime.workers();
        let language_model = self.language_model.arena_bytes(residues + 2, &HIDDEN, runtime)?;
        let embedding = self.embedding()?.bytes(workers)?;
        let mix = bytes_of(|counter| counter.take::<i32>(dims.mix_len()))?;
        let trunk = bytes_of(|counter| trunk::memory::Memory::take(counter, &dims.trunk, workers))?;
        let structure = self.structure().bytes(residues, workers)?;
        let plddt = self.plddt()?.bytes(workers)?;
        let errors = request.aligned_error;
        let errors = self.aligned_error()?.bytes(residues, workers, errors, request.chain_scores)?;
        let distogram = if request.distogram { self.distogram()?.bytes(residues, workers)? } else { 0 };
        let needs =
            [mix.saturating_add(language_model.max(embedding)), trunk, structure, plddt, errors, distogram];
        Ok(needs.into_iter().fold(0, usize::max))
    }

    /// Folds one sequence.
    ///
    /// `arena` holds at least [`arena_bytes`](Self::arena_bytes) for the same request and runtime and starts
    /// at a multiple of [`ALIGN`](crate::ALIGN) ([`Aligned`](crate::Aligned) does); its contents don't
    /// matter. The result depends on the model, the input and the number of passes alone.
    ///
    /// # Errors
    /// Nothing is computed if the input, the request or the arena can't be used.
    pub fn run<'m>(
        &self,
        input: &Input,
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
    ) -> Result<Structure<'m>, RunError> {
        self.run_with(input, request, arena, runtime, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`run`](Self::run); `hook` is told of every finished step and can break off the run.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::Stopped`] if the hook breaks.
    pub fn run_with<'m>(
        &self,
        input: &Input,
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
        hook: &mut Hook,
    ) -> Result<Structure<'m>, RunError> {
        self.run_watched(input, request, arena, runtime, &mut |step, _| hook(step))
    }

    /// As [`run_with`](Self::run_with); `watch` is shown both representations after each block, too.
    ///
    /// # Errors
    /// As [`run_with`](Self::run_with).
    pub fn run_watched<'m>(
        &self,
        input: &Input,
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
        watch: &mut Watch,
    ) -> Result<Structure<'m>, RunError> {
        let residues = check(input, request)?;
        let passes = request.passes.unwrap_or(self.config.passes);
        if passes == 0 {
            return Err(RunError::NoPass);
        }
        let dims = self.dims(residues, request, runtime)?;
        let needed = bytes_of(|counter| Memory::take(counter, &dims))?;
        let mut memory = Memory::take(&mut Arena::of_size(needed, arena)?, &dims)?;
        let pass = Pass { model: self, dims, runtime, context: runtime.context(), input };
        pass.language_model(&mut memory, watch)?;
        pass.embed(&mut memory)?;
        tell(watch, Step::LanguageModel, None)?;
        for index in 0..passes {
            pass.trunk(index, &mut memory, watch)?;
            pass.structure(&mut memory)?;
            tell(watch, Step::StructureModule { pass: index }, None)?;
        }
        pass.plddt(&mut memory)?;
        let TmScores { ptm, iptm } = pass.pair_heads(&mut memory)?;
        Ok(Structure {
            atoms: memory.atoms,
            plddt: memory.plddt.as_chunks().0,
            aligned_error: request.aligned_error.then_some(&*memory.aligned_error),
            distogram: request.distogram.then_some(&*memory.distogram),
            ptm,
            iptm,
            chain_scores: (request.chain_scores > 0).then_some(&*memory.chain_scores),
        })
    }
}

fn tell(watch: &mut Watch, step: Step, shown: Option<&Representations>) -> Result<(), RunError> {
    match watch(step, shown) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(RunError::Stopped),
    }
}

/// The number of residues.
fn check(input: &Input, request: &Request) -> Result<usize, RunError> {
    let tokens = input.tokens.get(1..input.tokens.len().saturating_sub(1)).unwrap_or_default();
    let residues = tokens.len();
    Dims::check(residues)?;
    let (residue_index, chains) = (input.residue_index.len(), input.chains.len());
    if residue_index != residues || chains != residues {
        return Err(RunError::WrongLengths { residues, residue_index, chains });
    }
    let scored = |chain: u16| chain == LINKER || usize::from(chain) < request.chain_scores;
    if let (1.., Some(&chain)) = (request.chain_scores, input.chains.iter().find(|&&chain| !scored(chain))) {
        return Err(RunError::ChainWithoutScore { chain, chains: request.chain_scores });
    }
    match tokens.iter().enumerate().find(|&(_, &token)| Residue::from_token(token).is_none()) {
        Some((index, &token)) => Err(RunError::NoResidue { index: index + 1, token }),
        None => Ok(residues),
    }
}

/// The residue at `index`. [`check`] has looked at every token.
fn residue(input: &Input, index: usize) -> Residue {
    let token = input.tokens.get(index + 1).copied().unwrap_or_default();
    Residue::from_token(token).unwrap_or(Residue::X)
}

impl Pass<'_, '_> {
    /// How both representations are stored after `blocks` blocks.
    #[inline(never)]
    fn stored(&self, blocks: usize) -> Result<TrunkFormats<'_>, FormatError> {
        let Shape { sequence, pair, .. } = self.dims.trunk;
        Ok(TrunkFormats {
            sequence: StreamFormat { site: self.model.sequence_site(blocks)?, code_row: sequence.code_row },
            pair: StreamFormat { site: self.model.pair_site(PAIR_SITES * blocks)?, code_row: pair.code_row },
        })
    }

    /// How both representations are stored after the last block.
    fn last(&self) -> Result<TrunkFormats<'_>, FormatError> {
        self.stored(self.model.config.blocks)
    }

    /// The language model, whose hidden states are mixed as they arise.
    #[inline(never)]
    fn language_model(&self, memory: &mut Memory<Arena>, watch: &mut Watch) -> Result<(), RunError> {
        let Self { model, dims, input, .. } = self;
        let mut arena = Arena::new(memory.shared)?;
        let mix: &mut [i32] = arena.take(dims.mix_len())?;
        let needed = model.language_model.arena_bytes(input.tokens.len(), &HIDDEN, self.runtime)?;
        let embedding = model.embedding()?;
        mix.fill(0);
        model
            .language_model
            .run_with(input.tokens, &HIDDEN, arena.take(needed)?, self.runtime, &mut |event| match event {
                esm::Event::Hidden(row) => {
                    embedding.add(&row, mix);
                    ControlFlow::Continue(())
                }
                esm::Event::Layer { layer } => watch(Step::Layer { layer }, None),
            })
            .map_err(
                |error| if error == esm::RunError::Stopped { RunError::Stopped } else { error.into() },
            )?;
        Ok(())
    }

    /// What the sequence representation starts from, made of the mix.
    #[inline(never)]
    fn embed(&self, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let Self { model, dims, input, .. } = self;
        let embedding = model.embedding()?;
        let mut arena = Arena::new(memory.shared)?;
        let mix: &mut [i32] = arena.take(dims.mix_len())?;
        let scratch = arena.take(embedding.bytes(self.runtime.workers())?)?;
        embedding.run(&self.context, &|index| residue(input, index), mix, memory.embedded, scratch)?;
        Ok(())
    }

    /// The trunk, from the embedded sequence and the pass before.
    #[inline(never)]
    fn trunk(&self, index: usize, memory: &mut Memory<Arena>, watch: &mut Watch) -> Result<(), RunError> {
        let Self { model, dims, context, .. } = self;
        let shape = &dims.trunk;
        let on = &Setting { context: *context, shape };
        let mut work =
            trunk::memory::Memory::take(&mut Arena::new(memory.shared)?, shape, self.runtime.workers())?;
        for (cb, atoms) in memory.cbs.iter_mut().zip(&*memory.atoms) {
            *cb = distances::virtual_cb([atoms[0], atoms[1], atoms[2]]);
        }
        let mut stored = self.stored(0)?;
        let geometry = Geometry { cbs: memory.cbs, residue_index: self.input.residue_index };
        let start =
            Start { embedded: memory.embedded, sequence: &mut *memory.sequence, pair: &mut *memory.pair };
        self.recycle(on, index > 0, &stored, &geometry, start, work.scratch)?;
        for number in 0..model.config.blocks {
            let codes = [&mut *memory.sequence, &mut *memory.pair];
            model.block(number).run(on, &mut stored, codes, &mut work)?;
            let [sequence, pair] = [(&*memory.sequence, stored.sequence), (&*memory.pair, stored.pair)]
                .map(|(codes, format)| Stream { codes, format });
            let shown = Representations { backend: context.backend, sequence, pair };
            tell(watch, Step::Block { pass: index, block: number }, Some(&shown))?;
        }
        Ok(())
    }

    /// What a pass starts from, stored as `stored` says: the embedded sequence and, if there was one, the
    /// pass before.
    #[inline(never)]
    fn recycle(
        &self,
        on: &Setting,
        again: bool,
        stored: &TrunkFormats,
        geometry: &Geometry,
        Start { embedded, sequence, pair }: Start,
        scratch: &mut [u8],
    ) -> Result<(), RunError> {
        let recycling = self.model.recycling()?;
        let before = if again { Some(self.last()?) } else { None };
        let before = before.as_ref();
        recycling.sequence(
            on,
            before.map(|before| &before.sequence),
            &stored.sequence,
            (embedded, sequence),
            scratch,
        )?;
        recycling.pair(on, (before.map(|before| &before.pair), &stored.pair), geometry, pair, scratch)?;
        Ok(())
    }

    /// Atoms and the structure module's state from the trunk's representations.
    #[inline(never)]
    fn structure(&self, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (residues, backend) = (self.dims.trunk.residues, self.context.backend);
        let TrunkFormats { sequence, pair } = self.last()?;
        let sequence = Stream { codes: memory.sequence, format: sequence };
        let pair = Stream { codes: memory.pair, format: pair };
        let inputs = structure::Inputs {
            residues,
            residue: &|index| residue(self.input, index),
            sequence: &|row, x| sequence.decode(backend, row, x),
            pair: &|row, x| pair.decode(backend, row * residues, x),
        };
        let outputs = structure::Outputs { atoms: memory.atoms, origins: &mut [], state: memory.state };
        Ok(self.model.structure().run(&inputs, outputs, memory.shared, &self.context)?)
    }

    /// The pLDDT.
    #[inline(never)]
    fn plddt(&self, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let plddt = memory.plddt.as_chunks_mut().0;
        Ok(self.model.plddt()?.run(memory.state, plddt, memory.shared, &self.context)?)
    }

    /// The heads on pairs.
    #[inline(never)]
    fn pair_heads(&self, memory: &mut Memory<Arena>) -> Result<TmScores, RunError> {
        let Self { model, context, dims, .. } = self;
        let (residues, request) = (dims.trunk.residues, dims.request);
        let pair = Stream { codes: memory.pair, format: self.last()?.pair };
        let rows = |row: usize, x: &mut [i32]| pair.decode(context.backend, row * residues, x);
        let pairs = Pairs { residues, rows: &rows };
        if request.distogram {
            model.distogram()?.run(&pairs, memory.distogram, memory.shared, context)?;
        }
        let errors = request.aligned_error.then_some(&mut *memory.aligned_error);
        let wanted = PairScores { errors, chain_scores: &mut *memory.chain_scores };
        Ok(model.aligned_error()?.run(&pairs, Chains(self.input.chains), wanted, memory.shared, context)?)
    }
}

/// What a pass starts from, and where it is stored.
struct Start<'r> {
    embedded: &'r [i32],
    sequence: &'r mut [u8],
    pair: &'r mut [u8],
}
