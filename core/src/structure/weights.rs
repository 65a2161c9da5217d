//! The tensors of the structure module, read in place.

use super::angle_resnet::AngleResnet;
use super::backbone_update::BackboneUpdate;
use super::config::{Config, Representations};
use super::invariant_point_attention::InvariantPointAttention;
use super::memory::{Memory, Shape};
use super::names::WeightSet;
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

/// What makes the pair representation, and its bias if that is the same in all iterations.
pub(super) struct PairWeights<'a> {
    /// From the trunk's pair representation to `pair_width`.
    pub linear: Option<Linear<'a>>,
    pub norm: Norm<'a>,
    /// `pair_width` to heads, units of 2^-16 log2.
    pub bias: Option<Linear<'a>>,
    /// The norm's epsilon, in squares of the unit of what it reads.
    pub epsilon: u64,
}

/// What updates residues from each other.
pub(super) struct UpdateWeights<'a> {
    pub attention: InvariantPointAttention<'a>,
    /// What makes the bias of the pairs, if each iteration has another one: as [`PairWeights::bias`].
    pub pair_bias: Option<Linear<'a>>,
    pub attention_norm: Norm<'a>,
    pub transition: Transition<'a>,
    pub backbone_update: BackboneUpdate<'a>,
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
        for iteration in 0..self.config.weight_sets() {
            self.check_updates(iteration)?;
            self.check_attention(iteration)?;
            self.check_transition(iteration)?;
        }
        self.check_angles()
    }

    #[inline(never)]
    fn check_inputs(&self) -> Result<(), FormatError> {
        self.input_weights()?;
        self.pair_weights()?;
        Ok(())
    }

    #[inline(never)]
    fn check_updates(&self, iteration: usize) -> Result<(), FormatError> {
        self.projections(iteration)?;
        self.attention_norm(iteration)?;
        BackboneUpdate::load(&self.file, self.weight_set(iteration), &self.config)?;
        Ok(())
    }

    #[inline(never)]
    fn check_attention(&self, iteration: usize) -> Result<(), FormatError> {
        self.pair_bias(iteration)?;
        self.attention(iteration)?.check(&self.config)
    }

    #[inline(never)]
    fn check_transition(&self, iteration: usize) -> Result<(), FormatError> {
        self.transition(iteration)?.check()
    }

    #[inline(never)]
    fn check_angles(&self) -> Result<(), FormatError> {
        self.angle_resnet()?.check()
    }

    /// Which weights an iteration has.
    const fn weight_set(&self, iteration: usize) -> WeightSet {
        if self.config.own_weights { WeightSet::Own { iteration } } else { WeightSet::Shared }
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
        const NORM: &str = "fold.structure.pair_norm";
        let Config { pair_width, pair_input, own_weights, .. } = self.config;
        let trunk_width = self.trunk.pair_width;
        if !pair_input && trunk_width != pair_width {
            let what = "without a Linear before it, it must have the channels of the trunk's pairs";
            return Err(FormatError::bad_value(NORM, what));
        }
        let linear = || Linear::load(&self.file, "fold.structure.pair_input", trunk_width, pair_width);
        let linear = if pair_input { Some(linear()?) } else { None };
        let norm = Norm::load(&self.file, NORM, pair_width)?;
        let bias = if own_weights { None } else { Some(self.pair_bias_of(WeightSet::Shared)?) };
        let epsilon = if pair_input { self.epsilon } else { self.trunk.pair_epsilon };
        Ok(PairWeights { linear, norm, bias, epsilon })
    }

    /// What makes the pairs' bias, if it is another one in each iteration.
    fn pair_bias(&self, iteration: usize) -> Result<Option<Linear<'a>>, FormatError> {
        match self.weight_set(iteration) {
            WeightSet::Shared => Ok(None),
            own => self.pair_bias_of(own).map(Some),
        }
    }

    #[inline(never)]
    fn pair_bias_of(&self, set: WeightSet) -> Result<Linear<'a>, FormatError> {
        let Config { pair_width, heads, .. } = self.config;
        Linear::load(&self.file, &set.name("attention.pair_bias"), pair_width, heads)
    }

    /// `width` to queries, keys and values, query points, key and value points: all that residues attend
    /// with.
    #[inline(never)]
    pub(super) fn projections(&self, iteration: usize) -> Result<Linear<'a>, FormatError> {
        let outputs = self.config.projections();
        let name = self.weight_set(iteration).name("attention.projections");
        Linear::load(&self.file, &name, self.config.width, outputs)
    }

    #[inline(never)]
    pub(super) fn update_weights(&self, iteration: usize) -> Result<UpdateWeights<'a>, FormatError> {
        Ok(UpdateWeights {
            attention: self.attention(iteration)?,
            pair_bias: self.pair_bias(iteration)?,
            attention_norm: self.attention_norm(iteration)?,
            transition: self.transition(iteration)?,
            backbone_update: BackboneUpdate::load(&self.file, self.weight_set(iteration), &self.config)?,
        })
    }

    fn attention(&self, iteration: usize) -> Result<InvariantPointAttention<'a>, FormatError> {
        InvariantPointAttention::load(&self.file, self.weight_set(iteration), &self.config)
    }

    #[inline(never)]
    fn attention_norm(&self, iteration: usize) -> Result<Norm<'a>, FormatError> {
        Norm::load(&self.file, &self.weight_set(iteration).name("attention_norm"), self.config.width)
    }

    #[inline(never)]
    fn transition(&self, iteration: usize) -> Result<Transition<'a>, FormatError> {
        Transition::load(&self.file, self.weight_set(iteration), &self.config)
    }

    /// What makes torsions after the last iteration.
    #[inline(never)]
    pub(super) fn angle_resnet(&self) -> Result<AngleResnet<'a>, FormatError> {
        AngleResnet::load(&self.file, &self.config)
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
