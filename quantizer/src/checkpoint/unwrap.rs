//! What training code puts around the names of a model's tensors.

use std::collections::BTreeMap;

use super::names::Naming;

/// Parts of names that wrappers add wherever a module is wrapped: `torch.nn.DataParallel` and its like,
/// `torch.compile`, FSDP, activation checkpointing.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Whether a wrapper, and no model of ours, has `part` in its names.
pub fn is_wrapper(part: &str) -> bool {
    WRAPPERS.contains(&part)
}

/// `name` without the parts that wrappers add.
pub fn clean(name: &str) -> String {
    name.split('.').filter(|part| !is_wrapper(part)).collect::<Vec<_>>().join(".")
}

/// How a file's tensors are named.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrapping {
    /// Who named them.
    pub naming: Naming,
    /// What stands before the names, after [`clean`]: the model was a part of a larger module.
    pub prefix: String,
}

/// Tensors that every model with names of a kind has.
const ANCHORS: [(Naming, [&str; 2]); 3] = [
    (Naming::HuggingFaceFold, ["esm_s_combine", "trunk.recycle_s_norm.weight"]),
    (
        Naming::HuggingFace,
        ["embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"],
    ),
    (Naming::FairEsm, ["embed_tokens.weight", "layers.0.self_attn.q_proj.weight"]),
];

impl Wrapping {
    /// Finds out how the tensors called `names` are named; `None` if they are no model's.
    ///
    /// # Errors
    /// There are several models: what stands before the names of each.
    pub fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<Option<Self>, Vec<String>> {
        for (naming, anchors) in ANCHORS {
            // How many of the anchors each prefix has.
            let mut prefixes: BTreeMap<String, [bool; 2]> = BTreeMap::new();
            for name in names.clone() {
                let name = clean(name);
                for (i, anchor) in anchors.into_iter().enumerate() {
                    if let Some(before) = name.strip_suffix(anchor)
                        && (before.is_empty() || before.ends_with('.'))
                    {
                        prefixes.entry(own(naming, before).to_owned()).or_default()[i] = true;
                    }
                }
            }
            if prefixes.values().any(|found| *found == [true; 2]) {
                prefixes.retain(|_, found| *found == [true; 2]);
            }
            let naming = naming_of(naming, names.clone());
            match prefixes.len() {
                0 => {}
                1 => return Ok(prefixes.into_keys().next().map(|prefix| Self { naming, prefix })),
                _ => return Err(prefixes.into_keys().collect()),
            }
        }
        Ok(None)
    }

    /// `name` as the model's library spells it; `None` if it lies outside of the model.
    pub fn unwrap(&self, name: &str) -> Option<String> {
        clean(name).strip_prefix(&self.prefix).map(str::to_owned)
    }
}

/// What of `before` isn't the library's own.
fn own(naming: Naming, before: &str) -> &str {
    let parts: &[&str] = match naming {
        Naming::HuggingFace => &["esm."],
        Naming::FairEsm => &["sentence_encoder.", "encoder."],
        Naming::HuggingFaceFold | Naming::FairEsmFold => &[],
    };
    parts.iter().fold(before, |before, part| {
        before.strip_suffix(part).filter(|rest| rest.is_empty() || rest.ends_with('.')).unwrap_or(before)
    })
}

/// Folding models have the same names but in the language model.
fn naming_of<'a>(naming: Naming, mut names: impl Iterator<Item = &'a str>) -> Naming {
    match naming {
        Naming::HuggingFaceFold if !names.any(|name| name.ends_with("embeddings.word_embeddings.weight")) => {
            Naming::FairEsmFold
        }
        _ => naming,
    }
}

/// What was stripped from names, for people: the beginning of `original`, or parts in the middle of it, that
/// `stripped` lacks.
pub fn difference(original: &str, stripped: &str) -> String {
    match original.strip_suffix(stripped) {
        Some(beginning) => beginning.to_owned(),
        None => {
            let kept = stripped.split('.').next().unwrap_or_default();
            let beginning = original.split('.').take_while(|part| *part != kept);
            let inside = original.split('.').skip(beginning.clone().count()).filter(|part| is_wrapper(part));
            let mut parts: Vec<&str> = beginning.chain(inside).collect();
            parts.dedup();
            format!("{}.", parts.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Parts, pattern};

    const HUGGING_FACE: [&str; 3] = [
        "esm.embeddings.word_embeddings.weight",
        "esm.encoder.layer.0.attention.self.query.weight",
        "lm_head.bias",
    ];
    const FAIR: [&str; 3] = [
        "encoder.sentence_encoder.embed_tokens.weight",
        "encoder.sentence_encoder.layers.0.self_attn.q_proj.weight",
        "encoder.lm_head.bias",
    ];

    fn wrapping(names: &[String]) -> Result<Option<Wrapping>, Vec<String>> {
        Wrapping::of(names.iter().map(String::as_str))
    }

    #[test]
    fn every_model_of_the_table_has_its_anchors() {
        for (naming, anchors) in ANCHORS {
            let parts = Parts { fold: naming == Naming::HuggingFaceFold, ..Parts::default() };
            for anchor in anchors {
                let sources = parts.rows().into_iter().flat_map(|row| row.sources);
                let mut tensors = sources.flat_map(|source| {
                    let name = if naming == Naming::FairEsm { source.fair_esm } else { source.name };
                    let name = pattern::fill(name, 0);
                    source.tensors().into_iter().map(move |(part, _)| format!("{name}{part}"))
                });
                assert!(tensors.any(|tensor| tensor == anchor), "{anchor}");
            }
        }
    }

    #[test]
    fn wrappers_in_any_order_are_seen() {
        let cases = [
            ("", ""),
            ("model.", "model."),
            ("module.", ""),
            ("_orig_mod.module.", ""),
            ("module._orig_mod.model.", "model."),
            ("net.", "net."),
            ("model.backbone.module.", "model.backbone."),
            ("esm.", "esm."),
            ("encoder.", "encoder."),
        ];
        for (wrapper, prefix) in cases {
            let names: Vec<String> = HUGGING_FACE.iter().map(|name| format!("{wrapper}{name}")).collect();
            let found = wrapping(&names).unwrap().unwrap();
            assert_eq!(found, Wrapping { naming: Naming::HuggingFace, prefix: prefix.into() }, "{wrapper}");
            for (name, expected) in names.iter().zip(HUGGING_FACE) {
                assert_eq!(found.unwrap(name).as_deref(), Some(expected));
                assert_eq!(difference(name, expected), wrapper);
            }
        }
        for wrapper in ["", "module.", "model.", "student.model."] {
            let names: Vec<String> = FAIR.iter().map(|name| format!("{wrapper}{name}")).collect();
            let found = wrapping(&names).unwrap().unwrap();
            assert_eq!(found.naming, Naming::FairEsm);
            assert_eq!(found.unwrap(&names[2]).unwrap().trim_start_matches("encoder."), "lm_head.bias");
        }
    }

    #[test]
    fn wrappers_in_the_middle_are_seen() {
        let names =
            ["esm._orig_mod.encoder.layer.0._checkpoint_wrapped_module.attention.self.query.weight"
                .to_owned()];
        let found = wrapping(&names).unwrap().unwrap();
        let stripped = found.unwrap(&names[0]).unwrap();
        assert_eq!(stripped, HUGGING_FACE[1]);
        assert_eq!(difference(&names[0], &stripped), "_orig_mod._checkpoint_wrapped_module.");
    }

    #[test]
    fn several_models_are_named_and_none_is_none() {
        let two: Vec<String> = ["student.", "teacher."]
            .iter()
            .flat_map(|w| HUGGING_FACE.map(|name| format!("{w}{name}")))
            .collect();
        assert_eq!(wrapping(&two).unwrap_err(), ["student.", "teacher."]);
        // Half a copy is no second model.
        let half: Vec<String> = [&two[..3], &two[3..4]].concat();
        assert_eq!(wrapping(&half).unwrap().unwrap().prefix, "student.");
        assert_eq!(wrapping(&["vit.embeddings.weight".to_owned()]), Ok(None));
    }

    #[test]
    fn folding_models_are_told_apart_by_their_language_model() {
        let fold = ["model.esm_s_combine", "model.trunk.recycle_s_norm.weight"].map(str::to_owned);
        let hf = [&fold[..], &["model.esm.embeddings.word_embeddings.weight".to_owned()]].concat();
        let naming = |names: &[String]| wrapping(names).unwrap().unwrap();
        assert_eq!(naming(&hf), Wrapping { naming: Naming::HuggingFaceFold, prefix: "model.".into() });
        assert_eq!(naming(&fold).naming, Naming::FairEsmFold);
    }
}
