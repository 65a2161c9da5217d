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

/// The structure module over the bytes of a model file. Its weights are read where they are used, step by
/// step: all at once would be a kilobyte of stack.
#[derive(Clone, Copy, Debug)]
pub struct StructureModule<'a> {
    /// The tensors `fold.structure.*`.
    file: ModelFile<'a>,
    config: Config,
    trunk: Representations,
    /// LayerNorm's epsilon in squares of the activation unit.
    pub(super) epsilon: u64,
}

/// What makes the sequence representation before the first iteration.
pub(super) struct InputWeights<'a> {
    /// From the trunk's sequence representation to `width`.
    pub linear: Linear<'a>,
    pub norm: Norm<'a>,
    /// `width` to `width`.
    pub initial: Linear<'a>,
}

/// What makes the pair representation and its bias.
pub(super) struct PairWeights<'a> {
    /// From the trunk's pair representation to `pair_width`.
    pub linear: Linear<'a>,
    pub norm: Norm<'a>,
    /// `pair_width` to heads, units of 2^-16 log2.
    pub bias: Linear<'a>,
    /// LayerNorm's epsilon in squares of the activation unit.
    pub epsilon: u64,
}

/// What updates residues from each other.
pub(super) struct UpdateWeights<'a> {
    pub attention: InvariantPointAttention<'a>,
    pub attention_norm: Norm<'a>,
    pub transition: Transition<'a>,
    pub backbone_update: BackboneUpdate<'a>,
    pub angle_resnet: AngleResnet<'a>,
}

impl<'a> StructureModule<'a> {
    /// Finds and checks the tensors `fold.structure.*`. `config` is as [`Config::check`] wants it; `epsilon`
    /// is LayerNorm's, in squares of the activation unit.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    #[cfg(feature = "kernels")]
    pub fn load(
        file: &ModelFile<'a>,
        config: &Config,
        trunk: &Representations,
        epsilon: u64,
    ) -> Result<Self, FormatError> {
        let module = Self::open(file, config, trunk, epsilon);
        module.check()?;
        Ok(module)
    }

    /// Without [`check`](Self::check).
    pub(crate) fn open(file: &ModelFile<'a>, config: &Config, trunk: &Representations, epsilon: u64) -> Self {
        Self { file: file.under("fold.structure."), config: *config, trunk: *trunk, epsilon }
    }

    /// Whether all that is read during a run can be used.
    ///
    /// # Errors
    /// That of the first tensor that can't.
    pub(crate) fn check(&self) -> Result<(), FormatError> {
        self.check_inputs()?;
        self.check_updates()?;
        self.check_attention()?;
        self.check_transition()?;
        self.check_angles()
    }

    #[inline(never)]
    fn check_inputs(&self) -> Result<(), FormatError> {
        self.input_weights()?;
        self.pair_weights()?;
        self.projections()?;
        Ok(())
    }

    #[inline(never)]
    fn check_updates(&self) -> Result<(), FormatError> {
        Norm::load(&self.file, "fold.structure.attention_norm", self.config.width)?;
        BackboneUpdate::load(&self.file, &self.config)?;
        Ok(())
    }

    #[inline(never)]
    fn check_attention(&self) -> Result<(), FormatError> {
        InvariantPointAttention::load(&self.file, &self.config)?.check()
    }

    #[inline(never)]
    fn check_transition(&self) -> Result<(), FormatError> {
        Transition::load(&self.file, &self.config)?.check()
    }

    #[inline(never)]
    fn check_angles(&self) -> Result<(), FormatError> {
        AngleResnet::load(&self.file, &self.config)?.check()
    }

    #[inline(never)]
    pub(super) fn input_weights(&self) -> Result<InputWeights<'a>, FormatError> {
        let (width, trunk_width) = (self.config.width, self.trunk.sequence_width);
        let linear = Linear::load(&self.file, "fold.structure.sequence_input", trunk_width, width)?;
        let norm = Norm::load(&self.file, "fold.structure.sequence_norm", width)?;
        let initial = Linear::load(&self.file, "fold.structure.initial", width, width)?;
        Ok(InputWeights { linear, norm, initial })
    }

    #[inline(never)]
    pub(super) fn pair_weights(&self) -> Result<PairWeights<'a>, FormatError> {
        let Config { pair_width, heads, .. } = self.config;
        let linear =
            Linear::load(&self.file, "fold.structure.pair_input", self.trunk.pair_width, pair_width)?;
        let norm = Norm::load(&self.file, "fold.structure.pair_norm", pair_width)?;
        let bias = Linear::load(&self.file, "fold.structure.attention.pair_bias", pair_width, heads)?;
        Ok(PairWeights { linear, norm, bias, epsilon: self.epsilon })
    }

    /// `width` to queries, keys and values, query points, key and value points: all that residues attend
    /// with.
    #[inline(never)]
    pub(super) fn projections(&self) -> Result<Linear<'a>, FormatError> {
        let outputs = self.config.projections();
        Linear::load(&self.file, "fold.structure.attention.projections", self.config.width, outputs)
    }

    #[inline(never)]
    pub(super) fn update_weights(&self) -> Result<UpdateWeights<'a>, FormatError> {
        let attention = InvariantPointAttention::load(&self.file, &self.config)?;
        let attention_norm = Norm::load(&self.file, "fold.structure.attention_norm", self.config.width)?;
        let transition = Transition::load(&self.file, &self.config)?;
        let backbone_update = BackboneUpdate::load(&self.file, &self.config)?;
        let angle_resnet = AngleResnet::load(&self.file, &self.config)?;
        Ok(UpdateWeights { attention, attention_norm, transition, backbone_update, angle_resnet })
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
