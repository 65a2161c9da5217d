//! One naming scheme for tensors, whoever wrote the checkpoint.
//!
//! The canonical names are those of HuggingFace's `EsmModel` without a prefix
//! (`encoder.layer.0.attention.self.query.weight`), its `lm_head.*` and its `contact_head.*`; and for folding
//! those of `EsmForProteinFolding` (`trunk.blocks.0.*`, `esm_s_mlp.*`, `lddt_head.*`), whose own `lm_head` is
//! left out.

use crate::table::{Form, Parts, Source, pattern};

/// The embedding.
pub const EMBEDDING: &str = "embeddings.word_embeddings.weight";

/// The decoder of the language-model head, which may be the embedding.
pub const DECODER: &str = "lm_head.decoder.weight";

/// Who named the tensors of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// HuggingFace `transformers`, with or without the prefix `esm.`; LayerNorms say `weight`, `bias` or
    /// `gamma`, `beta`.
    HuggingFace,
    /// `EsmForProteinFolding` of HuggingFace `transformers`: the language model under `esm.`.
    HuggingFaceFold,
    /// `fair-esm`, with any of its prefixes (`encoder.sentence_encoder.`, `encoder.`, `model.`).
    FairEsm,
    /// `ESMFold` of `fair-esm`: the language model under `esm.` or as in a file of its own.
    FairEsmFold,
}

/// Whether `name` is a table of rotary frequencies. Most checkpoints have one for each layer, all the same;
/// some have one for the model, or none.
pub fn is_rotary(naming: Naming, name: &str) -> bool {
    name.ends_with(match naming {
        Naming::HuggingFace | Naming::HuggingFaceFold => "rotary_embeddings.inv_freq",
        Naming::FairEsm | Naming::FairEsmFold => "rot_emb.inv_freq",
    })
}

/// The canonical name of the tensor that a checkpoint calls `name`; `None` when the model has no such tensor
/// (position numbers, heads for other tasks) and for [rotary frequencies](is_rotary).
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

/// Whether `name` is a tensor of ESMFold outside its language model. `lm_head.` is a head on the trunk there;
/// that of the language model has a prefix.
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
    let (module, parameter) = name.rsplit_once('.').unwrap_or((name, ""));
    let canonical = language_model_sources().find_map(|source| match source.form {
        Form::Tensor(_) | Form::Tied(_) => (source.fair_esm == name).then(|| source.name.to_owned()),
        _ => {
            let number = pattern::placed(source.fair_esm, module)?;
            Some(format!("{}.{parameter}", pattern::fill(source.name, number)))
        }
    });
    if canonical.is_some() {
        return canonical;
    }
    if let Some(rest) = name.strip_prefix("layers.") {
        // No part of ESM-2; but a part of a layer, so that it must not be passed over.
        let (_, inside) = rest.split_once('.')?;
        return (!inside.starts_with("self_attn.rot_emb.")).then(|| format!("encoder.layer.{rest}"));
    }
    let is_head = name.starts_with("lm_head.") || name.starts_with("contact_head.regression.");
    is_head.then(|| name.to_owned())
}

/// What a checkpoint with these names calls the tensor `name` of the language model, without what may stand
/// before.
pub fn spelled(naming: Naming, name: &str) -> String {
    let is_fair = matches!(naming, Naming::FairEsm | Naming::FairEsmFold);
    let found = language_model_sources().filter(|_| is_fair).find_map(|source| {
        source.tensors().into_iter().find_map(|(part, _)| {
            let number = pattern::placed(source.name, name.strip_suffix(part)?)?;
            Some(format!("{}{part}", pattern::fill(source.fair_esm, number)))
        })
    });
    found.unwrap_or_else(|| name.to_owned())
}

fn language_model_sources() -> impl Iterator<Item = &'static Source> {
    Parts::ALL.language_model().into_iter().flat_map(|row| row.sources)
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
    fn every_source_of_the_table_is_found_by_whoever_named_it() {
        let tensors = |source: &Source, name: &str| -> Vec<String> {
            let name = pattern::fill(name, 7);
            source.tensors().into_iter().map(|(part, _)| format!("{name}{part}")).collect()
        };
        for source in language_model_sources() {
            let (own, fair) = (tensors(source, source.name), tensors(source, source.fair_esm));
            for (own, fair) in own.iter().zip(&fair) {
                assert_eq!(canonical(Naming::HuggingFace, own).as_ref(), Some(own));
                assert_eq!(canonical(Naming::FairEsm, fair).as_ref(), Some(own));
                assert_eq!(spelled(Naming::HuggingFace, own), *own);
                assert_eq!(spelled(Naming::FairEsm, own), *fair);
            }
        }
        for source in Parts::ALL.folding_model().into_iter().flat_map(|row| row.sources) {
            assert_eq!(source.name, source.fair_esm);
            for name in tensors(source, source.name) {
                for naming in [Naming::HuggingFaceFold, Naming::FairEsmFold] {
                    assert_eq!(canonical(naming, &name).as_ref(), Some(&name));
                }
            }
        }
        let all: Vec<&str> = language_model_sources().map(|source| source.name).collect();
        assert!(all.contains(&EMBEDDING) && all.contains(&DECODER));
    }

    #[test]
    fn parts_of_a_layer_that_it_does_not_have_are_kept() {
        let name = |n| canonical(Naming::FairEsm, n);
        assert_eq!(name("layers.3.adapter.weight").as_deref(), Some("encoder.layer.3.adapter.weight"));
        assert_eq!(name("layers.3.gate").as_deref(), Some("encoder.layer.3.gate"));
        assert_eq!(
            name("layers.3.fc1.weight_g").as_deref(),
            Some("encoder.layer.3.intermediate.dense.weight_g")
        );
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
