//! The structure module's shape and constants as inference has them.

use std::f64::consts::LOG2_E;

use foldpoint_core::esmfold::StructureConfig as Structure;
use foldpoint_core::fixed::ACT_FRAC;

use super::StructureConfig;
use crate::fixed::{TRANSLATION_FRAC, multiplier, per_one, squares};

/// The structure module's shape and constants; its pair representation's unit is not yet known.
pub fn structure_shape(config: &StructureConfig) -> Structure {
    Structure {
        iterations: config.iterations,
        width: config.sequence_width,
        pair_width: config.pair_width,
        heads: config.heads,
        head_width: config.head_width,
        query_points: config.query_points,
        value_points: config.value_points,
        transition_layers: config.transition_layers,
        resnet_blocks: config.resnet_blocks,
        resnet_width: config.resnet_width,
        pair_frac: 0,
        epsilon: squares(config.epsilon, ACT_FRAC),
        scalar_weight: multiplier(
            LOG2_E * (1.0 / (3.0 * config.head_width as f64)).sqrt() / per_one(ACT_FRAC),
        ),
        translation_scale: multiplier(
            config.translation_scale * per_one(ACT_FRAC) / per_one(TRANSLATION_FRAC),
        ),
    }
}
