//! Runs over small random models.

mod load;
mod model;
mod reference;
mod same_bits;

use super::{Features, LanguageModel, MapUnit, Maps, Memory, Rows, RunError, Shape, States};
use crate::AlignedBytes;
use crate::arena::{Arena, bytes_of};
use crate::executor::Executor;
use crate::format::ModelFile;
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::nn::Context;
use crate::omegafold::embedding::Embedding;
use crate::omegafold::masks::{MASKED_UP_TO, PseudoMsa};
use core::ops::ControlFlow;
use model::Model;
use std::vec;
use std::vec::Vec;

/// A sequence and its pseudo-MSA.
#[derive(Clone, Debug)]
pub struct Given {
    pub types: Vec<u8>,
    /// `[rows, residues]`
    pub kept: Vec<u8>,
    pub before: Option<Vec<u16>>,
}

impl Given {
    /// Random residues, and the rows of cycle `cycle` as the original draws them: the sequence and so many
    /// below.
    pub fn drawn(seed: u64, residues: usize, rows: usize, cycle: usize) -> Self {
        let mut masks = PseudoMsa::new(residues, MASKED_UP_TO);
        let mut kept = vec![1; residues];
        for index in 0..(cycle + 1) * rows {
            let mut row = vec![false; residues];
            masks.next_row(&mut row);
            if index >= cycle * rows {
                kept.extend(row.into_iter().map(u8::from));
            }
        }
        let types = Random(seed).many(residues, |r| r.below(21) as u8);
        Self { types, kept, before: None }
    }

    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.chunks_exact(self.types.len())
    }

    fn view(&self) -> Rows<'_> {
        Rows { types: &self.types, kept: &self.kept, before: self.before.as_deref() }
    }
}

/// What a run gave, out of the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// `[rows, residues, width]`
    pub states: Vec<i32>,
    /// `[rows, residues, node width]`
    pub node: Vec<i32>,
    /// `[residues, residues, pair width]`
    pub pair: Vec<i32>,
    /// Codes of the maps.
    pub maps: Vec<u16>,
    pub unit: MapUnit,
    pub layers: usize,
}

impl Outputs {
    /// How much residue `i` attends to each in one layer.
    pub fn map(&self, i: usize, layer: usize, residues: usize) -> Vec<i32> {
        let maps = Maps { codes: &self.maps, unit: self.unit, residues, layers: self.layers };
        let mut sums = vec![-1; residues];
        maps.read(i, layer, 0, &mut sums);
        sums
    }
}

/// A run in an arena of exactly the planned size that holds garbage.
pub fn compute(model: &Model, given: &Given, isa: Isa, executor: &dyn Executor) -> Outputs {
    try_compute(model, given, isa, executor, &mut |_| ControlFlow::Continue(())).expect("a run")
}

pub fn try_compute(
    model: &Model,
    given: &Given,
    isa: Isa,
    executor: &dyn Executor,
    hook: &mut super::run::Hook,
) -> Result<Outputs, RunError> {
    let file = model.tensors.file();
    let file = ModelFile::parse(file.0.bytes()).expect("a file by the rules");
    let config = &model.config;
    let language_model = LanguageModel::open(&file, config)?;
    let code_bytes = language_model.check()?;
    let embedding = Embedding::load(&file, config)?;
    let context = Context { backend: isa.backend(), executor };
    let (residues, rows) = (given.types.len(), given.kept.len() / given.types.len().max(1));
    let shape: Shape = language_model.shape(residues, rows, code_bytes, context.workers());
    let garbage = |bytes: usize| AlignedBytes::copy_of(&Random(bytes as u64).many(bytes, |r| r.next() as u8));
    let mut kept = garbage(bytes_of(|counter| Features::take(counter, &shape))?);
    let mut work = garbage(bytes_of(|counter| Memory::take(counter, &shape))?);
    let mut features = Features::take(&mut Arena::new(kept.bytes_mut())?, &shape)?;
    let mut memory = Memory::take(&mut Arena::new(work.bytes_mut())?, &shape)?;
    let unit = language_model.run(&context, &shape, &given.view(), &mut features, &mut memory, hook)?;

    let Features { states: codes, maps } = features;
    let states = States::new(&language_model, &shape, codes)?;
    let maps_read = Maps { codes: maps, unit, residues, layers: config.layers };
    let mut outputs = Outputs {
        states: vec![7; rows * residues * config.width],
        node: vec![7; rows * residues * config.node_width],
        pair: vec![7; residues * residues * config.pair_width],
        maps: maps.to_vec(),
        unit,
        layers: config.layers,
    };
    let mut scratch = garbage(embedding.bytes()?);
    let per_row = outputs.states.chunks_mut(residues * config.width);
    let per_row = per_row.zip(outputs.node.chunks_mut(residues * config.node_width));
    for (row, (of_states, of_node)) in per_row.enumerate() {
        let mut stream = vec![9; of_states.len()];
        states.read(context.backend, row, 0, &mut stream, of_states);
        // In two parts, of which the second begins anywhere.
        let (first, second) = of_node.split_at_mut(residues / 2 * config.node_width);
        embedding.node(context.backend, &states, (row, 0), first, scratch.bytes_mut())?;
        embedding.node(context.backend, &states, (row, residues / 2), second, scratch.bytes_mut())?;
    }
    for (i, pairs) in outputs.pair.chunks_mut(residues * config.pair_width).enumerate() {
        let (first, second) = pairs.split_at_mut(residues / 3 * config.pair_width);
        embedding.pair(context.backend, &maps_read, (i, 0), first, scratch.bytes_mut())?;
        embedding.pair(context.backend, &maps_read, (i, residues / 3), second, scratch.bytes_mut())?;
    }
    Ok(outputs)
}
