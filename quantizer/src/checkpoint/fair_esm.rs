//! The configuration of a fair-esm checkpoint, which says little about itself: most of it follows from tensor shapes.

use super::archive::Archive;
use super::names::without_fair_esm_prefix;
use super::pickled;
use super::torch::TorchArchive;
use super::{CheckpointError, Config};

use candle_core::pickle::Object;

/// fair-esm's LayerNorm leaves PyTorch's default.
const LAYER_NORM_EPS: f64 = 1e-5;
/// ESM-2 was trained on crops of 1024 residues, plus `<cls>` and `<eos>`.
const MAX_POSITIONS: usize = 1026;

/// Derives the configuration of the model in `archive`; `regression_width` is the number of attention maps that a
/// contact head reads, if there is one.
pub(super) fn config(
    archive: &TorchArchive,
    regression_width: Option<usize>,
) -> Result<Config, CheckpointError> {
    let path = archive.path();
    let shape = |name: &str| {
        let found = archive.entries().iter().find(|(n, _)| without_fair_esm_prefix(n) == name);
        found.map(|(_, entry)| entry.shape.as_slice())
    };
    let matrix = |name: &str| match shape(name) {
        Some(&[rows, columns]) => Ok((rows, columns)),
        Some(found) => Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!("{name} has shape {found:?}, expected a matrix"),
        }),
        None => Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!("it has no tensor {name}, which every fair-esm checkpoint has"),
        }),
    };
    let unsupported = |key, found: &str, expected: &str| CheckpointError::UnsupportedConfig {
        path: path.into(),
        key,
        found: found.into(),
        expected: expected.into(),
    };
    let (vocab, width) = matrix("embed_tokens.weight")?;
    let (ffn, _) = matrix("layers.0.fc1.weight")?;
    if shape("embed_positions.weight").is_some() {
        return Err(unsupported("position_embedding_type", "learned (ESM-1)", "rotary"));
    }
    if shape("emb_layer_norm_before.weight").is_some() {
        return Err(unsupported("emb_layer_norm_before", "true (ESM-1)", "false"));
    }
    let layers = archive
        .entries()
        .keys()
        .filter_map(|name| {
            without_fair_esm_prefix(name).strip_prefix("layers.")?.split('.').next()?.parse::<usize>().ok()
        })
        .max()
        .map_or(0, |last| last.saturating_add(1))
        .min(archive.entries().len());

    let sources = HeadSources {
        rotary_pairs: match shape("layers.0.self_attn.rot_emb.inv_freq") {
            Some(&[pairs]) => Some(pairs),
            _ => None,
        },
        saved: archive.setting("encoder_attention_heads").and_then(pickled::size),
        regression_width,
    };
    let heads = sources.heads(width, layers);
    let heads = heads.ok_or_else(|| CheckpointError::MissingConfig {
        path: path.into(),
        key: "encoder_attention_heads",
    })?;
    let token_dropout = !matches!(archive.setting("token_dropout"), Some(Object::Bool(false)));
    Config {
        vocab,
        layers,
        width,
        heads,
        ffn,
        layer_norm_eps: LAYER_NORM_EPS,
        token_dropout,
        max_positions: MAX_POSITIONS,
    }
    .validate(path)
}

/// Where the number of heads may be found.
#[derive(Clone, Copy, Default)]
struct HeadSources {
    /// Frequencies of the rotary embedding: half a head's width.
    rotary_pairs: Option<usize>,
    /// What the training arguments say.
    saved: Option<usize>,
    /// Attention maps that the contact head reads, from all layers.
    regression_width: Option<usize>,
}

impl HeadSources {
    fn heads(self, width: usize, layers: usize) -> Option<usize> {
        let from_rotary = self.rotary_pairs.filter(|&pairs| pairs > 0).map(|pairs| width / (2 * pairs));
        let from_regression = self.regression_width.and_then(|maps| maps.checked_div(layers));
        from_rotary.or(self.saved).or(from_regression)
    }
}

#[cfg(test)]
mod tests {
    use super::HeadSources;

    #[test]
    fn any_source_gives_the_heads_of_esm2_8m() {
        let none = HeadSources::default();
        let (width, layers) = (320, 6);
        assert_eq!(HeadSources { rotary_pairs: Some(8), ..none }.heads(width, layers), Some(20));
        assert_eq!(HeadSources { saved: Some(20), ..none }.heads(width, layers), Some(20));
        assert_eq!(HeadSources { regression_width: Some(120), ..none }.heads(width, layers), Some(20));
        assert_eq!(none.heads(width, layers), None);
        assert_eq!(HeadSources { rotary_pairs: Some(0), ..none }.heads(width, layers), None);
    }
}
