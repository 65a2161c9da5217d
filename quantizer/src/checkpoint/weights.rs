//! The weight files of a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::archive::{self, Archive};
use super::{CheckpointError, json, locate};

/// The weight files of a HuggingFace folder, in the order in which `transformers` looks for them.
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Opens the first kind of weights that the folder has; `None` if it has none.
///
/// # Errors
/// Anything wrong with the files.
pub(super) fn open(folder: &Path) -> Result<Option<Vec<Box<dyn Archive>>>, CheckpointError> {
    for name in WEIGHTS {
        let whole = folder.join(name);
        if locate::is_file(&whole)? {
            return Ok(Some(vec![archive::open(&whole)?]));
        }
        let index = folder.join(format!("{name}.index.json"));
        if locate::is_file(&index)? {
            return open_shards(&index).map(Some);
        }
    }
    Ok(None)
}

/// Whether `folder` has weights.
///
/// # Errors
/// A link to a file that isn't there.
pub(super) fn are_in(folder: &Path) -> Result<bool, CheckpointError> {
    for name in WEIGHTS {
        if locate::is_file(&folder.join(name))?
            || locate::is_file(&folder.join(format!("{name}.index.json")))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The files that the file `index` names.
///
/// # Errors
/// It can't be read.
pub(crate) fn shards_in(index: &Path) -> Result<BTreeSet<String>, CheckpointError> {
    let shards: ShardIndex = json::read(index)?;
    Ok(shards.weight_map.into_values().collect())
}

fn open_shards(index: &Path) -> Result<Vec<Box<dyn Archive>>, CheckpointError> {
    let shards: ShardIndex = json::read(index)?;
    let files: BTreeSet<&String> = shards.weight_map.values().collect();
    let mut archives = Vec::new();
    for file in files {
        let shard = index.with_file_name(file);
        if !locate::is_file(&shard)? {
            return Err(CheckpointError::NotACheckpoint {
                path: index.into(),
                reason: format!("it names the shard {file}, which isn't beside it: fetch that file too"),
            });
        }
        let archive = archive::open(&shard)?;
        let promised = shards.weight_map.iter().filter(|(_, f)| *f == file).map(|(name, _)| name);
        let names: Vec<String> =
            promised.filter(|name| !archive.entries().contains_key(*name)).cloned().collect();
        if !names.is_empty() {
            return Err(CheckpointError::MissingTensors { path: archive.path().into(), names });
        }
        archives.push(archive);
    }
    Ok(archives)
}
