//! One naming scheme for tensors, whoever wrote the checkpoint.
//!
//! The canonical names are those of HuggingFace's `EsmModel` without a prefix (`encoder.layer.0.attention.self.query.weight`),
//! its `lm_head.*` and its `contact_head.*`.

/// Who named the tensors of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// HuggingFace `transformers`, with or without the prefix `esm.`; LayerNorms say `weight`, `bias` or `gamma`, `beta`.
    HuggingFace,
    /// `fair-esm`, with any of its prefixes (`encoder.sentence_encoder.`, `encoder.`, `model.`).
    FairEsm,
}

/// Whether `name` is a table of rotary frequencies. Most checkpoints have one for each layer, all the same; some have one
/// for the model, or none.
pub fn is_rotary(naming: Naming, name: &str) -> bool {
    name.ends_with(match naming {
        Naming::HuggingFace => "rotary_embeddings.inv_freq",
        Naming::FairEsm => "rot_emb.inv_freq",
    })
}

/// The canonical name of the tensor that a checkpoint calls `name`; `None` when the model has no such tensor (position
/// numbers, heads for other tasks) and for [rotary frequencies](is_rotary).
pub fn canonical(naming: Naming, name: &str) -> Option<String> {
    match naming {
        Naming::HuggingFace => from_hugging_face(name),
        Naming::FairEsm => from_fair_esm(name),
    }
}

fn from_hugging_face(name: &str) -> Option<String> {
    let name = name.strip_prefix("esm.").unwrap_or(name);
    let known = ["embeddings.word_embeddings.", "encoder.", "lm_head.", "contact_head.regression."];
    if !known.iter().any(|start| name.starts_with(start)) || is_rotary(Naming::HuggingFace, name) {
        return None;
    }
    Some(match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_owned(),
    })
}

fn from_fair_esm(name: &str) -> Option<String> {
    let name = without_fair_esm_prefix(name);
    if let Some(rest) = name.strip_prefix("layers.") {
        let (index, rest) = rest.split_once('.')?;
        let (module, parameter) = rest.rsplit_once('.')?;
        let module = match module {
            "self_attn.q_proj" => "attention.self.query",
            "self_attn.k_proj" => "attention.self.key",
            "self_attn.v_proj" => "attention.self.value",
            "self_attn.out_proj" => "attention.output.dense",
            "self_attn_layer_norm" => "attention.LayerNorm",
            "fc1" => "intermediate.dense",
            "fc2" => "output.dense",
            "final_layer_norm" => "LayerNorm",
            _ => return None,
        };
        return Some(format!("encoder.layer.{index}.{module}.{parameter}"));
    }
    match name {
        "embed_tokens.weight" => Some("embeddings.word_embeddings.weight".into()),
        "lm_head.weight" => Some("lm_head.decoder.weight".into()),
        _ if name.starts_with("emb_layer_norm_after.") => Some(format!("encoder.{name}")),
        _ if name.starts_with("lm_head.") || name.starts_with("contact_head.regression.") => {
            Some(name.into())
        }
        _ => None,
    }
}

/// `name` as fair-esm's own `ESM2` module spells it.
pub fn without_fair_esm_prefix(name: &str) -> &str {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let name = name.strip_prefix("encoder.").unwrap_or(name);
    name.strip_prefix("sentence_encoder.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugging_face_names_lose_prefix_and_old_spelling() {
        let name = |n| canonical(Naming::HuggingFace, n);
        assert_eq!(
            name("esm.encoder.layer.3.attention.LayerNorm.gamma").as_deref(),
            Some("encoder.layer.3.attention.LayerNorm.weight")
        );
        assert_eq!(
            name("encoder.emb_layer_norm_after.beta").as_deref(),
            Some("encoder.emb_layer_norm_after.bias")
        );
        assert_eq!(name("lm_head.bias").as_deref(), Some("lm_head.bias"));
        assert_eq!(name("esm.embeddings.position_ids"), None);
        assert_eq!(name("classifier.dense.weight"), None);
        assert_eq!(name("esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"), None);
        assert!(is_rotary(
            Naming::HuggingFace,
            "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"
        ));
        assert_eq!(name("trunk.blocks.0.layernorm.weight"), None);
    }

    #[test]
    fn fair_esm_names_become_hugging_face_ones() {
        let name = |n| canonical(Naming::FairEsm, n);
        let fc1 = Some("encoder.layer.11.intermediate.dense.weight");
        assert_eq!(name("encoder.sentence_encoder.layers.11.fc1.weight").as_deref(), fc1);
        assert_eq!(name("layers.11.fc1.weight").as_deref(), fc1);
        assert_eq!(name("encoder.lm_head.weight").as_deref(), Some("lm_head.decoder.weight"));
        assert_eq!(
            name("encoder.sentence_encoder.emb_layer_norm_after.bias").as_deref(),
            Some("encoder.emb_layer_norm_after.bias")
        );
        assert_eq!(name("contact_head.regression.bias").as_deref(), Some("contact_head.regression.bias"));
        assert_eq!(name("layers.0.self_attn.rot_emb.inv_freq"), None);
        assert!(is_rotary(Naming::FairEsm, "layers.0.self_attn.rot_emb.inv_freq"));
    }
}
