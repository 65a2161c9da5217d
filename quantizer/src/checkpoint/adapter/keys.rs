//! The names that PEFT gives an adapter's tensors.

use std::collections::{BTreeMap, BTreeSet};

/// An adapter's tensors, each by its name in the file. Modules go by their names in the model that was
/// trained.
#[derive(Debug, Default)]
pub struct Keys {
    /// Factors of Linears and embeddings by module.
    pub pairs: BTreeMap<String, Factors>,
    /// Whole tensors that were trained beside: biases and `modules_to_save`, by the names that they may have
    /// in the model.
    pub whole: Vec<(String, Vec<String>)>,
    /// Names of adapters; PEFT leaves them out of the files that it saves itself.
    pub adapters: BTreeSet<String>,
    /// Tensors of a kind that is not understood.
    pub unknown: Vec<String>,
}

/// The factors of one module.
#[derive(Debug, Default)]
pub struct Factors {
    pub a: Option<String>,
    pub b: Option<String>,
    pub bias: Option<String>,
    /// Whether they are those of an embedding.
    pub embedding: bool,
}

impl Keys {
    /// Sorts the tensors called `names`.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut keys = Self::default();
        names.for_each(|name| keys.add(name));
        keys
    }

    fn add(&mut self, name: &str) {
        let mut inner = name;
        while let Some(rest) = inner.strip_prefix("base_model.model.") {
            inner = rest;
        }
        let parts: Vec<&str> =
            inner.split('.').filter(|part| !super::super::unwrap::is_wrapper(part)).collect();
        let Some(at) = parts.iter().position(|part| part.starts_with("lora_")) else {
            return self.add_whole(name, &parts);
        };
        let (module, rest) = (parts[..at].join("."), &parts[at + 1..]);
        let embedding = parts[at].starts_with("lora_embedding_");
        // The adapter's name, if there is one, and the parameter, which an embedding's factors don't name.
        let (adapter, parameter) = match *rest {
            [] if embedding => (None, "weight"),
            [adapter] if embedding => (Some(adapter), "weight"),
            [parameter] => (None, parameter),
            [adapter, parameter] => (Some(adapter), parameter),
            _ => return self.unknown.push(name.into()),
        };
        let factors = self.pairs.entry(module).or_default();
        let slot = match (parts[at], parameter) {
            ("lora_A" | "lora_embedding_A", "weight") => &mut factors.a,
            ("lora_B" | "lora_embedding_B", "weight") => &mut factors.b,
            ("lora_B", "bias") => &mut factors.bias,
            _ => return self.unknown.push(name.into()),
        };
        factors.embedding |= embedding;
        if slot.replace(name.into()).is_some() {
            self.unknown.push(name.into());
        }
        self.adapters.extend(adapter.map(str::to_owned));
    }

    fn add_whole(&mut self, name: &str, parts: &[&str]) {
        // What a module was before it was trained.
        if parts.contains(&"original_module") {
            return;
        }
        let parts: Vec<&str> = parts.iter().copied().filter(|part| *part != "base_layer").collect();
        let candidates = match parts.iter().position(|part| *part == "modules_to_save") {
            // What follows is the adapter's name or the parameter.
            Some(at) => (1..=2)
                .filter(|skipped| at + skipped < parts.len())
                .map(|skipped| [&parts[..at], &parts[at + skipped..]].concat().join("."))
                .collect(),
            None => vec![parts.join(".")],
        };
        self.whole.push((name.into(), candidates));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_the_adapters_name_are_the_same() {
        let query = "esm.encoder.layer.0.attention.self.query";
        for middle in ["", "default.", "mine."] {
            let names = [
                format!("base_model.model.{query}.lora_A.{middle}weight"),
                format!("base_model.model.module.{query}.lora_B.{middle}weight"),
                format!("base_model.model.{query}.lora_B.{middle}bias"),
            ];
            let keys = Keys::new(names.iter().map(String::as_str));
            let factors = &keys.pairs[query];
            assert_eq!(
                [&factors.a, &factors.b, &factors.bias],
                [&Some(names[0].clone()), &Some(names[1].clone()), &Some(names[2].clone())]
            );
            assert!(keys.unknown.is_empty() && keys.whole.is_empty() && !factors.embedding);
            assert_eq!(keys.adapters.len(), usize::from(!middle.is_empty()));
        }
        let embedding = ["e.lora_embedding_A", "e.lora_embedding_B.mine"];
        assert!(Keys::new(embedding.into_iter()).pairs["e"].embedding);
    }

    #[test]
    fn whole_tensors_lose_what_peft_put_into_their_names() {
        let names = [
            "base_model.model.lm_head.modules_to_save.mine.dense.bias",
            "base_model.model.lm_head.original_module.dense.bias",
            "base_model.model.esm.encoder.layer.0.attention.self.query.base_layer.bias",
        ];
        let keys = Keys::new(names.into_iter());
        let candidates: Vec<&[String]> = keys.whole.iter().map(|(_, names)| names.as_slice()).collect();
        assert_eq!(
            candidates,
            [
                vec!["lm_head.mine.dense.bias".to_owned(), "lm_head.dense.bias".to_owned()],
                vec!["esm.encoder.layer.0.attention.self.query.bias".to_owned()]
            ]
        );
    }

    #[test]
    fn what_is_no_factor_is_unknown() {
        for name in ["q.lora_magnitude_vector.default.weight", "q.lora_E.default", "q.lora_A.a.b.weight"] {
            assert_eq!(Keys::new([name].into_iter()).unknown, [name]);
        }
        let two = ["q.lora_A.one.weight", "q.lora_A.two.weight"];
        let keys = Keys::new(two.into_iter());
        assert_eq!((keys.unknown.len(), keys.adapters.len()), (1, 2));
    }
}
