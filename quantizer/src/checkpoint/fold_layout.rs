//! The tensors of the folding part of an ESMFold model.

use super::fold_config::{ATOM_TYPES, PAIR_BINS, PLDDT_BINS, RECYCLE_BINS, RESIDUE_ROWS, TORSIONS};
use super::layout::{Expected, linear, norm};
use super::{Config, FoldConfig};

/// Names of the tensors of trunk block `block`, without what follows.
pub fn block_prefix(block: usize) -> String {
    format!("trunk.blocks.{block}")
}

/// Every tensor from the mix of hidden states to the heads. `lm` is the language model below.
pub fn fold(lm: &Config, fold: &FoldConfig) -> Vec<Expected> {
    let (sequence, pair) = (fold.sequence_width, fold.pair_width);
    let mut tensors = vec![
        ("esm_s_combine".into(), vec![lm.layers + 1]),
        ("embedding.weight".into(), vec![RESIDUE_ROWS, sequence]),
        (
            "trunk.pairwise_positional_embedding.embedding.weight".into(),
            vec![2 * fold.position_bins + 2, pair],
        ),
        ("trunk.recycle_disto.weight".into(), vec![RECYCLE_BINS, pair]),
    ];
    let t = &mut tensors;
    norm(t, "esm_s_mlp.0".into(), lm.width);
    linear(t, "esm_s_mlp.1".into(), sequence, lm.width);
    linear(t, "esm_s_mlp.3".into(), sequence, sequence);
    norm(t, "trunk.recycle_s_norm".into(), sequence);
    norm(t, "trunk.recycle_z_norm".into(), pair);
    for index in 0..fold.blocks {
        block(t, &block_prefix(index), fold);
    }
    structure_module(t, fold);
    linear(t, "distogram_head".into(), PAIR_BINS, pair);
    linear(t, "ptm_head".into(), PAIR_BINS, pair);
    norm(t, "lddt_head.0".into(), fold.structure.sequence_width);
    linear(t, "lddt_head.1".into(), fold.plddt_width, fold.structure.sequence_width);
    linear(t, "lddt_head.2".into(), fold.plddt_width, fold.plddt_width);
    linear(t, "lddt_head.3".into(), ATOM_TYPES * PLDDT_BINS, fold.plddt_width);
    tensors
}

fn block(t: &mut Vec<Expected>, prefix: &str, fold: &FoldConfig) {
    let (sequence, pair) = (fold.sequence_width, fold.pair_width);
    norm(t, format!("{prefix}.pair_to_sequence.layernorm"), pair);
    matrix(t, format!("{prefix}.pair_to_sequence.linear"), fold.sequence_heads, pair);
    norm(t, format!("{prefix}.layernorm_1"), sequence);
    matrix(t, format!("{prefix}.seq_attention.proj"), 3 * sequence, sequence);
    linear(t, format!("{prefix}.seq_attention.g_proj"), sequence, sequence);
    linear(t, format!("{prefix}.seq_attention.o_proj"), sequence, sequence);
    norm(t, format!("{prefix}.sequence_to_pair.layernorm"), sequence);
    linear(t, format!("{prefix}.sequence_to_pair.proj"), pair, sequence);
    linear(t, format!("{prefix}.sequence_to_pair.o_proj"), pair, pair);
    for (mlp, width) in [("mlp_seq", sequence), ("mlp_pair", pair)] {
        norm(t, format!("{prefix}.{mlp}.mlp.0"), width);
        linear(t, format!("{prefix}.{mlp}.mlp.1"), 4 * width, width);
        linear(t, format!("{prefix}.{mlp}.mlp.3"), width, 4 * width);
    }
    for multiplication in ["tri_mul_out", "tri_mul_in"] {
        norm(t, format!("{prefix}.{multiplication}.layer_norm_in"), pair);
        norm(t, format!("{prefix}.{multiplication}.layer_norm_out"), pair);
        for part in ["a_p", "a_g", "b_p", "b_g", "g", "z"] {
            linear(t, format!("{prefix}.{multiplication}.linear_{part}"), pair, pair);
        }
    }
    for attention in ["tri_att_start", "tri_att_end"] {
        norm(t, format!("{prefix}.{attention}.layer_norm"), pair);
        matrix(t, format!("{prefix}.{attention}.linear"), fold.pair_heads, pair);
        for part in ["q", "k", "v"] {
            matrix(t, format!("{prefix}.{attention}.mha.linear_{part}"), pair, pair);
        }
        for part in ["g", "o"] {
            linear(t, format!("{prefix}.{attention}.mha.linear_{part}"), pair, pair);
        }
    }
}

fn structure_module(t: &mut Vec<Expected>, fold: &FoldConfig) {
    let config = &fold.structure;
    let (sequence, pair, heads, resnet) =
        (config.sequence_width, config.pair_width, config.heads, config.resnet_width);
    let prefix = "trunk.structure_module";
    linear(t, "trunk.trunk2sm_s".into(), sequence, fold.sequence_width);
    linear(t, "trunk.trunk2sm_z".into(), pair, fold.pair_width);
    norm(t, format!("{prefix}.layer_norm_s"), sequence);
    norm(t, format!("{prefix}.layer_norm_z"), pair);
    linear(t, format!("{prefix}.linear_in"), sequence, sequence);
    t.push((format!("{prefix}.ipa.head_weights"), vec![heads]));
    linear(t, format!("{prefix}.ipa.linear_q"), heads * config.head_width, sequence);
    linear(t, format!("{prefix}.ipa.linear_kv"), 2 * heads * config.head_width, sequence);
    linear(t, format!("{prefix}.ipa.linear_q_points"), 3 * heads * config.query_points, sequence);
    let key_and_value = config.query_points + config.value_points;
    linear(t, format!("{prefix}.ipa.linear_kv_points"), 3 * heads * key_and_value, sequence);
    linear(t, format!("{prefix}.ipa.linear_b"), heads, pair);
    let output = heads * (pair + config.head_width + 4 * config.value_points);
    linear(t, format!("{prefix}.ipa.linear_out"), sequence, output);
    norm(t, format!("{prefix}.layer_norm_ipa"), sequence);
    for layer in 0..config.transition_layers {
        for part in 1..=3 {
            linear(t, format!("{prefix}.transition.layers.{layer}.linear_{part}"), sequence, sequence);
        }
    }
    norm(t, format!("{prefix}.transition.layer_norm"), sequence);
    linear(t, format!("{prefix}.bb_update.linear"), 6, sequence);
    linear(t, format!("{prefix}.angle_resnet.linear_in"), resnet, sequence);
    linear(t, format!("{prefix}.angle_resnet.linear_initial"), resnet, sequence);
    for layer in 0..config.resnet_blocks {
        for part in 1..=2 {
            linear(t, format!("{prefix}.angle_resnet.layers.{layer}.linear_{part}"), resnet, resnet);
        }
    }
    linear(t, format!("{prefix}.angle_resnet.linear_out"), 2 * TORSIONS, resnet);
}

/// A Linear without bias.
fn matrix(tensors: &mut Vec<Expected>, name: String, outputs: usize, inputs: usize) {
    tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
}
