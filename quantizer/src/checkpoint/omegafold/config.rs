//! The dimensions of an OmegaFold, which all follow from the shapes of its tensors.

use super::{CheckpointError, EMBEDDING};
use crate::checkpoint::{Archive, StructureConfig};

/// The dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct OmegaFoldConfig {
    /// Tokens of the language model: 20 amino acids, X, gap and mask, and one that is never used.
    pub vocab: usize,
    /// Channels of the language model's residual stream.
    pub width: usize,
    /// Layers of the language model, each with one attention map.
    pub layers: usize,
    /// Channels of values and gates.
    pub value_width: usize,
    /// Channels of queries and keys, of the one head.
    pub head_width: usize,
    /// Offsets in the language model's tables of relative positions; odd.
    pub offsets: usize,
    /// Channels of the node representation.
    pub node_width: usize,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Offsets in the table of relative positions of pairs; odd.
    pub pair_offsets: usize,
    /// Bins of recycled distances.
    pub distance_bins: usize,
    /// Geoformer blocks.
    pub blocks: usize,
    /// Heads of node attention.
    pub node_heads: usize,
    /// Channels within the node transition.
    pub node_transition: usize,
    /// Channels of each side of the outer product.
    pub outer_product: usize,
    /// Layers of geometric attention in a block.
    pub geometric_layers: usize,
    /// Heads of geometric attention.
    pub pair_heads: usize,
    /// Channels within the pair transition.
    pub pair_transition: usize,
    /// The structure module; each of its iterations has weights of its own.
    pub structure: StructureConfig,
    /// Channels within the confidence head.
    pub confidence_width: usize,
    /// Bins of confidence.
    pub confidence_bins: usize,
    /// Channels of the structure embedder of model 2; `None` for model 1.
    pub embedder_width: Option<usize>,
}

/// Angstroms for one unit of the structure module.
const TRANSLATION_SCALE: f64 = 10.0;

/// Torsions are divided by no less than 4e-5: the square.
const TORSION_EPSILON: f64 = 1.6e-9;

/// Residue types of the pair embedding: 20 and X.
pub(super) const RESIDUES: usize = 21;

/// Linears of a transition of the structure module.
pub(super) const TRANSITION_LINEARS: usize = 3;

impl OmegaFoldConfig {
    /// From the shapes of an archive's tensors.
    ///
    /// # Errors
    /// A tensor is missing, or has not the number of dimensions.
    pub(super) fn of(archive: &dyn Archive) -> Result<Self, CheckpointError> {
        let extent = |name: &str, dimension: usize| {
            let missing = || CheckpointError::MissingTensors {
                path: archive.path().into(),
                names: vec![name.to_owned()],
            };
            archive
                .entries()
                .get(name)
                .and_then(|entry| entry.shape.get(dimension))
                .copied()
                .ok_or_else(missing)
        };
        let numbered = |prefix: &str, suffix: &str| {
            let there =
                |number: &usize| archive.entries().contains_key(&format!("{prefix}.{number}.{suffix}"));
            (0..).take_while(there).count()
        };
        let part = |of: usize, count: usize, name: &str| match of.checked_div(count) {
            Some(part) if part * count == of && part > 0 => Ok(part),
            _ => Err(CheckpointError::Format {
                path: archive.path().into(),
                detail: format!("tensor {name}: {of} channels are no multiple of {count}"),
            }),
        };
        let gau = "omega_plm.layers.0.gau";
        let geoformer = "omega_fold_cycle.geoformer";
        let block = format!("{geoformer}.blocks.0");
        let structure = "omega_fold_cycle.structure_module";
        let ipa = format!("{structure}.cycles.0.ipa");
        let heads = extent(&format!("{ipa}.trainable_point_weights"), 0)?;
        let of_head = |name: &str, times: usize| {
            let name = format!("{ipa}.{name}.weight");
            part(extent(&name, 0)?, times * heads, &name)
        };
        Ok(Self {
            vocab: extent(EMBEDDING, 0)?,
            width: extent(EMBEDDING, 1)?,
            layers: numbered("omega_plm.layers", "gau.output_proj.weight"),
            value_width: extent(&format!("{gau}.output_proj.weight"), 1)?,
            head_width: extent(&format!("{gau}.multi_headed_scaling.weight"), 1)?,
            offsets: extent(&format!("{gau}.relpos.weight"), 0)?,
            node_width: extent("plm_node_embedder.weight", 0)?,
            pair_width: extent("plm_edge_embedder.weight", 0)?,
            pair_offsets: extent("input_embedder.relpos.weight", 0)?,
            distance_bins: extent("recycle_embedder.prev_pos_embed.weight", 0)?,
            blocks: numbered(&format!("{geoformer}.blocks"), "out_product.input_proj.weight"),
            node_heads: extent(&format!("{block}.attention_w_edge_bias.proj_edge_bias.weight"), 0)?,
            node_transition: extent(&format!("{block}.node_transition.network.0.weight"), 0)?,
            outer_product: extent(&format!("{block}.out_product.out_weights"), 0)?,
            geometric_layers: numbered(&format!("{block}.geometric_attention"), "act_w"),
            pair_heads: extent(&format!("{block}.geometric_attention.0.linear_b_weights"), 2)?,
            pair_transition: extent(&format!("{block}.edge_transition.network.0.weight"), 0)?,
            structure: StructureConfig {
                iterations: numbered(&format!("{structure}.cycles"), "affine_update.weight"),
                sequence_width: extent(&format!("{structure}.init_proj.weight"), 0)?,
                pair_width: extent("plm_edge_embedder.weight", 0)?,
                heads,
                head_width: of_head("q_scalar", 1)?,
                query_points: of_head("q_point", 3)?,
                value_points: of_head("v_point", 3)?,
                transition_layers: 1,
                resnet_blocks: numbered(&format!("{structure}.torsion_angle_pred.resblock1"), "weight"),
                resnet_width: extent(
                    &format!("{structure}.torsion_angle_pred.input_projection.0.weight"),
                    0,
                )?,
                translation_scale: TRANSLATION_SCALE,
                epsilon: TORSION_EPSILON,
            },
            confidence_width: extent("omega_fold_cycle.confidence_head.network.0.weight", 0)?,
            confidence_bins: extent("omega_fold_cycle.confidence_head.network.4.weight", 0)?,
            embedder_width: extent("recycle_embedder.embed_struct.linear_z_weights", 0).ok(),
        })
    }
}
