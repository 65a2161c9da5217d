//! All of folding, from tokens to atoms.

use candle_core::Tensor;

use super::atoms::atom37_positions;
use super::block::Block;
use super::embedding::Embedding;
use super::heads::Heads;
use super::recycling::{Previous, Recycling};
use super::residues::Residue;
use super::rigid::Frame;
use super::structure_module::{Structure, StructureModule};
use crate::checkpoint::{Checkpoint, FoldConfig};
use crate::reference::observer::for_each_sequence;
use crate::reference::{Observer, Outputs, Reference, ReferenceError, Tap, Want};
use crate::table::TORSIONS;

/// A sequence to fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Tokens of the language model, `<cls>` and `<eos>` included.
    pub tokens: Vec<u8>,
    /// Number of each residue along its chain: two fewer than tokens. Only differences count.
    pub residue_index: Vec<i64>,
}

impl Fold {
    /// A single chain, numbered without gaps.
    pub fn chain(tokens: &[u8]) -> Self {
        Self { tokens: tokens.to_vec(), residue_index: (0..tokens.len().saturating_sub(2) as i64).collect() }
    }
}

/// Which large results shall be returned besides the structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldWant {
    /// Of the language model.
    pub language_model: Want,
    /// Logits of the aligned error and of the distogram.
    pub logits: bool,
}

/// The results for one sequence of L residues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldOutputs {
    /// Of the language model.
    pub language_model: Outputs,
    /// Each residue's frame after each iteration of the last pass, translations in angstroms: iterations
    /// times L.
    pub frames: Vec<Vec<Frame>>,
    /// (sine, cosine) of each residue's torsions after each iteration of the last pass: iterations times L.
    pub torsions: Vec<Vec<[[f64; 2]; TORSIONS]>>,
    /// Atoms in angstroms: `[L, 37, 3]`; 0 where there is none.
    pub atom37: Vec<f32>,
    /// Which atoms there are: `[L, 37]`, 0 or 1.
    pub atom37_mask: Vec<f32>,
    /// pLDDT of every atom, 0 to 1: `[L, 37]`. A residue's value is that of its CA, at 1.
    pub plddt: Vec<f32>,
    /// Predicted TM-score, 0 to 1.
    pub ptm: f32,
    /// Predicted aligned error in angstroms: `[L, L]`, aligned residue first.
    pub pae: Vec<f32>,
    /// `[L, L, 64]`, if wanted.
    pub pae_logits: Vec<f32>,
    /// `[L, L, 64]`, if wanted.
    pub distogram: Vec<f32>,
}

/// The float folding model of a checkpoint. Holds everything but layers and trunk blocks, which are read when
/// they run.
pub struct FoldReference<'c> {
    checkpoint: &'c Checkpoint,
    config: &'c FoldConfig,
    language_model: Reference<'c>,
    /// Before the first pass.
    pub embedding: Embedding,
    /// Before each pass.
    pub recycling: Recycling,
    /// After each pass through the trunk.
    pub structure_module: StructureModule,
    /// After the last pass.
    pub heads: Heads,
}

/// A sequence on its way.
struct Progress {
    residues: Vec<Residue>,
    embedded: Tensor,
    sequence: Tensor,
    pair: Tensor,
    structure: Option<Structure>,
}

impl<'c> FoldReference<'c> {
    /// Reads everything but layers and trunk blocks.
    ///
    /// # Errors
    /// It is no folding model, or a tensor can't be read.
    pub fn new(checkpoint: &'c Checkpoint) -> Result<Self, ReferenceError> {
        let config = checkpoint
            .fold_config()
            .ok_or_else(|| ReferenceError::NoFold(checkpoint.path().display().to_string()))?;
        Ok(Self {
            checkpoint,
            config,
            language_model: Reference::new(checkpoint)?,
            embedding: Embedding::load(checkpoint)?,
            recycling: Recycling::load(checkpoint, config)?,
            structure_module: StructureModule::load(checkpoint, config)?,
            heads: Heads::load(checkpoint)?,
        })
    }

    /// The folding model's dimensions.
    pub fn config(&self) -> &'c FoldConfig {
        self.config
    }

    /// The language model below.
    pub fn language_model(&self) -> &Reference<'c> {
        &self.language_model
    }

    /// Folds each sequence in `recycles + 1` passes. All sequences go through one layer or block before the
    /// next is read, so that memory holds one block's weights and the representations. Each sequence gives
    /// what it gives alone. `observer` is shown the values inside.
    ///
    /// # Errors
    /// As [`Reference::run_batch`]; also no residues, or a token that is no residue.
    pub fn run_batch(
        &self,
        folds: &[Fold],
        recycles: usize,
        want: FoldWant,
        observer: &mut dyn Observer,
    ) -> Result<Vec<FoldOutputs>, ReferenceError> {
        let residues: Vec<Vec<Residue>> =
            folds.iter().enumerate().map(|(i, fold)| residues(i, fold)).collect::<Result<_, _>>()?;
        let tokens: Vec<&[u8]> = folds.iter().map(|fold| fold.tokens.as_slice()).collect();
        let (outputs, mixes) =
            self.embedding.mix(&self.language_model, &tokens, want.language_model, observer)?;
        let mut sequences = Vec::with_capacity(folds.len());
        for (i, (residues, mix)) in residues.into_iter().zip(&mixes).enumerate() {
            let embedded = self.embedding.forward(mix, &residues, &mut Tap::fold(observer, i, 0))?;
            // Replaced before the first block reads them.
            let (sequence, pair) = (embedded.clone(), embedded.clone());
            sequences.push(Progress { residues, embedded, sequence, pair, structure: None });
        }
        for pass in 0..=recycles {
            self.pass(folds, &mut sequences, pass, observer)?;
        }
        let mut results = Vec::with_capacity(folds.len());
        for (i, (progress, language_model)) in sequences.iter().zip(outputs).enumerate() {
            let tap = &mut Tap::fold(observer, i, recycles);
            results.push(FoldOutputs { language_model, ..self.finish(progress, want, tap)? });
        }
        Ok(results)
    }

    /// Runs every sequence through trunk and structure module once.
    fn pass(
        &self,
        folds: &[Fold],
        sequences: &mut [Progress],
        pass: usize,
        observer: &mut dyn Observer,
    ) -> Result<(), ReferenceError> {
        for (i, (progress, fold)) in sequences.iter_mut().zip(folds).enumerate() {
            let previous = progress.structure.take().map(|structure| Previous {
                sequence: progress.sequence.clone(),
                pair: progress.pair.clone(),
                backbone: structure.atoms.iter().map(|&[n, ca, c, ..]| [n, ca, c]).collect(),
            });
            let tap = &mut Tap::fold(observer, i, pass);
            (progress.sequence, progress.pair) =
                self.recycling.forward(&progress.embedded, previous.as_ref(), &fold.residue_index, tap)?;
        }
        for index in 0..self.config.blocks {
            let block = Block::load(self.checkpoint, self.config, index)?;
            for_each_sequence(
                sequences,
                observer,
                |i, progress, observer| {
                    let tap = &mut Tap::fold(observer, i, pass);
                    (progress.sequence, progress.pair) =
                        block.forward(&progress.sequence, &progress.pair, tap)?;
                    Ok(())
                },
                |i, observer| observer.block_done(pass, index, i),
            )?;
        }
        let to_structure = |i, progress: &mut Progress, observer: &mut dyn Observer| {
            let tap = &mut Tap::fold(observer, i, pass);
            let Progress { sequence, pair, residues, .. } = &progress;
            progress.structure = Some(self.structure_module.forward(sequence, pair, residues, tap)?);
            Ok(())
        };
        for_each_sequence(sequences, observer, to_structure, |_, _| ())
    }

    /// What the heads and the last structure say.
    fn finish(
        &self,
        progress: &Progress,
        want: FoldWant,
        tap: &mut Tap<'_>,
    ) -> Result<FoldOutputs, ReferenceError> {
        let mut outputs = FoldOutputs::default();
        let (distogram, error) = self.heads.pair(&progress.pair, progress.residues.len(), tap)?;
        (outputs.ptm, outputs.pae) = (error.ptm, error.mean);
        if want.logits {
            (outputs.pae_logits, outputs.distogram) = (error.logits, distogram);
        }
        let Some(structure) = &progress.structure else { return Ok(outputs) };
        outputs.plddt = self.heads.plddt(&structure.state, tap)?;
        let scale = self.config.structure.translation_scale;
        let in_angstroms = |frame: &Frame| Frame { translation: frame.rigid(scale).translation, ..*frame };
        outputs.frames =
            structure.frames.iter().map(|frames| frames.iter().map(in_angstroms).collect()).collect();
        outputs.torsions.clone_from(&structure.torsions);
        for (atoms, &residue) in structure.atoms.iter().zip(&progress.residues) {
            let (positions, mask) = atom37_positions(atoms, residue);
            outputs.atom37.extend(positions.as_flattened().iter().map(|&v| v as f32));
            outputs.atom37_mask.extend(mask.map(|there| if there { 1.0 } else { 0.0 }));
        }
        Ok(outputs)
    }
}

/// The residues of sequence number `sequence`.
fn residues(sequence: usize, fold: &Fold) -> Result<Vec<Residue>, ReferenceError> {
    let inside = fold.tokens.get(1..fold.tokens.len().saturating_sub(1)).unwrap_or(&[]);
    if inside.is_empty() {
        return Err(ReferenceError::NoResidues { sequence });
    }
    if inside.len() != fold.residue_index.len() {
        let (residues, numbers) = (inside.len(), fold.residue_index.len());
        return Err(ReferenceError::BadResidueIndex { sequence, residues, numbers });
    }
    let residue = |(index, &token): (usize, &u8)| {
        Residue::from_token(token).ok_or(ReferenceError::NoResidue { sequence, index: index + 1, token })
    };
    inside.iter().enumerate().map(residue).collect()
}
