//! All of folding, cycle by cycle.

use foldpoint_core::omegafold::{MASKED_UP_TO, PseudoMsa, ROWS};

use super::batch::Input;
use super::block::Block;
use super::confidence::{ConfidenceHead, overall};
use super::embedding::{CA, Embedding, Previous, Recycling};
use super::language_model::LanguageModel;
use super::structure_module::{Structure, StructureModule};
use crate::checkpoint::OmegaFold;
use crate::reference::esmfold::residues::Residue;
use crate::reference::{Observer, ReferenceError, Tap};

/// Cycles, unless the user says otherwise.
const CYCLES: usize = 10;

/// What a user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Passes through the model, of which the one with the highest confidence is the result.
    pub cycles: usize,
    /// Rows of the pseudo-MSA besides the sequence itself.
    pub rows: usize,
    /// The share of masked residues in them, see [`PseudoMsa::new`].
    pub masked_up_to: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { cycles: CYCLES, rows: ROWS, masked_up_to: MASKED_UP_TO }
    }
}

/// What a cycle gives.
pub struct Cycle {
    /// Whether each residue of each row of the pseudo-MSA was kept, the sequence itself first:
    /// `[rows, residues]`.
    pub kept: Vec<bool>,
    /// The structure.
    pub structure: Structure,
    /// Of each residue, 0 to 1.
    pub confidence: Vec<f64>,
    /// Of all; it can exceed 1 where no residue has neighbours.
    pub overall: f64,
}

/// The cycles of a fold.
pub struct OmegaFoldOutputs {
    /// All cycles, in order.
    pub cycles: Vec<Cycle>,
    /// The number of the one that is the result: the first of those with the highest confidence.
    pub chosen: usize,
}

/// The float model of a checkpoint. Holds everything but layers and blocks, which are read when they run.
pub struct OmegaFoldReference<'c> {
    pub(super) checkpoint: &'c OmegaFold,
    pub(super) language_model: LanguageModel<'c>,
    pub(super) embedding: Embedding,
    pub(super) recycling: Recycling,
    pub(super) structure_module: StructureModule,
    pub(super) confidence: ConfidenceHead,
}

impl<'c> OmegaFoldReference<'c> {
    /// Reads everything but layers and blocks.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn new(checkpoint: &'c OmegaFold) -> Result<Self, ReferenceError> {
        Ok(Self {
            checkpoint,
            language_model: LanguageModel::load(checkpoint)?,
            embedding: Embedding::load(checkpoint)?,
            recycling: Recycling::load(checkpoint)?,
            structure_module: StructureModule::load(checkpoint)?,
            confidence: ConfidenceHead::load(checkpoint)?,
        })
    }

    /// The checkpoint that runs.
    pub fn checkpoint(&self) -> &'c OmegaFold {
        self.checkpoint
    }

    /// What the first cycle takes up.
    pub(super) fn nothing_before(&self, residues: usize) -> Result<Previous, ReferenceError> {
        let config = self.checkpoint.config();
        Previous::none(residues, config.node_width, config.pair_width)
    }

    /// Folds a sequence, which is number `sequence` to `observer`.
    ///
    /// # Errors
    /// There are no residues, or a tensor can't be read.
    pub fn run(
        &self,
        sequence: usize,
        residues: &[Residue],
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<OmegaFoldOutputs, ReferenceError> {
        if residues.is_empty() {
            return Err(ReferenceError::NoResidues { sequence });
        }
        let mut masks = PseudoMsa::new(residues.len(), options.masked_up_to);
        let mut previous = self.nothing_before(residues.len())?;
        let mut outputs = OmegaFoldOutputs { cycles: Vec::with_capacity(options.cycles), chosen: 0 };
        let mut best = 0.0;
        for cycle in 0..options.cycles {
            let input = Input::new(residues, options.rows, &mut masks);
            let (structure, node, pair) = self.cycle(cycle, sequence, &input, &previous, observer)?;
            let tap = &mut Tap::fold(observer, sequence, cycle);
            let confidence = self.confidence.forward(&structure.state, tap)?;
            let cas: Vec<[f64; 3]> = structure.atoms.iter().map(|atoms| atoms[CA]).collect();
            let overall = overall(&confidence, &cas);
            if overall > best {
                (best, outputs.chosen) = (overall, cycle);
            }
            previous =
                Previous { node, pair, atoms: structure.atoms.clone(), groups: structure.groups.clone() };
            outputs.cycles.push(Cycle { kept: input.into_kept(), structure, confidence, overall });
        }
        Ok(outputs)
    }

    /// Runs a cycle: the structure, and node and pair representation of the sequence itself.
    fn cycle(
        &self,
        cycle: usize,
        sequence: usize,
        input: &Input,
        previous: &Previous,
        observer: &mut dyn Observer,
    ) -> Result<(Structure, candle_core::Tensor, candle_core::Tensor), ReferenceError> {
        let (rows, residues) = (input.rows(), input.residues());
        let tap = &mut Tap::language_model(observer, sequence, &[]).in_pass(cycle);
        let features = self.language_model.forward(rows, tap)?;
        let tap = &mut Tap::fold(observer, sequence, cycle);
        let (node, pair) = self.embedding.forward(&features, residues, tap)?;
        let (mut node, mut pair) = self.recycling.forward(&node, &pair, previous, residues, tap)?;
        for index in 0..self.checkpoint.config().blocks {
            let block = Block::load(self.checkpoint, index)?;
            (node, pair) = block.forward(&node, &pair, rows, tap)?;
        }
        let node = node.narrow(0, 0, residues.len())?.contiguous()?;
        Ok((self.structure_module.forward(&node, &pair, residues, tap)?, node, pair))
    }
}
