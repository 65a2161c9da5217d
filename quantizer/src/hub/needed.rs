//! The files of a repository that a checkpoint is read from: what `checkpoint` looks for, and nothing more.

use std::collections::BTreeSet;
use std::path::Path;

use super::HubError;
use super::name::is_plain;
use crate::checkpoint::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, CheckpointError, WEIGHTS, shards_in};

/// A model's configuration.
pub const CONFIG: &str = "config.json";
/// What the name of a table of shards ends with.
pub const INDEX: &str = ".index.json";

/// Files that are needed. Which shards are, an index among them says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Small files that say what the weights are.
    pub configurations: Vec<String>,
    /// Files of weights, or an index of them.
    pub weights: Vec<String>,
}

/// What is needed of the files that `has` knows, in the order in which the reader looks for them:
/// safetensors before pickles.
fn needed(has: impl Fn(&str) -> bool) -> Needed {
    let configurations = [CONFIG, ADAPTER_CONFIG].into_iter().filter(|name| has(name)).map(str::to_owned);
    let models = WEIGHTS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}{INDEX}")]);
    let adapters = ADAPTER_WEIGHTS.iter().filter(|_| has(ADAPTER_CONFIG)).map(|name| (*name).to_owned());
    let weights = models.into_iter().find(|name| has(name)).into_iter();
    let weights = weights.chain(adapters.into_iter().find(|name| has(name))).collect();
    Needed { configurations: configurations.collect(), weights }
}

/// What is needed of the repository `id`, which holds `files`.
///
/// # Errors
/// There is no checkpoint in it that can be read, or a file's name leads out of its folder.
pub fn of_repository(id: &str, files: &BTreeSet<String>) -> Result<Needed, HubError> {
    if let Some(file) = files.iter().find(|file| !file.split('/').all(is_plain)) {
        return Err(HubError::HostileName { repository: id.into(), file: file.escape_default().to_string() });
    }
    let needed = needed(|file| files.contains(file));
    let no_checkpoint = |lacks: &str| {
        let weights = |file: &&String| {
            [".safetensors", ".bin", ".pt", ".h5", ".msgpack", ".onnx", ".gguf"]
                .iter()
                .any(|e| file.ends_with(e))
        };
        let others: Vec<&str> = files.iter().filter(weights).map(String::as_str).take(6).collect();
        let others = if others.is_empty() { "no weights at all".to_owned() } else { others.join(", ") };
        HubError::NoCheckpoint {
            repository: id.into(),
            reason: format!("it has no {lacks}; it has {others}"),
        }
    };
    match (needed.configurations.is_empty(), needed.weights.is_empty()) {
        (true, _) => Err(no_checkpoint(&format!("{CONFIG}, nor {ADAPTER_CONFIG}"))),
        (_, true) => {
            let [safetensors, bin] = WEIGHTS;
            Err(no_checkpoint(&format!("{safetensors} or {bin}, in one file or in shards")))
        }
        _ => Ok(needed),
    }
}

/// What the snapshot `folder` lacks of what is needed; where nothing but its absence is known of a file, the
/// first that would do.
///
/// # Errors
/// An index that can't be read.
pub fn missing_in(folder: &Path) -> Result<Vec<String>, HubError> {
    let has = |file: &str| folder.join(file).is_file();
    let needed = needed(has);
    let mut missing = Vec::new();
    if needed.configurations.is_empty() {
        missing.push(CONFIG.to_owned());
    }
    let is_adapter = has(ADAPTER_CONFIG);
    if !is_adapter && needed.weights.is_empty() {
        missing.push(WEIGHTS[0].to_owned());
    }
    if is_adapter && !needed.weights.iter().any(|file| ADAPTER_WEIGHTS.contains(&file.as_str())) {
        missing.push(ADAPTER_WEIGHTS[0].to_owned());
    }
    for index in needed.weights.iter().filter(|file| file.ends_with(INDEX)) {
        missing.extend(shards(&folder.join(index))?.into_iter().filter(|shard| !has(shard)));
    }
    Ok(missing)
}

/// The shards that the file `index` names.
///
/// # Errors
/// It can't be read, or a name leads out of the folder.
pub fn shards(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let shards = shards_in(index)?;
    match shards.iter().find(|shard| !shard.split('/').all(is_plain)) {
        None => Ok(shards),
        Some(shard) => Err(HubError::Checkpoint(CheckpointError::NotACheckpoint {
            path: index.into(),
            reason: format!("it names the shard `{}`, which leads out of its folder", shard.escape_default()),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Result<Needed, HubError> {
        of_repository("a/b", &files.iter().map(|&file| file.to_owned()).collect())
    }

    #[test]
    fn safetensors_come_before_pickles_and_nothing_else_comes() {
        let all = [
            "config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "README.md",
            "tf_model.h5",
            "vocab.txt",
        ];
        for (left_out, expected) in all[1..5].iter().enumerate() {
            let files: Vec<&str> = [&all[..1], &all[1 + left_out..]].concat();
            let needed = of(&files).unwrap();
            assert_eq!(
                (needed.configurations, needed.weights),
                (vec!["config.json".into()], vec![(*expected).into()])
            );
        }
        let needed = of(&["adapter_config.json", "adapter_model.bin", "adapter_model.safetensors"]).unwrap();
        assert_eq!(needed.configurations, ["adapter_config.json"]);
        assert_eq!(needed.weights, ["adapter_model.safetensors"]);
    }

    #[test]
    fn repositories_without_a_checkpoint_say_what_they_have() {
        for (files, expected) in [
            (
                &["config.json", "tf_model.h5"][..],
                "no model.safetensors or pytorch_model.bin, in one file or in shards; it has tf_model.h5",
            ),
            (&["model.safetensors"], "no config.json, nor adapter_config.json; it has model.safetensors"),
            (&["README.md"], "it has no weights at all"),
        ] {
            let error = of(files).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for name in ["../config.json", "/etc/passwd", "a/../../b", "a\\b", "c:x", "a//b", "", "a\u{7}"] {
            let error = of(&["config.json", "model.safetensors", name]).unwrap_err();
            assert!(matches!(error, HubError::HostileName { .. }), "{name}");
        }
    }
}
