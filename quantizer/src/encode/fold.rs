//! The folding model: its constants, and the shares of hidden states.

use std::f64::consts::LOG2_E;

use foldpoint_core::esmfold::Config;
use foldpoint_core::fixed::{ACT_FRAC, Multiplier};
use foldpoint_core::kernels::attention::key_scale_max;
use foldpoint_core::quant::STREAM_MAX;

use super::encoder::Encoder;
use super::{EncodeError, finest};
use crate::calibrate::Calibration;
use crate::checkpoint::{FoldConfig, structure_shape};
use crate::fixed::{multiplier, per_one, squares};
use crate::reference::esmfold::embedding::softmax;
use crate::reference::{LayerNorm, Weights};
use crate::table::Group;

/// Largest magnitude in the mix of hidden states.
const MIX_MAX: i32 = 1 << 22;

/// What an attention score is worth in units of `2^-16 log2`: see [`Config::sequence_temperature`].
pub(super) fn temperature(head_width: usize) -> Multiplier {
    let products = f64::from(key_scale_max(head_width)) * (head_width as f64).sqrt();
    multiplier(LOG2_E / per_one(ACT_FRAC) / products)
}

/// The unit of the structure module's pair representation: as fine as lets every output of its LayerNorm fit
/// 16 bits. The normalised values of c channels are at most sqrt(c).
pub(super) fn structure_pair_frac(norm: &LayerNorm) -> Result<u32, EncodeError> {
    let root = (norm.gain.len() as f64).sqrt();
    let channels = norm.gain.iter().zip(&norm.bias);
    let largest = channels.map(|(&g, &b)| root * f64::from(g.abs()) + f64::from(b.abs())).fold(0.0, f64::max);
    finest("fold.structure.pair_norm", largest, i16::MAX.into())
}

/// Shape, constants and units: as fine as lets every level of every site, and what is held between, stay
/// below 2^23.
pub(super) fn config(
    weights: &Weights<'_>,
    shape: &FoldConfig,
    calibration: &Calibration,
    lm_stream_frac: u32,
) -> Result<Config, EncodeError> {
    let held = |name: &str| calibration.largest.get(name).copied().unwrap_or(0.0);
    let between = (0..shape.blocks).map(|b| held(&format!("fold.trunk.{b}.sequence_transition.norm")));
    let sequence = between.fold(calibration.residual_range("fold.residual.sequence."), f64::max);
    let sequence_frac = finest("fold.residual.sequence", sequence, STREAM_MAX)?;
    let pair = calibration.residual_range("fold.residual.pair.");
    let pair_frac = finest("fold.residual.pair", pair, STREAM_MAX)?;
    let mix = calibration.residual_range("lm.").max(held("fold.embedding.norm"));
    let mix_frac = finest("fold.embedding.mix", mix, MIX_MAX)?.min(lm_stream_frac);
    let epsilon = weights.norm("fold.embedding.norm")?.eps;
    let mut config = Config::default();
    config.blocks = shape.blocks;
    config.sequence_width = shape.sequence_width;
    config.sequence_heads = shape.sequence_heads;
    config.pair_width = shape.pair_width;
    config.pair_heads = shape.pair_heads;
    config.position_bins = shape.position_bins;
    config.passes = shape.max_recycles;
    config.sequence_frac = sequence_frac;
    config.pair_frac = pair_frac;
    config.mix_frac = mix_frac;
    config.structure = structure_shape(&shape.structure);
    config.structure.pair_frac = structure_pair_frac(&weights.norm("fold.structure.pair_norm")?)?;
    config.epsilon_mix = squares(epsilon, mix_frac);
    config.epsilon_sequence = squares(epsilon, sequence_frac);
    config.epsilon_pair = squares(epsilon, pair_frac);
    config.epsilon_activation = squares(epsilon, ACT_FRAC);
    config.epsilon_product = squares(epsilon, 2 * ACT_FRAC);
    config.sequence_temperature = temperature(shape.sequence_width / shape.sequence_heads);
    config.pair_temperature = temperature(shape.pair_width / shape.pair_heads);
    config.check().map_err(EncodeError::Shape)?;
    Ok(config)
}

impl Encoder<'_> {
    /// Writes the shares of the hidden states in the mix.
    pub fn shares(&mut self, group: &Group, combine: &[f32]) -> Result<(), EncodeError> {
        let shares = softmax(combine);
        self.table(&group.name, &[shares.len()], shares, self.units.per_one(group.unit))
    }
}
