//! The structure module's shape and constants as inference has them.

use std::f64::consts::LOG2_E;

use foldpoint_core::esmfold::StructureConfig as Structure;
use foldpoint_core::fixed::ACT_FRAC;

use super::StructureConfig;
use crate::fixed::{TRANSLATION_FRAC, multiplier, per_one, squares};

/// The shape and constants of ESMFold's structure module; its pair representation's unit is not yet known.
pub fn structure_shape(config: &StructureConfig) -> Structure {
    let mut shape = Structure::default();
    shape.iterations = config.iterations;
    shape.pair_input = true;
    shape.width = config.sequence_width;
    shape.pair_width = config.pair_width;
    shape.heads = config.heads;
    shape.head_width = config.head_width;
    shape.query_points = config.query_points;
    shape.value_points = config.value_points;
    shape.transition_layers = config.transition_layers;
    shape.resnet_blocks = config.resnet_blocks;
    shape.resnet_width = config.resnet_width;
    shape.pair_frac = 0;
    shape.point_epsilon = squares(config.epsilon, ACT_FRAC);
    shape.torsion_epsilon = shape.point_epsilon;
    shape.scalar_weight =
        multiplier(LOG2_E * (1.0 / (3.0 * config.head_width as f64)).sqrt() / per_one(ACT_FRAC));
    shape.translation_scale =
        multiplier(config.translation_scale * per_one(ACT_FRAC) / per_one(TRANSLATION_FRAC));
    shape
}
