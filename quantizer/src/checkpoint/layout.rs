//! The tensors that a model of a given configuration is made of.

use super::Config;

/// A tensor's canonical name and its shape.
pub type Expected = (String, Vec<usize>);

/// Names of the tensors of layer `layer`, without `.weight` and `.bias`.
pub fn layer_prefix(layer: usize) -> String {
    format!("encoder.layer.{layer}")
}

/// Every tensor of embedding, layers and final LayerNorm.
pub fn trunk(config: &Config) -> Vec<Expected> {
    let Config { vocab, width, ffn, .. } = *config;
    let mut tensors = vec![("embeddings.word_embeddings.weight".into(), vec![vocab, width])];
    for layer in 0..config.layers {
        let prefix = layer_prefix(layer);
        norm(&mut tensors, format!("{prefix}.attention.LayerNorm"), width);
        for projection in ["query", "key", "value"] {
            linear(&mut tensors, format!("{prefix}.attention.self.{projection}"), width, width);
        }
        linear(&mut tensors, format!("{prefix}.attention.output.dense"), width, width);
        norm(&mut tensors, format!("{prefix}.LayerNorm"), width);
        linear(&mut tensors, format!("{prefix}.intermediate.dense"), ffn, width);
        linear(&mut tensors, format!("{prefix}.output.dense"), width, ffn);
    }
    norm(&mut tensors, "encoder.emb_layer_norm_after".into(), width);
    tensors
}

/// Every tensor of the contact head: a logistic regression over the maps of all heads, layer by layer.
pub fn contact_head(config: &Config) -> Vec<Expected> {
    let mut tensors = Vec::new();
    linear(&mut tensors, "contact_head.regression".into(), 1, config.layers * config.heads);
    tensors
}

/// Every tensor that a language-model head must have. Its decoder (`lm_head.decoder.weight`, shaped like the embedding)
/// is optional: without it, it is the embedding.
pub fn lm_head(config: &Config) -> Vec<Expected> {
    let mut tensors = Vec::new();
    linear(&mut tensors, "lm_head.dense".into(), config.width, config.width);
    norm(&mut tensors, "lm_head.layer_norm".into(), config.width);
    tensors.push(("lm_head.bias".into(), vec![config.vocab]));
    tensors
}

pub(super) fn linear(tensors: &mut Vec<Expected>, name: String, outputs: usize, inputs: usize) {
    tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
    tensors.push((format!("{name}.bias"), vec![outputs]));
}

pub(super) fn norm(tensors: &mut Vec<Expected>, name: String, width: usize) {
    tensors.push((format!("{name}.weight"), vec![width]));
    tensors.push((format!("{name}.bias"), vec![width]));
}
