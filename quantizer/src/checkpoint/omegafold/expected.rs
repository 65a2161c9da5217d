//! The tensors that a configuration's model has, and their shapes.

use std::collections::BTreeMap;

use foldpoint_core::geometry::{ATOM14, GROUPS, TORSIONS};

use super::config::{OmegaFoldConfig, RESIDUES, TRANSITION_LINEARS};

/// Soft bins of distances and of coordinates in model 2's structure embedder, and of rough distances.
const BINS: usize = 64;
const ROUGH_BINS: usize = 16;

type Shapes = BTreeMap<String, Vec<usize>>;

/// Adds tensors below a prefix.
struct Module<'s> {
    shapes: &'s mut Shapes,
    prefix: String,
}

impl Module<'_> {
    fn at(&mut self, name: &str) -> Module<'_> {
        Module { prefix: format!("{}{name}.", self.prefix), shapes: self.shapes }
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) {
        self.shapes.insert(format!("{}{name}", self.prefix), shape.to_vec());
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.tensor(&format!("{name}.weight"), &[outputs, inputs]);
        self.tensor(&format!("{name}.bias"), &[outputs]);
    }

    fn norm(&mut self, name: &str, channels: usize) {
        self.tensor(&format!("{name}.weight"), &[channels]);
        self.tensor(&format!("{name}.bias"), &[channels]);
    }

    /// Gated attention over `width` channels on some axes.
    fn attention(&mut self, name: &str, width: usize, axes: usize, heads: usize) {
        let mut module = self.at(name);
        let channels = width / heads.max(1);
        for part in ["qg", "kv"] {
            module.tensor(&format!("{part}_weights"), &[width, axes, heads, 2 * channels]);
            module.tensor(&format!("{part}_bias"), &[axes, heads, 1, 2 * channels]);
        }
        module.tensor("o_weights", &[axes, heads, channels, width]);
        module.tensor("o_bias", &[width, axes]);
    }

    fn transition(&mut self, name: &str, width: usize, within: usize) {
        let mut module = self.at(name);
        module.linear("network.0", within, width);
        module.linear("network.2", width, within);
    }
}

/// All tensors, by name.
pub(super) fn expected(config: &OmegaFoldConfig) -> Shapes {
    let mut shapes = Shapes::new();
    let mut root = Module { shapes: &mut shapes, prefix: String::new() };
    language_model(&mut root.at("omega_plm"), config);
    root.linear("plm_node_embedder", config.node_width, config.width);
    root.linear("plm_edge_embedder", config.pair_width, config.layers);
    for side in ["proj_i", "proj_j"] {
        root.tensor(&format!("input_embedder.{side}.weight"), &[RESIDUES, config.pair_width]);
    }
    root.tensor("input_embedder.relpos.weight", &[config.pair_offsets, config.pair_width]);
    recycling(&mut root.at("recycle_embedder"), config);
    let mut cycle = root.at("omega_fold_cycle");
    for block in 0..config.blocks {
        geoformer_block(&mut cycle.at(&format!("geoformer.blocks.{block}")), config);
    }
    cycle.linear("geoformer.node_final_proj", config.structure.sequence_width, config.node_width);
    structure(&mut cycle.at("structure_module"), config);
    let (within, bins) = (config.confidence_width, config.confidence_bins);
    let mut head = cycle.at("confidence_head");
    head.linear("network.0", within, config.structure.sequence_width);
    head.linear("network.2", within, within);
    head.linear("network.4", bins, within);
    shapes
}

fn language_model(module: &mut Module<'_>, config: &OmegaFoldConfig) {
    module.tensor("input_embedding.weight", &[config.vocab, config.width]);
    for layer in 0..config.layers {
        let mut gau = module.at(&format!("layers.{layer}.gau"));
        gau.linear("gva_proj.0", 2 * config.value_width + config.head_width, config.width);
        gau.tensor("multi_headed_scaling.weight", &[2, config.head_width]);
        gau.tensor("multi_headed_scaling.bias", &[2, config.head_width]);
        gau.tensor("relpos.weight", &[config.offsets, 1]);
        gau.linear("output_proj", config.width, config.value_width);
    }
    module.norm("output_norm", config.width);
}

fn recycling(module: &mut Module<'_>, config: &OmegaFoldConfig) {
    module.norm("layernorm_node", config.node_width);
    module.norm("layernorm_edge", config.pair_width);
    module.tensor("prev_pos_embed.weight", &[config.distance_bins, config.pair_width]);
    let Some(width) = config.embedder_width else { return };
    let mut module = module.at("embed_struct");
    module.tensor("linear_z_weights", &[width, width, config.pair_width]);
    module.tensor("linear_z_bias", &[config.pair_width]);
    module.tensor("aa_embedding.weight", &[RESIDUES * RESIDUES, width]);
    module.linear("dist_bin_embedding", width, BINS);
    module.linear("pos_bin_embedding", width, BINS);
    module.linear("rough_dist_bin_embedding", width, ROUGH_BINS);
    module.linear("dist_bin_linear", width, ATOM14 * ATOM14 * width);
    module.linear("rough_dist_bin_linear", width, ATOM14 * ATOM14 * width);
    module.linear("pos_linear", width, GROUPS * ATOM14 * 3 * width);
}

fn geoformer_block(module: &mut Module<'_>, config: &OmegaFoldConfig) {
    let (node, pair) = (config.node_width, config.pair_width);
    module.linear("attention_w_edge_bias.proj_edge_bias", config.node_heads, pair);
    module.attention("attention_w_edge_bias.attention", node, 1, config.node_heads);
    module.attention("column_attention", node, 1, config.node_heads);
    module.transition("node_transition", node, config.node_transition);
    let outer = config.outer_product;
    module.linear("out_product.input_proj", 2 * outer, node);
    module.tensor("out_product.out_weights", &[outer, outer, pair]);
    module.tensor("out_product.out_bias", &[pair]);
    for layer in 0..config.geometric_layers {
        let mut module = module.at(&format!("geometric_attention.{layer}"));
        module.tensor("linear_b_weights", &[pair, 2, config.pair_heads]);
        module.tensor("linear_b_bias", &[2, config.pair_heads, 1, 1]);
        module.tensor("act_w", &[pair, 2, 5 * pair]);
        module.tensor("act_b", &[2, 5 * pair]);
        module.tensor("out_proj_w", &[2, pair, pair]);
        module.tensor("out_proj_b", &[2, pair]);
        module.attention("attention", pair, 2, config.pair_heads);
    }
    module.transition("edge_transition", pair, config.pair_transition);
}

fn structure(module: &mut Module<'_>, config: &OmegaFoldConfig) {
    let s = &config.structure;
    let width = s.sequence_width;
    module.norm("node_norm", width);
    module.norm("edge_norm", s.pair_width);
    module.linear("init_proj", width, width);
    for iteration in 0..s.iterations {
        let mut module = module.at(&format!("cycles.{iteration}"));
        let mut ipa = module.at("ipa");
        for part in ["q_scalar", "k_scalar", "v_scalar"] {
            ipa.linear(part, s.heads * s.head_width, width);
        }
        for (part, points) in
            [("q_point", s.query_points), ("k_point", s.query_points), ("v_point", s.value_points)]
        {
            ipa.linear(part, 3 * s.heads * points, width);
        }
        ipa.tensor("trainable_point_weights", &[s.heads]);
        ipa.linear("bias_2d", s.heads, s.pair_width);
        ipa.linear("output_projection", width, s.heads * (s.head_width + 4 * s.value_points + s.pair_width));
        module.norm("input_norm", width);
        module.norm("update_norm", width);
        for linear in 0..TRANSITION_LINEARS {
            module.linear(&format!("transition.{linear}"), width, width);
        }
        module.linear("affine_update", 6, width);
    }
    let mut torsions = module.at("torsion_angle_pred");
    torsions.linear("input_projection.0", s.resnet_width, width);
    torsions.linear("input_projection.1", s.resnet_width, width);
    for block in 0..s.resnet_blocks {
        torsions.linear(&format!("resblock1.{block}"), s.resnet_width, s.resnet_width);
        torsions.linear(&format!("resblock2.{block}"), s.resnet_width, s.resnet_width);
    }
    torsions.linear("unnormalized_angles", 2 * TORSIONS, s.resnet_width);
}
