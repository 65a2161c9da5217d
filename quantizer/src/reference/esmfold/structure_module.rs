//! From the trunk's representations to atoms.

use candle_core::Tensor;

use super::angle_resnet::AngleResnet;
use super::atoms::{atom14_positions, torsion_frames};
use super::backbone_update::BackboneUpdate;
use super::invariant_point_attention::InvariantPointAttention;
use super::residues::{ATOM14, Residue};
use super::rigid::{Frame, Rigid};
use super::structure_transition::StructureTransition;
use crate::checkpoint::{Checkpoint, FoldConfig};
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};
use crate::table::TORSIONS;

/// The structure module.
pub struct StructureModule {
    iterations: usize,
    scale: f64,
    /// From the trunk's sequence representation: `[width, sequence width]`.
    pub sequence_input: Linear,
    /// From the trunk's pair representation: `[pair width, trunk's pair width]`.
    pub pair_input: Linear,
    /// On the sequence representation.
    pub sequence_norm: LayerNorm,
    /// On the pair representation.
    pub pair_norm: LayerNorm,
    /// `[width, width]`, before the first iteration.
    pub initial: Linear,
    /// Invariant point attention.
    pub attention: InvariantPointAttention,
    /// After attention.
    pub attention_norm: LayerNorm,
    /// After that.
    pub transition: StructureTransition,
    /// Moves the frames.
    pub backbone_update: BackboneUpdate,
    /// Turns the torsions.
    pub angle_resnet: AngleResnet,
}

/// A structure, and how it came about.
pub struct Structure {
    /// The residues' frames after each iteration, in units of the structure module.
    pub frames: Vec<Vec<Frame>>,
    /// (sine, cosine) of the residues' torsions after each iteration.
    pub torsions: Vec<Vec<[[f64; 2]; TORSIONS]>>,
    /// The atoms after the last iteration, in the `atom14` layout, in angstroms.
    pub atoms: Vec<[[f64; 3]; ATOM14]>,
    /// The sequence representation after the last iteration, `[residues, width]`.
    pub state: Tensor,
}

impl StructureModule {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, config: &FoldConfig) -> Result<Self, ReferenceError> {
        let structure = &config.structure;
        let weights = Weights::new(checkpoint).at("fold.structure");
        Ok(Self {
            iterations: structure.iterations,
            scale: structure.translation_scale,
            sequence_input: weights.linear("sequence_input")?,
            pair_input: weights.linear("pair_input")?,
            sequence_norm: weights.norm("sequence_norm")?,
            pair_norm: weights.norm("pair_norm")?,
            initial: weights.linear("initial")?,
            attention: InvariantPointAttention::load(&weights.at("attention"), structure)?,
            attention_norm: weights.norm("attention_norm")?,
            transition: StructureTransition::load(&weights.at("transition"), structure)?,
            backbone_update: BackboneUpdate::load(&weights.at("backbone_update"))?,
            angle_resnet: AngleResnet::load(&weights.at("angle_resnet"), structure)?,
        })
    }

    /// `sequence` is the trunk's `[residues, sequence width]`, `pair` its `[residues * residues, pair
    /// width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        pair: &Tensor,
        residues: &[Residue],
        tap: &mut Tap<'_>,
    ) -> Result<Structure, ReferenceError> {
        let mut tap = tap.at("structure");
        tap.show("sequence_input", sequence)?;
        let s = self.sequence_input.forward(sequence)?;
        tap.show("sequence_norm", &s)?;
        let initial = self.sequence_norm.forward(&s)?;
        tap.show("pair_input", pair)?;
        let z = self.pair_input.forward(pair)?;
        tap.show("pair_norm", &z)?;
        let z = self.pair_norm.forward(&z)?;
        tap.show("initial", &initial)?;
        let mut s = self.initial.forward(&initial)?;
        let mut frames = vec![Frame::IDENTITY; residues.len()];
        let (mut all_frames, mut all_torsions) = (Vec::new(), Vec::new());
        for iteration in 0..self.iterations {
            let mut tap = tap.iteration(iteration);
            let rigids: Vec<Rigid> = frames.iter().map(|frame| frame.rigid(1.0)).collect();
            s = (&s + self.attention.forward(&s, &z, &rigids, &mut tap.at("attention"))?)?;
            tap.show("attention_norm", &s)?;
            s = self.attention_norm.forward(&s)?;
            s = self.transition.forward(&s, &mut tap.at("transition"))?;
            frames = self.backbone_update.forward(&s, &frames, &mut tap.at("backbone_update"))?;
            all_frames.push(frames.clone());
            all_torsions.push(self.angle_resnet.forward(&s, &initial, &mut tap.at("angle_resnet"))?);
        }
        let torsions = all_torsions.last().map_or(&[][..], Vec::as_slice);
        let atoms = |((frame, torsions), &residue): ((&Frame, _), &Residue)| {
            atom14_positions(&torsion_frames(&frame.rigid(self.scale), torsions, residue), residue)
        };
        Ok(Structure {
            atoms: frames.iter().zip(torsions).zip(residues).map(atoms).collect(),
            frames: all_frames,
            torsions: all_torsions,
            state: s,
        })
    }
}
