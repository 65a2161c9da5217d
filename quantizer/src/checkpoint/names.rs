//! One naming scheme for tensors, whoever wrote the checkpoint.
//!
//! The canonical names are those of HuggingFace's `EsmModel` without a prefix (`encoder.layer.0.attention.self.query.weight`),
//! its `lm_head.*` and its `contact_head.*`; and for folding those of `EsmForProteinFolding` (`trunk.blocks.0.*`,
//! `esm_s_mlp.*`, `lddt_head.*`), whose own `lm_head` is left out.

/// Who named the tensors of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// HuggingFace `transformers`, with or without the prefix `esm.`; LayerNorms say `weight`, `bias` or `gamma`, `beta`.
    HuggingFace,
    /// `EsmForProteinFolding` of HuggingFace `transformers`: the language model under `esm.`.
    HuggingFaceFold,
    /// `fair-esm`, with any of its prefixes (`encoder.sentence_encoder.`, `encoder.`, `model.`).
    FairEsm,
    /// `ESMFold` of `fair-esm`: the language model under `esm.` or as in a file of its own.
    FairEsmFold,
}

/// Whether `name` is a table of rotary frequencies. Most checkpoints have one for each layer, all the same; some have one
/// for the model, or none.
pub fn is_rotary(naming: Naming, name: &str) -> bool {
    name.ends_with(match naming {
        Naming::HuggingFace | Naming::HuggingFaceFold => "rotary_embeddings.inv_freq",
        Naming::FairEsm | Naming::FairEsmFold => "rot_emb.inv_freq",
    })
}

/// The canonical name of the tensor that a checkpoint calls `name`; `None` when the model has no such tensor (position
/// numbers, heads for other tasks) and for [rotary frequencies](is_rotary).
pub fn canonical(naming: Naming, name: &str) -> Option<String> {
    match naming {
        Naming::HuggingFace => from_hugging_face(name),
        Naming::FairEsm => from_fair_esm(name),
        Naming::HuggingFaceFold if name.starts_with("esm.") => from_hugging_face(name),
        Naming::HuggingFaceFold => from_fold(name),
        Naming::FairEsmFold if is_fold(name) => from_fold(name),
        Naming::FairEsmFold => from_fair_esm(name),
    }
}

/// Whether `name` is a tensor of ESMFold outside its language model. `lm_head.` is a head on the trunk there; that of the
/// language model has a prefix.
fn is_fold(name: &str) -> bool {
    const STARTS: [&str; 9] = [
        "af2_to_esm",
        "esm_s_combine",
        "esm_s_mlp.",
        "embedding.",
        "trunk.",
        "distogram_head.",
        "ptm_head.",
        "lddt_head.",
        "lm_head.",
    ];
    STARTS.iter().any(|start| name.starts_with(start))
}

fn from_fold(name: &str) -> Option<String> {
    // OpenFold keeps tables of residue geometry as buffers in some versions.
    let tables = ["default_frames", "group_idx", "atom_mask", "lit_positions"];
    let is_table =
        name.strip_prefix("trunk.structure_module.").is_some_and(|buffer| tables.contains(&buffer));
    let left_out = name.starts_with("lm_head.") || name == "af2_to_esm" || is_table;
    (is_fold(name) && !left_out).then(|| modern(name))
}

/// `name` with a LayerNorm's parameters spelt `weight` and `bias`.
fn modern(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_owned(),
    }
}

fn from_hugging_face(name: &str) -> Option<String> {
    let name = name.strip_prefix("esm.").unwrap_or(name);
    let known = ["embeddings.word_embeddings.", "encoder.", "lm_head.", "contact_head.regression."];
    if !known.iter().any(|start| name.starts_with(start)) || is_rotary(Naming::HuggingFace, name) {
        return None;
    }
    Some(modern(name))
}

fn from_fair_esm(name: &str) -> Option<String> {
    let name = without_fair_esm_prefix(name);
    if let Some(rest) = name.strip_prefix("layers.") {
        let (index, rest) = rest.split_once('.')?;
        let Some((module, parameter)) = rest.rsplit_once('.') else {
            // A parameter of the layer itself, which no layer of ESM-2 has: it must not be passed over.
            return Some(format!("encoder.layer.{index}.{rest}"));
        };
        let module = match module {
            "self_attn.q_proj" => "attention.self.query",
            "self_attn.k_proj" => "attention.self.key",
            "self_attn.v_proj" => "attention.self.value",
            "self_attn.out_proj" => "attention.output.dense",
            "self_attn_layer_norm" => "attention.LayerNorm",
            "fc1" => "intermediate.dense",
            "fc2" => "output.dense",
            "final_layer_norm" => "LayerNorm",
            "self_attn.rot_emb" => return None,
            // No part of ESM-2; but a part of a layer, so that it must not be passed over.
            other => other,
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
    let name = name.strip_prefix("esm.").unwrap_or(name);
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

    #[test]
    fn folding_names_stay_and_their_language_model_loses_its_prefix() {
        for naming in [Naming::HuggingFaceFold, Naming::FairEsmFold] {
            let name = |n| canonical(naming, n);
            let ipa = "trunk.structure_module.ipa.linear_q.weight";
            assert_eq!(name(ipa).as_deref(), Some(ipa));
            assert_eq!(name("esm_s_combine").as_deref(), Some("esm_s_combine"));
            assert_eq!(name("lm_head.weight"), None);
            assert_eq!(name("af2_to_esm"), None);
            assert_eq!(name("trunk.structure_module.default_frames"), None);
        }
        let embedding = Some("embeddings.word_embeddings.weight");
        let name = |naming, n| canonical(naming, n);
        let from_hf = name(Naming::HuggingFaceFold, "esm.embeddings.word_embeddings.weight");
        assert_eq!(from_hf.as_deref(), embedding);
        for own in ["esm.embed_tokens.weight", "encoder.sentence_encoder.embed_tokens.weight"] {
            assert_eq!(name(Naming::FairEsmFold, own).as_deref(), embedding);
        }
        let head = name(Naming::FairEsmFold, "encoder.lm_head.weight");
        assert_eq!(head.as_deref(), Some("lm_head.decoder.weight"));
    }
}
