//! All of folding, from tokens to atoms.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

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
use crate::reference::{Observer, Outputs, Reference, ReferenceError, Tap, Want, to_vec};
use crate::table::TORSIONS;
use crate::work::Floats;

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

/// Sequences on their way, between two trunk blocks.
pub struct FoldRun {
    recycles: usize,
    want: FoldWant,
    /// The pass that runs.
    pass: usize,
    /// The block that comes next in it.
    block: usize,
    sequences: Vec<Progress>,
    /// Of the language model, one a sequence.
    outputs: Vec<Outputs>,
}

impl FoldRun {
    /// The pass that runs and the block that comes next in it; pass `recycles + 1` once all have run.
    pub fn place(&self) -> (usize, usize) {
        (self.pass, self.block)
    }

    /// Whether all passes have run.
    pub fn is_done(&self) -> bool {
        self.pass > self.recycles
    }

    /// What [`FoldReference::resume`] takes.
    ///
    /// # Errors
    /// A representation can't be read.
    pub fn state(&self) -> Result<FoldState, ReferenceError> {
        let of = |tensor: &Tensor| Ok::<_, ReferenceError>((tensor.dims().to_vec(), Floats(to_vec(tensor)?)));
        let of = |p: &Progress| Ok::<_, ReferenceError>([of(&p.embedded)?, of(&p.sequence)?, of(&p.pair)?]);
        let sequences = self.sequences.iter().map(of).collect::<Result<_, _>>()?;
        Ok(FoldState { pass: self.pass, block: self.block, sequences })
    }
}

/// Where a run is between two trunk blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldState {
    pass: usize,
    block: usize,
    /// Shape and values of the embedded sequence, the sequence and the pair representation of each.
    sequences: Vec<[(Vec<usize>, Floats); 3]>,
}

/// A sequence on its way.
struct Progress {
    residues: Vec<Residue>,
    residue_index: Vec<i64>,
    embedded: Tensor,
    sequence: Tensor,
    pair: Tensor,
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
        let mut run = self.begin(folds, recycles, want, observer)?;
        while !run.is_done() {
            self.block(&mut run, observer)?;
        }
        self.finish(run, observer)
    }

    /// Runs the language model and embeds every sequence.
    ///
    /// # Errors
    /// As [`FoldReference::run_batch`].
    pub fn begin(
        &self,
        folds: &[Fold],
        recycles: usize,
        want: FoldWant,
        observer: &mut dyn Observer,
    ) -> Result<FoldRun, ReferenceError> {
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
            let residue_index = folds[i].residue_index.clone();
            sequences.push(Progress { residues, residue_index, embedded, sequence, pair });
        }
        Ok(FoldRun { recycles, want, pass: 0, block: 0, sequences, outputs })
    }

    /// A run of the same `folds` that was left in `state`. Without the language model's results.
    ///
    /// # Errors
    /// As [`FoldReference::run_batch`]; also a state of other sequences.
    pub fn resume(
        &self,
        folds: &[Fold],
        recycles: usize,
        want: FoldWant,
        state: FoldState,
    ) -> Result<FoldRun, ReferenceError> {
        let FoldState { pass, block, sequences: states } = state;
        let tensor =
            |(shape, Floats(values)): (Vec<usize>, Floats)| Tensor::from_vec(values, shape, &Device::Cpu);
        let mut sequences = Vec::with_capacity(folds.len());
        for (i, (fold, [embedded, sequence, pair])) in folds.iter().zip(states).enumerate() {
            sequences.push(Progress {
                residues: residues(i, fold)?,
                residue_index: fold.residue_index.clone(),
                embedded: tensor(embedded)?,
                sequence: tensor(sequence)?,
                pair: tensor(pair)?,
            });
        }
        let outputs = vec![Outputs::default(); sequences.len()];
        Ok(FoldRun { recycles, want, pass, block, sequences, outputs })
    }

    /// Runs every sequence through the next trunk block; before the first of a pass, through what recycles
    /// the pass before, its structure module included.
    ///
    /// # Errors
    /// As [`FoldReference::run_batch`].
    pub fn block(&self, run: &mut FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        let (pass, index) = run.place();
        if index == 0 {
            self.recycle(run, observer)?;
        }
        let block = Block::load(self.checkpoint, self.config, index)?;
        for_each_sequence(
            &mut run.sequences,
            observer,
            |i, progress, observer| {
                let tap = &mut Tap::fold(observer, i, pass);
                (progress.sequence, progress.pair) =
                    block.forward(&progress.sequence, &progress.pair, tap)?;
                Ok(())
            },
            |i, observer| observer.block_done(pass, index, i),
        )?;
        run.block += 1;
        if run.block == self.config.blocks {
            (run.pass, run.block) = (pass + 1, 0);
        }
        Ok(())
    }

    /// What a pass starts from.
    fn recycle(&self, run: &mut FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        let structures = match run.pass.checked_sub(1) {
            Some(before) => self.structures(run, before, observer)?.into_iter().map(Some).collect(),
            None => run.sequences.iter().map(|_| None).collect::<Vec<_>>(),
        };
        for (i, (progress, structure)) in run.sequences.iter_mut().zip(structures).enumerate() {
            let previous = structure.map(|structure| Previous {
                sequence: progress.sequence.clone(),
                pair: progress.pair.clone(),
                backbone: structure.atoms.iter().map(|&[n, ca, c, ..]| [n, ca, c]).collect(),
            });
            let tap = &mut Tap::fold(observer, i, run.pass);
            (progress.sequence, progress.pair) = self.recycling.forward(
                &progress.embedded,
                previous.as_ref(),
                &progress.residue_index,
                tap,
            )?;
        }
        Ok(())
    }

    /// The structure of every sequence after pass `pass`, which has just run.
    fn structures(
        &self,
        run: &FoldRun,
        pass: usize,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Structure>, ReferenceError> {
        let mut structures: Vec<(&Progress, Option<Structure>)> =
            run.sequences.iter().map(|progress| (progress, None)).collect();
        let to_structure =
            |i, (progress, structure): &mut (&Progress, Option<Structure>), observer: &mut dyn Observer| {
                let tap = &mut Tap::fold(observer, i, pass);
                let Progress { sequence, pair, residues, .. } = progress;
                *structure = Some(self.structure_module.forward(sequence, pair, residues, tap)?);
                Ok(())
            };
        for_each_sequence(&mut structures, observer, to_structure, |_, _| ())?;
        Ok(structures.into_iter().filter_map(|(_, structure)| structure).collect())
    }

    /// What comes after the last pass.
    ///
    /// # Errors
    /// As [`FoldReference::run_batch`].
    pub fn finish(
        &self,
        mut run: FoldRun,
        observer: &mut dyn Observer,
    ) -> Result<Vec<FoldOutputs>, ReferenceError> {
        let outputs = std::mem::take(&mut run.outputs);
        let structures = self.structures(&run, run.recycles, observer)?;
        let mut results = Vec::with_capacity(structures.len());
        let each = run.sequences.iter().zip(&structures).zip(outputs).enumerate();
        for (i, ((progress, structure), language_model)) in each {
            let tap = &mut Tap::fold(observer, i, run.recycles);
            results
                .push(FoldOutputs { language_model, ..self.read_out(progress, structure, run.want, tap)? });
        }
        Ok(results)
    }

    /// What the heads and the last structure say.
    fn read_out(
        &self,
        progress: &Progress,
        structure: &Structure,
        want: FoldWant,
        tap: &mut Tap<'_>,
    ) -> Result<FoldOutputs, ReferenceError> {
        let mut outputs = FoldOutputs::default();
        let (distogram, error) = self.heads.pair(&progress.pair, progress.residues.len(), tap)?;
        (outputs.ptm, outputs.pae) = (error.ptm, error.mean);
        if want.logits {
            (outputs.pae_logits, outputs.distogram) = (error.logits, distogram);
        }
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
