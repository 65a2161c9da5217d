//! The configuration of a language model whose checkpoint has no `config.json`: most of it follows from
//! tensor shapes.

use std::path::Path;

use super::names::{self, EMBEDDING, Naming};
use super::open::Tensors;
use super::{CheckpointError, Config, Element, Remark};

/// fair-esm's LayerNorm leaves PyTorch's default.
const LAYER_NORM_EPS: f64 = 1e-5;
/// ESM-2 was trained on crops of 1024 residues, plus `<cls>` and `<eos>`.
const MAX_POSITIONS: usize = 1026;

/// What training arguments call the number of attention heads.
const HEADS: [&str; 3] = ["encoder_attention_heads", "num_attention_heads", "attention_heads"];

/// Derives the configuration of the model with `tensors`, which were read from `path`, and what to say about
/// it.
pub(super) fn config(
    path: &Path,
    naming: Naming,
    tensors: &Tensors,
) -> Result<(Config, Vec<Remark>), CheckpointError> {
    let own_name = |name: &str| names::spelled(naming, name);
    let element = |name: &str| Some(tensors.entry_at(&tensors.by_name.get(name)?.location)?.element);
    let matrix = |name: &str| match tensors.shape(name) {
        Some(_) if element(name) == Some(Element::Other) => Err(CheckpointError::NotFloat {
            path: path.into(),
            tensor: own_name(name),
            found: Element::Other,
        }),
        Some(&[rows, columns]) => Ok((rows, columns)),
        Some(found) => Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!("{} has shape {found:?}, expected a matrix", own_name(name)),
        }),
        None => Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!("it has no tensor {}, which every checkpoint of ESM-2 has", own_name(name)),
        }),
    };
    let unsupported = |key, found: &str, expected: &str| CheckpointError::UnsupportedConfig {
        path: path.into(),
        key,
        found: found.into(),
        expected: expected.into(),
    };
    let (vocab, width) = matrix(EMBEDDING)?;
    let (ffn, _) = matrix("encoder.layer.0.intermediate.dense.weight")?;
    let has = |ending: &str| tensors.others.iter().any(|name| name.ends_with(ending));
    let rotary = !tensors.rotary.is_empty();
    if has("embed_positions.weight") || !rotary && has("embeddings.position_embeddings.weight") {
        return Err(unsupported("position_embedding_type", "learned (ESM-1b, ESM-1v)", "rotary (ESM-2)"));
    }
    if has("emb_layer_norm_before.weight") || has("embeddings.layer_norm.weight") {
        return Err(unsupported("emb_layer_norm_before", "true (ESM-1b, ESM-1v)", "false (ESM-2)"));
    }
    let indices = tensors
        .by_name
        .keys()
        .filter_map(|name| name.strip_prefix("encoder.layer.")?.split('.').next()?.parse::<usize>().ok());
    let layers = indices.max().map_or(0, |last| last.saturating_add(1)).min(tensors.by_name.len());

    // Only fair-esm keeps the model's own settings in the file; what other trainers save may be those of
    // anything.
    let is_fair = matches!(naming, Naming::FairEsm | Naming::FairEsmFold);
    let archives = || tensors.archives.iter().filter(|_| is_fair);
    let saved =
        HEADS.iter().find_map(|&key| Some((key, archives().find_map(|archive| archive.size_setting(key))?)));
    let sources = HeadSources {
        rotary_pairs: tensors.rotary.first().and_then(|table| match tensors.entry_at(table)?.shape[..] {
            [pairs] => Some(pairs),
            _ => None,
        }),
        saved: saved.map(|(_, heads)| heads),
        regression_width: match tensors.shape("contact_head.regression.weight") {
            Some(&[_, maps]) => Some(maps),
            _ => None,
        },
    };
    let heads = sources.heads(width, layers);
    let heads = heads
        .ok_or_else(|| CheckpointError::MissingConfig { path: path.into(), key: "num_attention_heads" })?;
    let token_dropout = archives().find_map(|archive| archive.flag_setting("token_dropout")).unwrap_or(true);
    let mut remarks = Vec::new();
    if let (None, Some((key, heads))) = (sources.rotary_pairs, saved) {
        remarks.push(Remark::note(format!(
            "{heads} attention heads, as the training arguments in the file say (`{key}`)"
        )));
    }
    if !token_dropout {
        remarks.push(Remark::note(
            "no token dropout, as the training arguments in the file say (`token_dropout` is false)".into(),
        ));
    }
    let config = Config {
        vocab,
        layers,
        width,
        heads,
        ffn,
        layer_norm_eps: LAYER_NORM_EPS,
        token_dropout,
        max_positions: MAX_POSITIONS,
        tied_decoder: true,
    }
    .validate(path)?;
    Ok((config, remarks))
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
        let from_rotary = self.rotary_pairs.and_then(|pairs| width.checked_div(pairs.saturating_mul(2)));
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
