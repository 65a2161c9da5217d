//! The shape of the folding part of an ESMFold model.

use std::path::Path;

use serde::Deserialize;

use super::{CheckpointError, json};
use crate::table::TORSIONS;

/// Above any real model, and low enough that products of two sizes can't overflow.
const LARGEST_SIZE: usize = 1 << 16;

/// The dimensions of everything in ESMFold that is not the language model.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldConfig {
    /// Blocks of the trunk.
    pub blocks: usize,
    /// Channels of the sequence representation.
    pub sequence_width: usize,
    /// Channels of the pair representation; even.
    pub pair_width: usize,
    /// Attention heads over the sequence; divides `sequence_width`.
    pub sequence_heads: usize,
    /// Heads of triangle attention; divides `pair_width`.
    pub pair_heads: usize,
    /// Largest sequence distance, in residues, that has an embedding of its own.
    pub position_bins: usize,
    /// Passes through trunk and structure module unless the user says otherwise: recycles + 1.
    pub max_recycles: usize,
    /// Channels inside the pLDDT head.
    pub plddt_width: usize,
    /// The structure module.
    pub structure: StructureConfig,
}

/// The dimensions of the structure module.
#[derive(Clone, Debug, PartialEq)]
pub struct StructureConfig {
    /// Iterations, all with the same weights.
    pub iterations: usize,
    /// Channels of its sequence representation.
    pub sequence_width: usize,
    /// Channels of its pair representation.
    pub pair_width: usize,
    /// Heads of invariant point attention.
    pub heads: usize,
    /// Scalar channels of a head.
    pub head_width: usize,
    /// Query and key points of a head.
    pub query_points: usize,
    /// Value points of a head.
    pub value_points: usize,
    /// Layers of the transition.
    pub transition_layers: usize,
    /// Blocks of the angle resnet.
    pub resnet_blocks: usize,
    /// Channels of the angle resnet.
    pub resnet_width: usize,
    /// Angstroms for one unit of its translations.
    pub translation_scale: f64,
    /// Smallest squared norm of a torsion's (sine, cosine), and what is added to squared norms of points.
    pub epsilon: f64,
}

impl FoldConfig {
    /// Reads `esmfold_config` of HuggingFace's `config.json` at `path`; `None` if it describes no folding
    /// model. Absent keys take the defaults of `EsmFoldConfig`, which are those of `esmfold_v1`.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let json: HuggingFaceConfig = json::read(path)?;
        if json.is_folding_model != Some(true) {
            return Ok(None);
        }
        json.require(path).map(Some)
    }

    /// Checks what no checkpoint may get wrong, whatever its format.
    pub(super) fn validate(self, path: &Path) -> Result<Self, CheckpointError> {
        let unsupported = |key, found: String, expected: &str| {
            Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key,
                found,
                expected: expected.into(),
            })
        };
        let structure = &self.structure;
        let sizes = [
            ("num_blocks", self.blocks),
            ("sequence_state_dim", self.sequence_width),
            ("pairwise_state_dim", self.pair_width),
            ("sequence_head_width", self.sequence_heads),
            ("pairwise_head_width", self.pair_heads),
            ("position_bins", self.position_bins),
            ("max_recycles", self.max_recycles),
            ("lddt_head_hid_dim", self.plddt_width),
            ("structure_module.num_blocks", structure.iterations),
            ("structure_module.sequence_dim", structure.sequence_width),
            ("structure_module.pairwise_dim", structure.pair_width),
            ("structure_module.num_heads_ipa", structure.heads),
            ("structure_module.ipa_dim", structure.head_width),
            ("structure_module.num_qk_points", structure.query_points),
            ("structure_module.num_v_points", structure.value_points),
            ("structure_module.num_transition_layers", structure.transition_layers),
            ("structure_module.num_resnet_blocks", structure.resnet_blocks),
            ("structure_module.resnet_dim", structure.resnet_width),
        ];
        for (key, value) in sizes {
            if !(1..=LARGEST_SIZE).contains(&value) {
                return unsupported(key, value.to_string(), "1 to 65536");
            }
        }
        if !self.sequence_width.is_multiple_of(self.sequence_heads) {
            let found = format!("{} with {} heads", self.sequence_width, self.sequence_heads);
            return unsupported("sequence_state_dim", found, "heads of equal width");
        }
        if !self.pair_width.is_multiple_of(self.pair_heads) || !self.pair_width.is_multiple_of(2) {
            let found = format!("{} with {} heads", self.pair_width, self.pair_heads);
            return unsupported("pairwise_state_dim", found, "an even number and heads of equal width");
        }
        let scales = [
            ("structure_module.trans_scale_factor", structure.translation_scale),
            ("structure_module.epsilon", structure.epsilon),
        ];
        for (key, value) in scales {
            if !(value > 0.0 && value.is_finite()) {
                return unsupported(key, value.to_string(), "a positive number");
            }
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct HuggingFaceConfig {
    is_folding_model: Option<bool>,
    esmfold_config: Option<EsmFoldConfig>,
}

#[derive(Default, Deserialize)]
struct EsmFoldConfig {
    use_esm_attn_map: Option<bool>,
    esm_ablate_pairwise: Option<bool>,
    esm_ablate_sequence: Option<bool>,
    embed_aa: Option<bool>,
    bypass_lm: Option<bool>,
    lddt_head_hid_dim: Option<usize>,
    trunk: Option<TrunkConfig>,
}

#[derive(Default, Deserialize)]
struct TrunkConfig {
    num_blocks: Option<usize>,
    sequence_state_dim: Option<usize>,
    pairwise_state_dim: Option<usize>,
    sequence_head_width: Option<usize>,
    pairwise_head_width: Option<usize>,
    position_bins: Option<usize>,
    max_recycles: Option<usize>,
    structure_module: Option<StructureModuleConfig>,
}

#[derive(Default, Deserialize)]
struct StructureModuleConfig {
    sequence_dim: Option<usize>,
    pairwise_dim: Option<usize>,
    ipa_dim: Option<usize>,
    resnet_dim: Option<usize>,
    num_heads_ipa: Option<usize>,
    num_qk_points: Option<usize>,
    num_v_points: Option<usize>,
    num_blocks: Option<usize>,
    num_transition_layers: Option<usize>,
    num_resnet_blocks: Option<usize>,
    num_angles: Option<usize>,
    trans_scale_factor: Option<f64>,
    epsilon: Option<f64>,
}

impl HuggingFaceConfig {
    fn require(self, path: &Path) -> Result<FoldConfig, CheckpointError> {
        let unsupported = |key, found: String, expected: &str| CheckpointError::UnsupportedConfig {
            path: path.into(),
            key,
            found,
            expected: expected.into(),
        };
        let fold = self.esmfold_config.unwrap_or_default();
        let flags = [
            ("use_esm_attn_map", fold.use_esm_attn_map, false),
            ("esm_ablate_pairwise", fold.esm_ablate_pairwise, false),
            ("esm_ablate_sequence", fold.esm_ablate_sequence, false),
            ("bypass_lm", fold.bypass_lm, false),
            ("embed_aa", fold.embed_aa, true),
        ];
        for (key, value, expected) in flags {
            if value.is_some_and(|found| found != expected) {
                return Err(unsupported(key, (!expected).to_string(), &expected.to_string()));
            }
        }
        let trunk = fold.trunk.unwrap_or_default();
        let structure = trunk.structure_module.unwrap_or_default();
        let torsions = structure.num_angles.unwrap_or(TORSIONS);
        if torsions != TORSIONS {
            return Err(unsupported("structure_module.num_angles", torsions.to_string(), "7"));
        }
        let sequence_width = trunk.sequence_state_dim.unwrap_or(1024);
        let pair_width = trunk.pairwise_state_dim.unwrap_or(128);
        let heads = |key, width: usize, head_width: Option<usize>| {
            let head_width = head_width.unwrap_or(32);
            match width.checked_div(head_width) {
                Some(heads) if heads * head_width == width => Ok(heads),
                _ => Err(unsupported(
                    key,
                    format!("{head_width} of {width} channels"),
                    "a divisor of the channels",
                )),
            }
        };
        FoldConfig {
            blocks: trunk.num_blocks.unwrap_or(48),
            sequence_heads: heads("sequence_head_width", sequence_width, trunk.sequence_head_width)?,
            pair_heads: heads("pairwise_head_width", pair_width, trunk.pairwise_head_width)?,
            sequence_width,
            pair_width,
            position_bins: trunk.position_bins.unwrap_or(32),
            max_recycles: trunk.max_recycles.unwrap_or(4),
            plddt_width: fold.lddt_head_hid_dim.unwrap_or(128),
            structure: StructureConfig {
                iterations: structure.num_blocks.unwrap_or(8),
                sequence_width: structure.sequence_dim.unwrap_or(384),
                pair_width: structure.pairwise_dim.unwrap_or(128),
                heads: structure.num_heads_ipa.unwrap_or(12),
                head_width: structure.ipa_dim.unwrap_or(16),
                query_points: structure.num_qk_points.unwrap_or(4),
                value_points: structure.num_v_points.unwrap_or(8),
                transition_layers: structure.num_transition_layers.unwrap_or(1),
                resnet_blocks: structure.num_resnet_blocks.unwrap_or(2),
                resnet_width: structure.resnet_dim.unwrap_or(128),
                translation_scale: structure.trans_scale_factor.unwrap_or(10.0),
                epsilon: structure.epsilon.unwrap_or(1e-8),
            },
        }
        .validate(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<FoldConfig, CheckpointError> {
        serde_json::from_value::<HuggingFaceConfig>(json).unwrap().require(Path::new("config.json"))
    }

    #[test]
    fn what_is_absent_is_esmfold_v1() {
        let config = read(serde_json::json!({ "is_folding_model": true })).unwrap();
        assert_eq!((config.blocks, config.sequence_heads, config.pair_heads), (48, 32, 4));
        assert_eq!((config.structure.iterations, config.structure.heads), (8, 12));
    }

    #[test]
    fn other_models_are_refused_by_the_key_that_differs() {
        let cases = [
            ("bypass_lm", serde_json::json!({ "esmfold_config": { "bypass_lm": true } })),
            ("embed_aa", serde_json::json!({ "esmfold_config": { "embed_aa": false } })),
            (
                "sequence_head_width",
                serde_json::json!({ "esmfold_config": { "trunk": { "sequence_head_width": 30 } } }),
            ),
            (
                "pairwise_head_width",
                serde_json::json!({ "esmfold_config": { "trunk": { "pairwise_head_width": 0 } } }),
            ),
            ("max_recycles", serde_json::json!({ "esmfold_config": { "trunk": { "max_recycles": 0 } } })),
            (
                "structure_module.num_angles",
                serde_json::json!({ "esmfold_config": { "trunk": { "structure_module": { "num_angles": 8 } } } }),
            ),
            (
                "structure_module.epsilon",
                serde_json::json!({ "esmfold_config": { "trunk": { "structure_module": { "epsilon": 0.0 } } } }),
            ),
        ];
        for (expected, json) in cases {
            let error = read(json);
            let Err(CheckpointError::UnsupportedConfig { key, .. }) = error else {
                panic!("{expected}: {error:?}")
            };
            assert_eq!(key, expected);
        }
    }
}
