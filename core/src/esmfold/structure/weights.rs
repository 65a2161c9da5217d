//! The tensors of the structure module, read in place.

use super::angle_resnet::AngleResnet;
use super::backbone_update::BackboneUpdate;
use super::invariant_point_attention::InvariantPointAttention;
use super::memory::Dims;
use super::transition::Transition;
use crate::arena::Layout;
use crate::esm2::Norm;
use crate::esmfold::config::Config;
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::Linear;

/// The structure module over the bytes of a model file.
#[derive(Clone, Copy, Debug)]
pub struct StructureModule<'a> {
    pub(super) config: Config,
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
    /// Reads and checks the tensors `fold.structure.*`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let Config { sequence_width, pair_width, structure, .. } = *config;
        let width = structure.width;
        Ok(Self {
            config: *config,
            sequence_input: Linear::load(file, "fold.structure.sequence_input", sequence_width, width)?,
            sequence_norm: Norm::load(file, "fold.structure.sequence_norm", width)?,
            pair_input: Linear::load(file, "fold.structure.pair_input", pair_width, structure.pair_width)?,
            pair_norm: Norm::load(file, "fold.structure.pair_norm", structure.pair_width)?,
            initial: Linear::load(file, "fold.structure.initial", width, width)?,
            attention: InvariantPointAttention::load(file, &structure)?,
            attention_norm: Norm::load(file, "fold.structure.attention_norm", width)?,
            transition: Transition::load(file, &structure)?,
            backbone_update: BackboneUpdate::load(file, &structure)?,
            angle_resnet: AngleResnet::load(file, &structure)?,
        })
    }

    /// Bytes of working memory for `residues` residues on `workers` workers.
    pub fn layout(&self, residues: usize, workers: usize) -> Layout {
        Dims::new(&self.config, residues, workers).layout()
    }
}
