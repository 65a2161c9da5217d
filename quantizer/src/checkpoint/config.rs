//! The shape of an ESM-2 model.

use std::path::Path;

use serde::Deserialize;

use super::{CheckpointError, foreign, json, rotary};

/// Rows of ESM-2's embedding: its alphabet of 33 tokens.
pub const VOCAB: usize = 33;

/// The alphabet of ESM-2, token by token.
pub(super) const VOCAB_LIST: [&str; VOCAB] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
];

/// Above any real model, and low enough that products of two sizes can't overflow.
const LARGEST_SIZE: usize = 1 << 20;

/// The dimensions of an ESM-2 model and the choices that its layers depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens in the alphabet: 33.
    pub vocab: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Channels of the residual stream; a multiple of `heads`.
    pub width: usize,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Channels inside a layer's feed-forward network.
    pub ffn: usize,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f64,
    /// Whether embeddings are rescaled by 0.88 / (1 - share of masked tokens), and those of `<mask>` are
    /// zero.
    pub token_dropout: bool,
    /// Longest token sequence seen in training, with `<cls>` and `<eos>`. Rotary positions set no limit of
    /// their own.
    pub max_positions: usize,
    /// Whether the decoder of the language-model head is the embedding if the weights hold no other.
    pub tied_decoder: bool,
}

impl Config {
    /// Channels of one attention head; even.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Reads HuggingFace's `config.json` at `path`. Keys that may be absent take the defaults of `EsmConfig`.
    pub(crate) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let json: HuggingFaceConfig = json::read(path)?;
        json.require(path)
    }

    /// Checks what no checkpoint may get wrong, whatever its format.
    pub(super) fn validate(self, path: &Path) -> Result<Self, CheckpointError> {
        let unsupported = |key, found: String, expected: &str| {
            Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key,
                found,
                expected: expected.into(),
            })
        };
        if self.vocab != VOCAB {
            return unsupported("vocab_size", self.vocab.to_string(), "33, the tokens of the ESM-2 alphabet");
        }
        let sizes = [
            ("num_hidden_layers", self.layers),
            ("hidden_size", self.width),
            ("num_attention_heads", self.heads),
            ("intermediate_size", self.ffn),
            ("max_position_embeddings", self.max_positions),
        ];
        for (key, value) in sizes {
            if !(1..=LARGEST_SIZE).contains(&value) {
                return unsupported(key, value.to_string(), "1 to 1048576");
            }
        }
        if !self.width.is_multiple_of(2 * self.heads) {
            let found = format!("{} with {} attention heads", self.width, self.heads);
            return unsupported("hidden_size", found, "heads of an even width");
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps.is_finite()) {
            return unsupported("layer_norm_eps", self.layer_norm_eps.to_string(), "a small positive number");
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct HuggingFaceConfig {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    hidden_size: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    position_embedding_type: Option<String>,
    emb_layer_norm_before: Option<bool>,
    hidden_act: Option<String>,
    token_dropout: Option<bool>,
    mask_token_id: Option<usize>,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
    is_folding_model: Option<bool>,
    is_decoder: Option<bool>,
    add_cross_attention: Option<bool>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<serde_json::Value>,
    partial_rotary_factor: Option<f64>,
    quantization_config: Option<QuantizationConfig>,
    vocab_list: Option<Vec<String>>,
    architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

#[derive(Deserialize)]
struct QuantizationConfig {
    quant_method: Option<String>,
}

impl HuggingFaceConfig {
    fn require(self, path: &Path) -> Result<Config, CheckpointError> {
        let exactly = |key, value: Option<String>, default: &str, expected: &str| {
            let found = value.unwrap_or_else(|| default.into());
            if found == expected {
                return Ok(());
            }
            Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key,
                found,
                expected: expected.into(),
            })
        };
        if let Some(other) = self.model_type.as_deref().filter(|found| *found != "esm") {
            return Err(CheckpointError::OtherModel {
                path: path.into(),
                model_type: other.into(),
                what: foreign::model_type(other),
            });
        }
        exactly("model_type", self.model_type, "absent", "esm")?;
        if let Some(quantization) = self.quantization_config {
            return Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key: "quantization_config",
                found: quantization.quant_method.unwrap_or_else(|| "set".into()),
                expected: "weights that aren't quantized yet (f16, bf16, f32 or f64)".into(),
            });
        }
        if self.position_embedding_type.as_deref() == Some("absolute") {
            return Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key: "position_embedding_type",
                found: "absolute".into(),
                expected: "rotary: this is ESM-1b or ESM-1v, which learned their positions, and not ESM-2"
                    .into(),
            });
        }
        exactly("position_embedding_type", self.position_embedding_type, "absolute", "rotary")?;
        exactly("hidden_act", self.hidden_act, "gelu", "gelu")?;
        exactly(
            "emb_layer_norm_before",
            self.emb_layer_norm_before.map(|b| b.to_string()),
            "false",
            "false",
        )?;
        // Causal or crossed attention is another model.
        for (key, flag) in
            [("is_decoder", self.is_decoder), ("add_cross_attention", self.add_cross_attention)]
        {
            exactly(key, flag.map(|b| b.to_string()), "false", "false")?;
        }
        let theta = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta).or(self.rope_theta);
        exactly("rope_theta", theta.map(|theta| theta.to_string()), "10000", &rotary::BASE.to_string())?;
        let of_rope = self.rope_parameters.as_ref().and_then(|rope| rope.partial_rotary_factor);
        let factor = of_rope.or(self.partial_rotary_factor);
        exactly("partial_rotary_factor", factor.map(|factor| factor.to_string()), "1", "1")?;
        let kind = self.rope_parameters.and_then(|rope| rope.rope_type);
        exactly("rope_parameters.rope_type", kind, "default", "default")?;
        let scaling = self.rope_scaling.filter(|scaling| !scaling.is_null());
        exactly("rope_scaling", scaling.map(|scaling| scaling.to_string()), "absent", "absent")?;
        if self.vocab_list.is_some_and(|list| list != VOCAB_LIST) {
            return Err(CheckpointError::UnsupportedConfig {
                path: path.into(),
                key: "vocab_list",
                found: "another list".into(),
                expected: "the alphabet of ESM-2".into(),
            });
        }
        let folds = |names: &Vec<String>| names.iter().any(|name| name == "EsmForProteinFolding");
        if self.is_folding_model != Some(true) && self.architectures.as_ref().is_some_and(folds) {
            let found = self.is_folding_model.map(|b| b.to_string());
            exactly("is_folding_model", found, "absent", "true")?;
        }
        exactly("mask_token_id", self.mask_token_id.map(|id| id.to_string()), "absent", "32")?;
        let size = |key, value: Option<usize>| {
            value.ok_or_else(|| CheckpointError::MissingConfig { path: path.into(), key })
        };
        Config {
            vocab: size("vocab_size", self.vocab_size)?,
            layers: size("num_hidden_layers", self.num_hidden_layers)?,
            width: size("hidden_size", self.hidden_size)?,
            heads: size("num_attention_heads", self.num_attention_heads)?,
            ffn: size("intermediate_size", self.intermediate_size)?,
            layer_norm_eps: self.layer_norm_eps.unwrap_or(1e-12),
            token_dropout: self.token_dropout.unwrap_or(false),
            max_positions: self.max_position_embeddings.unwrap_or(1026),
            tied_decoder: self.tie_word_embeddings.unwrap_or(true),
        }
        .validate(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        change: impl Fn(&mut serde_json::Map<String, serde_json::Value>),
    ) -> Result<Config, CheckpointError> {
        let mut json = serde_json::json!({
            "model_type": "esm", "vocab_size": 33, "num_hidden_layers": 6, "hidden_size": 320,
            "num_attention_heads": 20, "intermediate_size": 1280, "layer_norm_eps": 1e-5,
            "position_embedding_type": "rotary", "token_dropout": true, "mask_token_id": 32,
            "max_position_embeddings": 1026, "emb_layer_norm_before": false, "hidden_act": "gelu"
        });
        change(json.as_object_mut().unwrap());
        serde_json::from_value::<HuggingFaceConfig>(json).unwrap().require(Path::new("config.json"))
    }

    #[test]
    fn esm2_8m_is_read() {
        let config = read(|_| ()).unwrap();
        assert_eq!((config.layers, config.width, config.heads, config.head_width()), (6, 320, 20, 16));
        assert!(config.token_dropout);
    }

    #[test]
    fn other_models_are_refused_by_the_key_that_differs() {
        let cases = [
            ("position_embedding_type", "absolute".into()),
            ("emb_layer_norm_before", true.into()),
            ("hidden_act", "relu".into()),
            ("vocab_size", 30.into()),
            ("mask_token_id", 4.into()),
            ("num_attention_heads", 3.into()),
            ("num_hidden_layers", 0.into()),
            ("layer_norm_eps", serde_json::json!(-1.0)),
            ("is_decoder", true.into()),
            ("add_cross_attention", true.into()),
            ("rope_theta", serde_json::json!(500000.0)),
            ("partial_rotary_factor", serde_json::json!(0.5)),
            ("rope_scaling", serde_json::json!({ "type": "linear", "factor": 2.0 })),
            (
                "quantization_config",
                serde_json::json!({ "quant_method": "bitsandbytes", "load_in_8bit": true }),
            ),
            ("vocab_list", serde_json::json!(["<cls>", "A"])),
            ("architectures", serde_json::json!(["EsmForProteinFolding"])),
        ];
        for (changed, value) in cases {
            let error = read(|json| {
                json.insert(changed.into(), value.clone());
            });
            let Err(CheckpointError::UnsupportedConfig { key, .. }) = error else {
                panic!("{changed}: {error:?}")
            };
            let expected = match changed {
                "num_attention_heads" => "hidden_size",
                "architectures" => "is_folding_model",
                _ => changed,
            };
            assert_eq!(key, expected);
        }
        let other = read(|json| drop(json.insert("model_type".into(), "nv_esm".into())));
        let message = other.unwrap_err().to_string();
        assert!(message.contains("`model_type` is nv_esm: this is NVIDIA's port"), "{message}");
    }

    #[test]
    fn absent_keys_are_defaults_or_errors() {
        let without = |key: &'static str| read(move |json| drop(json.remove(key)));
        assert!(matches!(
            without("hidden_size"),
            Err(CheckpointError::MissingConfig { key: "hidden_size", .. })
        ));
        let absolute_is_the_default = without("position_embedding_type");
        assert!(matches!(absolute_is_the_default, Err(CheckpointError::UnsupportedConfig { .. })));
        assert_eq!(without("hidden_act").unwrap(), read(|_| ()).unwrap());
        assert_eq!(without("layer_norm_eps").unwrap().layer_norm_eps, 1e-12);
        assert!(without("token_dropout").unwrap().tied_decoder);
    }
}
