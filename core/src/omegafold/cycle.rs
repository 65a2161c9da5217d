//! The steps of a cycle.

use super::block::TrunkFormats;
use super::choice::Overall;
use super::distances;
use super::embedding::Embedding;
use super::language_model::{self, MapUnit, Maps, Rows, States};
use super::masks::PseudoMsa;
use super::memory::{BelowMemory, Dims, Memory};
use super::model::FoldingModel;
use super::recycling::{Geometry, Turn, Work};
use super::request::{Event, Hook, Request, RunError, tell};
use super::sites::{NODE_SITES, pair_sites};
use crate::arena::{Arena, Source};
use crate::format::FormatError;
use crate::geometry::Residue;
use crate::nn::Context;
use crate::nn::stream::{Stream, StreamFormat};
use crate::structure;
use crate::trunk::msa::shape::Setting;
use crate::trunk::representations::Representations;

/// What every step reads.
#[derive(Debug)]
pub struct Steps<'r, 'a> {
    /// The model.
    pub model: &'r FoldingModel<'a>,
    /// All sizes.
    pub dims: &'r Dims,
    /// Kernels and workers.
    pub context: Context<'r>,
    /// What is asked.
    pub request: &'r Request,
    /// What is folded.
    pub residues: &'r [Residue],
}

/// What the language model says in a cycle.
struct Said<'s> {
    /// Of the sequence itself.
    sequence: States<'s>,
    /// Of the rows below it, if there are any.
    below: Option<States<'s>>,
    /// Of all rows.
    maps: Maps<'s>,
}

impl Steps<'_, '_> {
    /// The language model over the sequence itself, which is the same in every cycle. Returns what its maps
    /// mean.
    #[inline(never)]
    pub fn sequence(&self, memory: &mut Memory<Arena>, hook: &mut Hook) -> Result<MapUnit, RunError> {
        let Self { model, dims, .. } = self;
        let Memory { types, kept, sequence, shared, .. } = memory;
        types.iter_mut().zip(self.residues).for_each(|(out, residue)| *out = residue.index() as u8);
        let (kept, _) = self.rows(kept);
        kept.fill(1);
        let rows = Rows { types, kept, before: None };
        let mut work = language_model::Memory::take(&mut Arena::new(shared)?, &dims.sequence)?;
        let mut tell = |layer| hook(Event::Layer { cycle: None, layer });
        let language_model = &model.language_model;
        Ok(language_model.run(&self.context, &dims.sequence, &rows, sequence, &mut work, &mut tell)?)
    }

    /// The language model over the rows below the sequence, and what cycle `cycle` starts from: what it says
    /// and, but in the first one, the cycle before. `alone` is what the maps of the sequence itself mean.
    #[inline(never)]
    pub fn start(
        &self,
        cycle: usize,
        alone: MapUnit,
        memory: &mut Memory<Arena>,
        hook: &mut Hook,
    ) -> Result<(), RunError> {
        let Self { model, dims, .. } = self;
        let language_model = &model.language_model;
        let Memory { places, types, kept, sequence, node, pair, shared, .. } = memory;
        let (_, kept) = self.rows(kept);
        self.draw(cycle, kept);
        let BelowMemory { features, work } = BelowMemory::take(&mut Arena::new(shared)?, dims)?;
        let mut said = Said {
            sequence: States::new(language_model, &dims.sequence, sequence.states)?,
            below: None,
            maps: self.maps(sequence.maps, alone),
        };
        if let (Some(shape), Some(mut features)) = (&dims.below, features) {
            let rows = Rows { types, kept, before: Some(sequence.maps) };
            let mut work = language_model::Memory::take(&mut Arena::new(work)?, shape)?;
            let mut tell = |layer| hook(Event::Layer { cycle: Some(cycle), layer });
            let unit =
                language_model.run(&self.context, shape, &rows, &mut features, &mut work, &mut tell)?;
            said.below = Some(States::new(language_model, shape, features.states)?);
            said.maps = self.maps(features.maps, unit);
        }
        self.embed(cycle, &said, places, [node, pair], work)
    }

    fn maps<'s>(&self, codes: &'s [u16], unit: MapUnit) -> Maps<'s> {
        Maps { codes, unit, residues: self.residues.len(), layers: self.model.config.layers }
    }

    /// The rows' masks: those of the sequence, and those of the rows below it.
    fn rows<'k>(&self, kept: &'k mut [u8]) -> (&'k mut [u8], &'k mut [u8]) {
        kept.split_at_mut(self.residues.len().min(kept.len()))
    }

    /// Draws which residues of the rows below the sequence are kept.
    ///
    /// The generator would be 2.5 kilobytes of memory between cycles: instead each cycle draws those of the
    /// cycles before it again, which takes no time worth mentioning.
    #[inline(never)]
    fn draw(&self, cycle: usize, kept: &mut [u8]) {
        let mut masks = PseudoMsa::new(self.residues.len(), self.request.masked_up_to);
        for _ in 0..=cycle {
            kept.chunks_exact_mut(self.residues.len().max(1)).for_each(|row| masks.next_row(row));
        }
    }

    /// Stores both representations.
    #[inline(never)]
    fn embed(
        &self,
        cycle: usize,
        said: &Said,
        places: &[[i32; 3]],
        [node, pair]: [&mut [u8]; 2],
        scratch: &mut [u8],
    ) -> Result<(), RunError> {
        let Self { model, dims, context, .. } = self;
        let (backend, before, after) = (context.backend, self.before(cycle)?, self.stored(0)?);
        let embedding: &Embedding = &model.embedding()?;
        let recycling = model.recycling()?;
        let features_bytes = embedding.bytes()?;
        // Not more: workers share it in equal parts.
        let scratch_bytes = recycling.bytes(features_bytes, dims.workers)?;
        let scratch: &mut [u8] = Arena::of_size(scratch_bytes, scratch)?.take(scratch_bytes)?;
        let of_node = |row: usize, first: usize, out: &mut [i32], scratch: &mut [u8]| {
            match (row.checked_sub(1), &said.below) {
                (None, _) => embedding.node(backend, &said.sequence, (0, first), out, scratch),
                (Some(row), Some(below)) => embedding.node(backend, below, (row, first), out, scratch),
                // There is no such row.
                (Some(_), None) => Ok(()),
            }
        };
        let turn = Turn { before: before.as_ref().map(|stored| stored.node), after: after.node };
        let work = Work { features: &of_node, features_bytes, codes: node, scratch: &mut *scratch };
        recycling.node(context, dims.rows, &turn, work)?;
        let of_pair = |i: usize, first: usize, out: &mut [i32], scratch: &mut [u8]| {
            embedding.pair(backend, &said.maps, (i, first), out, scratch)
        };
        let turn = Turn { before: before.as_ref().map(|stored| stored.pair), after: after.pair };
        let work = Work { features: &of_pair, features_bytes, codes: pair, scratch };
        recycling.pair(context, &Geometry { residues: self.residues, places }, &turn, work)?;
        Ok(())
    }

    /// The trunk.
    #[inline(never)]
    pub fn trunk(&self, cycle: usize, memory: &mut Memory<Arena>, hook: &mut Hook) -> Result<(), RunError> {
        let Self { model, dims, context, .. } = self;
        let Memory { kept, node, pair, shared, .. } = memory;
        let shape = &dims.node();
        let on = Setting { context: *context, shape, kept };
        let mut stored = self.stored(0)?;
        for block in 0..model.config.blocks {
            model.block(block).run(&on, &mut stored, [&mut *node, &mut *pair], shared)?;
            let sequence = Stream { codes: node, format: stored.node.each(self.dims.node().column()) };
            let pair = Stream { codes: pair, format: stored.pair };
            let representations = Representations { backend: context.backend, sequence, pair };
            tell(hook, Event::Block { cycle, block, representations })?;
        }
        Ok(())
    }

    /// Atoms and the structure module's state.
    #[inline(never)]
    pub fn structure(&self, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (count, backend, stored) = (self.residues.len(), self.context.backend, self.last()?);
        let Memory { last, places, state, node, pair, shared, .. } = memory;
        let sequence = Stream { codes: node, format: stored.node.each(self.dims.node().column()) };
        let pair = Stream { codes: pair, format: stored.pair };
        let inputs = structure::Inputs {
            residues: count,
            residue: &|index| self.residue(index),
            sequence: &|row, x| sequence.decode(backend, row, x),
            pair: &|row, x| pair.decode(backend, row * count, x),
        };
        let outputs = structure::Outputs { atoms: last.atoms, origins: places, state };
        Ok(self.model.structure().run(&inputs, outputs, shared, &self.context)?)
    }

    /// Confidence in each residue and in all. `memory.places` are the residues' CAs.
    #[inline(never)]
    pub fn confidence(&self, memory: &mut Memory<Arena>) -> Result<Overall, RunError> {
        let Memory { last, places, state, shared, .. } = memory;
        self.model.confidence()?.run(state, last.confidence, shared, &self.context)?;
        Ok(Overall::new(last.confidence, places))
    }

    /// How both representations are stored after `blocks` blocks.
    #[inline(never)]
    fn stored(&self, blocks: usize) -> Result<TrunkFormats<'_>, FormatError> {
        let (sites, trunk) = (self.model.sites(), &self.dims.trunk);
        let (node, pair) = (sites.node(NODE_SITES * blocks)?, sites.pair(pair_sites(sites.config) * blocks)?);
        Ok(TrunkFormats {
            node: StreamFormat { site: node, code_row: trunk.sequence.code_row },
            pair: StreamFormat { site: pair, code_row: trunk.pair.code_row },
        })
    }

    /// How both representations are stored after the last block.
    fn last(&self) -> Result<TrunkFormats<'_>, FormatError> {
        self.stored(self.model.config.blocks)
    }

    /// How both representations are stored after the cycle before cycle `cycle`, if there is one.
    fn before(&self, cycle: usize) -> Result<Option<TrunkFormats<'_>>, FormatError> {
        if cycle == 0 { Ok(None) } else { self.last().map(Some) }
    }

    /// Moves the residues' places from their CAs to where the next cycle takes them to be.
    pub fn place(&self, memory: &mut Memory<Arena>) {
        let atoms = self.residues.iter().zip(&*memory.last.atoms);
        for (place, (&residue, atoms)) in memory.places.iter_mut().zip(atoms) {
            *place = distances::place(residue, atoms, *place);
        }
    }

    fn residue(&self, index: usize) -> Residue {
        self.residues.get(index).copied().unwrap_or(Residue::X)
    }
}
