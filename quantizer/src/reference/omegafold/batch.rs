//! Several sequences together, layer by layer and block by block, so that memory holds one's weights: what
//! calibration runs.
//!
//! Here the language model runs once, and every cycle starts from what it said of the first cycle's
//! pseudo-MSA; [`run`](super::run) masks anew in each.

use candle_core::{Device, Tensor};
use foldpoint_core::omegafold::PseudoMsa;
use serde::{Deserialize, Serialize};

use super::block::Block;
use super::embedding::Previous;
use super::language_model::{Rows, Stream};
use super::run::{OmegaFoldReference, Options};
use crate::reference::esmfold::residues::Residue;
use crate::reference::observer::for_each_sequence;
use crate::reference::{Observer, ReferenceError, Tap, to_vec};
use crate::work::Floats;

/// A sequence and its pseudo-MSA.
pub struct Input {
    residues: Vec<Residue>,
    /// Numbers of the residues' types.
    types: Vec<usize>,
    /// Whether each residue of each row is kept, the sequence itself first: `[rows, residues]`.
    kept: Vec<bool>,
}

impl Input {
    /// Takes the rows of the pseudo-MSA but for the first from `masks`.
    pub fn new(residues: &[Residue], rows: usize, masks: &mut PseudoMsa) -> Self {
        let mut kept = vec![true; (rows + 1) * residues.len()];
        kept.chunks_exact_mut(residues.len().max(1)).skip(1).for_each(|row| masks.next_row(row));
        let types = residues.iter().map(|residue| residue.index()).collect();
        Self { residues: residues.to_vec(), types, kept }
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows { residues: &self.types, kept: &self.kept }
    }

    /// The residues of the sequence.
    pub fn residues(&self) -> &[Residue] {
        &self.residues
    }

    /// Whether each residue of each row is kept.
    pub fn into_kept(self) -> Vec<bool> {
        self.kept
    }
}

/// Sequences between two layers of the language model.
pub struct LanguageRun {
    inputs: Vec<Input>,
    streams: Vec<Stream>,
    layer: usize,
}

/// Node and pair representation of a sequence: shapes and values.
type Kept = [(Vec<usize>, Floats); 2];

/// What is kept of a [`LanguageRun`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LanguageState {
    layer: usize,
    /// The stream of each sequence, and its maps so far.
    streams: Vec<(Floats, Vec<Floats>)>,
}

/// What cycles start from: each sequence's node and pair representation, without what the cycle before adds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Embedded(Vec<Kept>);

/// Sequences between two blocks.
pub struct FoldRun {
    cycle: usize,
    block: usize,
    sequences: Vec<Progress>,
}

/// What is kept of a [`FoldRun`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldState {
    cycle: usize,
    block: usize,
    sequences: Vec<Kept>,
}

/// A sequence on its way through the blocks.
struct Progress {
    input: Input,
    /// Node and pair.
    embedded: [Tensor; 2],
    now: [Tensor; 2],
}

impl LanguageRun {
    /// The layer that comes next.
    pub fn next_layer(&self) -> usize {
        self.layer
    }

    /// What [`OmegaFoldReference::resume_layers`] takes.
    ///
    /// # Errors
    /// A stream can't be read.
    pub fn state(&self) -> Result<LanguageState, ReferenceError> {
        let floats = |tensor: &Tensor| Ok::<_, ReferenceError>(Floats(to_vec(tensor)?));
        let of = |stream: &Stream| {
            let maps = stream.maps.iter().map(floats).collect::<Result<_, _>>()?;
            Ok::<_, ReferenceError>((floats(&stream.x)?, maps))
        };
        Ok(LanguageState {
            layer: self.layer,
            streams: self.streams.iter().map(of).collect::<Result<_, _>>()?,
        })
    }
}

impl FoldRun {
    /// The cycle that runs and the block that comes next in it.
    pub fn place(&self) -> (usize, usize) {
        (self.cycle, self.block)
    }

    /// What [`OmegaFoldReference::resume_blocks`] takes.
    ///
    /// # Errors
    /// A representation can't be read.
    pub fn state(&self) -> Result<FoldState, ReferenceError> {
        let sequences = self.sequences.iter().map(|progress| keep(&progress.now));
        Ok(FoldState {
            cycle: self.cycle,
            block: self.block,
            sequences: sequences.collect::<Result<_, _>>()?,
        })
    }
}

fn keep(tensors: &[Tensor; 2]) -> Result<Kept, ReferenceError> {
    let of = |tensor: &Tensor| Ok::<_, ReferenceError>((tensor.dims().to_vec(), Floats(to_vec(tensor)?)));
    let [node, pair] = tensors;
    Ok([of(node)?, of(pair)?])
}

fn restore(kept: Kept) -> Result<[Tensor; 2], ReferenceError> {
    let tensor =
        |(shape, Floats(values)): (Vec<usize>, Floats)| Tensor::from_vec(values, shape, &Device::Cpu);
    let [node, pair] = kept;
    Ok([tensor(node)?, tensor(pair)?])
}

impl OmegaFoldReference<'_> {
    /// Each sequence with its pseudo-MSA, and embeds all.
    ///
    /// # Errors
    /// A sequence has no residues.
    pub fn begin_layers(
        &self,
        sequences: &[Vec<Residue>],
        options: &Options,
    ) -> Result<LanguageRun, ReferenceError> {
        let inputs = inputs(sequences, options)?;
        let streams = inputs.iter().map(|input| self.language_model.begin(input.rows()));
        Ok(LanguageRun { streams: streams.collect::<Result<_, _>>()?, inputs, layer: 0 })
    }

    /// A run of the same `sequences` that was left in `state`.
    ///
    /// # Errors
    /// As [`begin_layers`](Self::begin_layers); also a state of other sequences.
    pub fn resume_layers(
        &self,
        sequences: &[Vec<Residue>],
        options: &Options,
        state: LanguageState,
    ) -> Result<LanguageRun, ReferenceError> {
        let mut run = self.begin_layers(sequences, options)?;
        run.layer = state.layer;
        for (stream, (Floats(x), maps)) in run.streams.iter_mut().zip(state.streams) {
            stream.x = Tensor::from_vec(x, stream.x.shape(), &Device::Cpu)?;
            let map = |Floats(map): Floats| Tensor::from_vec(map.clone(), map.len(), &Device::Cpu);
            stream.maps = maps.into_iter().map(map).collect::<Result<_, _>>()?;
        }
        Ok(run)
    }

    /// Runs every sequence through the next layer of the language model.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn next_layer(
        &self,
        run: &mut LanguageRun,
        observer: &mut dyn Observer,
    ) -> Result<(), ReferenceError> {
        let (layer, index) = (self.language_model.layer(run.layer)?, run.layer);
        let mut sequences: Vec<(&Input, &mut Stream)> = run.inputs.iter().zip(&mut run.streams).collect();
        for_each_sequence(
            &mut sequences,
            observer,
            |i, (input, stream), observer| {
                layer.forward(stream, input.rows(), &mut Tap::language_model(observer, i, &[]))
            },
            |i, observer| observer.layer_done(index, i),
        )?;
        run.layer += 1;
        Ok(())
    }

    /// What comes between the language model's last layer and the first cycle.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn finish_layers(
        &self,
        run: LanguageRun,
        observer: &mut dyn Observer,
    ) -> Result<Embedded, ReferenceError> {
        let mut embedded = Vec::with_capacity(run.inputs.len());
        for (i, (input, stream)) in run.inputs.iter().zip(&run.streams).enumerate() {
            let tap = &mut Tap::language_model(observer, i, &[]);
            let features = self.language_model.finish(stream, input.rows(), tap)?;
            let tap = &mut Tap::fold(observer, i, 0);
            let (node, pair) = self.embedding.forward(&features, &input.residues, tap)?;
            embedded.push(keep(&[node, pair])?);
        }
        Ok(Embedded(embedded))
    }

    /// Before the first block of the first cycle.
    ///
    /// # Errors
    /// As [`begin_layers`](Self::begin_layers); also representations of other sequences.
    pub fn begin_blocks(
        &self,
        sequences: &[Vec<Residue>],
        options: &Options,
        embedded: &Embedded,
    ) -> Result<FoldRun, ReferenceError> {
        let inputs = inputs(sequences, options)?.into_iter().zip(&embedded.0);
        let progress = |(input, kept): (Input, &Kept)| {
            let embedded = restore(kept.clone())?;
            Ok::<_, ReferenceError>(Progress { input, now: embedded.clone(), embedded })
        };
        Ok(FoldRun { cycle: 0, block: 0, sequences: inputs.map(progress).collect::<Result<_, _>>()? })
    }

    /// A run of the same `sequences` that was left in `state`.
    ///
    /// # Errors
    /// As [`begin_blocks`](Self::begin_blocks).
    pub fn resume_blocks(
        &self,
        sequences: &[Vec<Residue>],
        options: &Options,
        embedded: &Embedded,
        state: FoldState,
    ) -> Result<FoldRun, ReferenceError> {
        let mut run = self.begin_blocks(sequences, options, embedded)?;
        (run.cycle, run.block) = (state.cycle, state.block);
        for (progress, kept) in run.sequences.iter_mut().zip(state.sequences) {
            progress.now = restore(kept)?;
        }
        Ok(run)
    }

    /// Runs every sequence through the next block; before the first of a cycle, through what takes up the
    /// cycle before, its structure module included.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn next_block(&self, run: &mut FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        let (cycle, index) = run.place();
        let block = Block::load(self.checkpoint, index)?;
        for_each_sequence(
            &mut run.sequences,
            observer,
            |i, progress, observer| {
                if index == 0 {
                    self.recycle(i, cycle, progress, observer)?;
                }
                let Progress { input, now: [node, pair], .. } = progress;
                let tap = &mut Tap::fold(observer, i, cycle);
                (*node, *pair) = block.forward(node, pair, input.rows(), tap)?;
                Ok(())
            },
            |i, observer| observer.block_done(cycle, index, i),
        )?;
        run.block += 1;
        if run.block == self.checkpoint.config().blocks {
            (run.cycle, run.block) = (cycle + 1, 0);
        }
        Ok(())
    }

    /// What a cycle starts from.
    fn recycle(
        &self,
        sequence: usize,
        cycle: usize,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<(), ReferenceError> {
        let residues = progress.input.residues();
        let previous = match cycle.checked_sub(1) {
            None => self.nothing_before(residues.len())?,
            Some(before) => {
                let node = progress.now[0].narrow(0, 0, residues.len())?.contiguous()?;
                let pair = progress.now[1].clone();
                let tap = &mut Tap::fold(observer, sequence, before);
                let structure = self.structure_module.forward(&node, &pair, residues, tap)?;
                Previous { node, pair, atoms: structure.atoms, groups: structure.groups }
            }
        };
        let [node, pair] = &progress.embedded;
        let tap = &mut Tap::fold(observer, sequence, cycle);
        let (node, pair) = self.recycling.forward(node, pair, &previous, residues, tap)?;
        progress.now = [node, pair];
        Ok(())
    }

    /// What comes after the last block of the last cycle.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn finish_blocks(&self, run: FoldRun, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        let last = run.cycle.saturating_sub(1);
        for (i, Progress { input, now: [node, pair], .. }) in run.sequences.iter().enumerate() {
            let node = node.narrow(0, 0, input.residues.len())?.contiguous()?;
            let tap = &mut Tap::fold(observer, i, last);
            let structure = self.structure_module.forward(&node, pair, &input.residues, tap)?;
            self.confidence.forward(&structure.state, tap)?;
        }
        Ok(())
    }
}

fn inputs(sequences: &[Vec<Residue>], options: &Options) -> Result<Vec<Input>, ReferenceError> {
    let input = |(sequence, residues): (usize, &Vec<Residue>)| {
        if residues.is_empty() {
            return Err(ReferenceError::NoResidues { sequence });
        }
        let mut masks = PseudoMsa::new(residues.len(), options.masked_up_to);
        Ok(Input::new(residues, options.rows, &mut masks))
    };
    sequences.iter().enumerate().map(input).collect()
}
