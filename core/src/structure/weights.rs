//! The tensors of the structure module, read in place.

use super::angle_resnet::AngleResnet;
use super::backbone_update::BackboneUpdate;
use super::config::{Config, Representations};
use super::invariant_point_attention::InvariantPointAttention;
use super::memory::{Memory, Shape};
use super::transition::Transition;
use crate::arena::{ArenaError, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::Linear;
use crate::nn::Norm;

/// The structure module over the bytes of a model file.
#[derive(Clone, Copy, Debug)]
pub struct StructureModule<'a> {
    config: Config,
    trunk: Representations,
    /// LayerNorm's epsilon in squares of the activation unit.
    pub(super) epsilon: u64,
    /// From the trunk's sequence representation to `width`.
    pub(super) sequence_input: Linear<'a>,
    pub(super) sequence_norm: Norm<'a>,
    /// From the trunk's pair representation to `pair_width`.
    pub(super) pair_input: Linear<'a>,
    pub(super) pair_norm: Norm<'a>,
    /// `width` to `width`, before the first iteration.
    pub(super) initial: Linear<'a>,
    pub(super) attention: InvariantPointAttention<'a>,
    pub(super) attention_norm: Norm<'a>,
    pub(super) transition: Transition<'a>,
    pub(super) backbone_update: BackboneUpdate<'a>,
    pub(super) angle_resnet: AngleResnet<'a>,
}

impl<'a> StructureModule<'a> {
    /// Reads and checks the tensors `fold.structure.*`. `config` is as [`Config::check`] wants it; `epsilon` is LayerNorm's, in squares of
    /// the activation unit.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(
        file: &ModelFile<'a>,
        config: &Config,
        trunk: &Representations,
        epsilon: u64,
    ) -> Result<Self, FormatError> {
        let file = &file.under("fold.structure.");
        let Config { width, pair_width, .. } = *config;
        let sequence_input =
            Linear::load(file, "fold.structure.sequence_input", trunk.sequence_width, width)?;
        let sequence_norm = Norm::load(file, "fold.structure.sequence_norm", width)?;
        let pair_input = Linear::load(file, "fold.structure.pair_input", trunk.pair_width, pair_width)?;
        let pair_norm = Norm::load(file, "fold.structure.pair_norm", pair_width)?;
        let initial = Linear::load(file, "fold.structure.initial", width, width)?;
        let attention = InvariantPointAttention::load(file, config)?;
        let attention_norm = Norm::load(file, "fold.structure.attention_norm", width)?;
        let transition = Transition::load(file, config)?;
        let backbone_update = BackboneUpdate::load(file, config)?;
        let angle_resnet = AngleResnet::load(file, config)?;
        Ok(Self {
            config: *config,
            trunk: *trunk,
            epsilon,
            sequence_input,
            sequence_norm,
            pair_input,
            pair_norm,
            initial,
            attention,
            attention_norm,
            transition,
            backbone_update,
            angle_resnet,
        })
    }

    /// Whether all that is read during a run can be used.
    ///
    /// # Errors
    /// That of the first tensor that can't.
    pub(super) fn check_layers(&self) -> Result<(), FormatError> {
        self.attention.check()?;
        self.transition.check()?;
        self.angle_resnet.check()
    }

    /// All sizes for `residues` residues.
    pub(super) const fn shape(&self, residues: usize) -> Shape {
        Shape { residues, trunk: self.trunk, config: self.config }
    }

    /// Bytes of working memory for `residues` residues on `workers` workers.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn bytes(&self, residues: usize, workers: usize) -> Result<usize, ArenaError> {
        bytes_of(|counter| Memory::take(counter, &self.shape(residues), workers))
    }
}
