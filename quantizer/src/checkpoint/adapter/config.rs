//! `adapter_config.json`, as PEFT writes it.

use std::fmt;
use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::{CheckpointError, json};

/// The file's name.
pub const FILE: &str = "adapter_config.json";

/// What an adapter says about itself, as far as merging needs it.
#[derive(Debug)]
pub struct AdapterConfig {
    /// The file, for errors.
    path: PathBuf,
    /// The checkpoint that it was trained on, as its author named it.
    pub base: Option<String>,
    /// Modules that were trained and saved whole.
    pub modules_to_save: Vec<String>,
    rank: usize,
    alpha: f64,
    /// Whether products are scaled by alpha / sqrt(rank) instead of alpha / rank.
    rank_stabilized: bool,
    rank_pattern: Patterns<usize>,
    alpha_pattern: Patterns<f64>,
}

#[derive(Deserialize)]
struct Json {
    peft_type: Option<String>,
    base_model_name_or_path: Option<String>,
    revision: Option<String>,
    modules_to_save: Option<Vec<String>>,
    r: Option<usize>,
    lora_alpha: Option<f64>,
    use_rslora: Option<bool>,
    rank_pattern: Option<Pairs<usize>>,
    alpha_pattern: Option<Pairs<f64>>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Choices for LoRA that give another model than the weights plus a product, and what they are called.
const OTHER_KINDS: [(&str, &str); 11] = [
    ("use_dora", "DoRA"),
    ("use_qalora", "QALoRA"),
    ("use_bdlora", "block-diagonal LoRA"),
    ("alora_invocation_tokens", "activated LoRA"),
    ("arrow_config", "Arrow"),
    ("kasa_config", "KaSA"),
    ("monteclora_config", "MonteCLoRA"),
    ("layer_replication", "replicated layers"),
    ("trainable_token_indices", "trainable tokens"),
    ("target_parameters", "LoRA on parameters"),
    ("megatron_config", "LoRA of Megatron"),
];

/// Initialisations that take the adapter's first values out of the base weights: it belongs to what is left
/// of them.
const OTHER_STARTS: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

const MERGE_FIRST: &str = "merge it with PEFT (`model.merge_and_unload().save_pretrained(DIR)`) and give DIR";

impl AdapterConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It can't be read, or describes another kind of adapter than LoRA on Linears and embeddings.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let json: Json = json::read(path)?;
        Self::require(json, path)
    }

    fn require(json: Json, path: &Path) -> Result<Self, CheckpointError> {
        let adapter = |reason: String| CheckpointError::Adapter { path: path.into(), reason };
        let other = |kind: &str| adapter(format!("this is {kind}; only LoRA is merged here: {MERGE_FIRST}"));
        match json.peft_type.as_deref() {
            Some("LORA") => {}
            Some(kind) => return Err(other(&format!("an adapter of type {kind}"))),
            None => {
                return Err(adapter(
                    "it has no `peft_type`: not an adapter of PEFT (perhaps one of the library `adapters`, whose layers \
                     can't be merged)"
                        .into(),
                ));
            }
        }
        let is_set = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        for (key, kind) in OTHER_KINDS {
            if json.rest.get(key).is_some_and(is_set) {
                return Err(other(&format!("{kind} (`{key}`)")));
            }
        }
        if let Some(start) = json.rest.get("init_lora_weights").and_then(Value::as_str)
            && OTHER_STARTS.iter().any(|other| start.to_lowercase().starts_with(other))
        {
            return Err(other(&format!(
                "LoRA that was initialised from the base weights (`init_lora_weights` is {start}), which changed them"
            )));
        }
        let required = |key| CheckpointError::MissingConfig { path: path.into(), key };
        let rank = json.r.filter(|rank| *rank > 0).ok_or_else(|| required("r"))?;
        let alpha =
            json.lora_alpha.filter(|alpha| alpha.is_finite()).ok_or_else(|| required("lora_alpha"))?;
        let compile = |pattern: &str| {
            // As PEFT does: the pattern is all of the module's name, or its end after a dot.
            Regex::new(&format!(r"^(?:(?:.*\.)?(?:{pattern}))$"))
                .map_err(|e| adapter(format!("pattern `{pattern}` is no regular expression: {e}")))
        };
        Ok(Self {
            path: path.into(),
            base: json.base_model_name_or_path.filter(|base| !base.is_empty()).map(|base| {
                match json.revision.filter(|revision| !revision.is_empty()) {
                    Some(revision) => format!("{base}@{revision}"),
                    None => base,
                }
            }),
            modules_to_save: json.modules_to_save.unwrap_or_default(),
            rank,
            alpha,
            rank_stabilized: json.use_rslora.unwrap_or(false),
            rank_pattern: Patterns::new(json.rank_pattern, compile)?,
            alpha_pattern: Patterns::new(json.alpha_pattern, compile)?,
        })
    }

    /// The rank that `module`'s factors must have.
    ///
    /// # Errors
    /// A pattern that takes too long to match.
    pub fn rank(&self, module: &str) -> Result<usize, CheckpointError> {
        Ok(self.rank_pattern.get(module, &self.path)?.unwrap_or(self.rank))
    }

    /// What the product of `module`'s factors is multiplied by.
    ///
    /// # Errors
    /// As [`rank`](Self::rank).
    pub fn scale(&self, module: &str) -> Result<f64, CheckpointError> {
        let rank = self.rank(module)? as f64;
        let alpha = self.alpha_pattern.get(module, &self.path)?.unwrap_or(self.alpha);
        Ok(alpha / if self.rank_stabilized { rank.sqrt() } else { rank })
    }
}

/// Values for the modules whose names match a pattern; the first that matches decides.
#[derive(Debug)]
struct Patterns<T>(Vec<(Regex, T)>);

impl<T: Copy> Patterns<T> {
    fn new(
        pairs: Option<Pairs<T>>,
        compile: impl Fn(&str) -> Result<Regex, CheckpointError>,
    ) -> Result<Self, CheckpointError> {
        let pairs = pairs.map(|pairs| pairs.0).unwrap_or_default();
        let compiled = pairs.into_iter().map(|(pattern, value)| Ok((compile(&pattern)?, value)));
        compiled.collect::<Result<_, CheckpointError>>().map(Self)
    }

    fn get(&self, module: &str, path: &Path) -> Result<Option<T>, CheckpointError> {
        for (pattern, value) in &self.0 {
            let matches = pattern.is_match(module).map_err(|e| CheckpointError::Adapter {
                path: path.into(),
                reason: format!("pattern `{pattern}`: {e}"),
            })?;
            if matches {
                return Ok(Some(*value));
            }
        }
        Ok(None)
    }
}

/// The fields of an object in the order in which the file has them.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AdapterConfig, CheckpointError> {
        AdapterConfig::require(serde_json::from_str(text).unwrap(), Path::new(FILE))
    }

    #[test]
    fn ranks_and_alphas_follow_the_first_pattern_that_matches() {
        let text = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8,
            "rank_pattern": {"value": 2, "layer.1.attention.self.value": 9},
            "alpha_pattern": {"^esm.*query": 2, "(?!.*query).*layer.1.*": 12}}"#;
        let config = read(text).unwrap();
        let module = |layer: usize, name: &str| format!("esm.encoder.layer.{layer}.attention.self.{name}");
        assert_eq!(config.rank(&module(1, "value")).unwrap(), 2);
        assert_eq!(config.rank(&module(1, "key")).unwrap(), 4);
        assert_eq!(config.rank("esm.my_value").unwrap(), 4, "a name is matched as a whole");
        assert_eq!(config.scale(&module(1, "value")).unwrap(), 6.0);
        assert_eq!(config.scale(&module(0, "value")).unwrap(), 4.0);
        assert_eq!(config.scale(&module(1, "query")).unwrap(), 0.5);
        let stable = text.replace("\"r\"", "\"use_rslora\": true, \"r\"");
        assert_eq!(read(&stable).unwrap().scale(&module(0, "key")).unwrap(), 4.0);
    }

    #[test]
    fn adapters_of_other_kinds_are_refused_by_name() {
        let cases = [
            (r#"{"peft_type": "IA3"}"#, "an adapter of type IA3"),
            (r#"{"peft_type": "LOHA", "r": 8}"#, "LOHA"),
            (r#"{"peft_type": "PREFIX_TUNING"}"#, "PREFIX_TUNING"),
            (r#"{"peft_type": "ADALORA", "r": 8}"#, "ADALORA"),
            (r#"{"config": {"reduction_factor": 16}}"#, "no `peft_type`"),
            (r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "use_dora": true}"#, "DoRA (`use_dora`)"),
            (
                r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "layer_replication": [[0, 4]]}"#,
                "replicated layers",
            ),
            (
                r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "init_lora_weights": "pissa_niter_4"}"#,
                "pissa_niter_4",
            ),
            (r#"{"peft_type": "LORA", "lora_alpha": 8}"#, "no value for `r`"),
            (r#"{"peft_type": "LORA", "r": 8}"#, "no value for `lora_alpha`"),
            (
                r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "rank_pattern": {"(": 4}}"#,
                "no regular expression",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let plain = r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "use_dora": false, "target_parameters": null,
            "init_lora_weights": "gaussian", "loftq_config": {}, "layer_replication": null}"#;
        assert_eq!(read(plain).unwrap().base, None);
    }
}
