//! Finds the files of a checkpoint and collects their tensors under canonical names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::{self, Archive};
use super::names::{Naming, canonical, is_rotary};
use super::torch::TorchArchive;
use super::{Checkpoint, CheckpointError, Config, FoldConfig, Location, fair_esm, fair_esmfold};

/// The weight files of a HuggingFace folder, in the order in which `transformers` looks for them.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

pub(super) fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let kind = std::fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.into(), source })?;
    if kind.is_dir() {
        return open_folder(path);
    }
    if path.extension().is_some_and(|e| e == "pt") {
        return open_fair_esm(path);
    }
    Err(CheckpointError::NotACheckpoint {
        path: path.into(),
        reason: "expected a HuggingFace folder or a fair-esm .pt file".into(),
    })
}

fn open_folder(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let not_a_checkpoint = |reason: String| CheckpointError::NotACheckpoint { path: path.into(), reason };
    let config = path.join("config.json");
    if !config.is_file() {
        return Err(not_a_checkpoint("it has no config.json".into()));
    }
    let (config, fold) = (Config::read(&config)?, FoldConfig::read(&config)?);
    let archives = open_weights(path)?.ok_or_else(|| {
        let [safetensors, bin] = WEIGHTS;
        not_a_checkpoint(format!(
            "it has none of {safetensors}, {safetensors}.index.json, {bin}, {bin}.index.json"
        ))
    })?;
    let naming = if fold.is_some() { Naming::HuggingFaceFold } else { Naming::HuggingFace };
    let (tensors, rotary) = collect(naming, &archives)?;
    Ok(Checkpoint { path: path.into(), config, fold, archives, tensors, rotary, eight_bit_weights: false })
}

/// Opens the first kind of weights that the folder has.
fn open_weights(folder: &Path) -> Result<Option<Vec<Box<dyn Archive>>>, CheckpointError> {
    for name in WEIGHTS {
        let whole = folder.join(name);
        if whole.is_file() {
            return Ok(Some(vec![archive::open(&whole)?]));
        }
        let index = folder.join(format!("{name}.index.json"));
        if index.is_file() {
            return open_shards(&index).map(Some);
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn open_shards(index: &Path) -> Result<Vec<Box<dyn Archive>>, CheckpointError> {
    let text = std::fs::read(index).map_err(|source| CheckpointError::Io { path: index.into(), source })?;
    let shards: ShardIndex = serde_json::from_slice(&text)
        .map_err(|source| CheckpointError::Json { path: index.into(), source })?;
    let files: BTreeSet<&String> = shards.weight_map.values().collect();
    let mut archives = Vec::new();
    for file in files {
        let archive = archive::open(&index.with_file_name(file))?;
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

fn open_fair_esm(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let model = TorchArchive::open(path)?;
    if !fair_esmfold::is_fold(&model) {
        let (config, archives) = open_language_model(path, model)?;
        let (tensors, rotary) = collect(Naming::FairEsm, &archives)?;
        return Ok(Checkpoint {
            path: path.into(),
            config,
            fold: None,
            archives,
            tensors,
            rotary,
            eight_bit_weights: false,
        });
    }
    let fold = Some(fair_esmfold::config(&model)?);
    let (config, archives) = if fair_esmfold::has_language_model(&model) {
        open_language_model(path, model)?
    } else {
        let file = fair_esmfold::language_model(&model)?;
        let (config, mut archives) = open_language_model(&file, TorchArchive::open(&file)?)?;
        archives.push(Box::new(model));
        (config, archives)
    };
    let (tensors, rotary) = collect(Naming::FairEsmFold, &archives)?;
    Ok(Checkpoint { path: path.into(), config, fold, archives, tensors, rotary, eight_bit_weights: false })
}

type Archives = Vec<Box<dyn Archive>>;

/// The configuration of the language model in `model`, which was read from `path`, and the files that it is made of:
/// `model` and, if it has no contact head, the one beside it.
fn open_language_model(path: &Path, model: TorchArchive) -> Result<(Config, Archives), CheckpointError> {
    let regression = contact_regression(path).filter(|file| file.is_file());
    let regression = regression.map(|file| TorchArchive::open(&file)).transpose()?;
    let width_in = |archive: &TorchArchive| {
        let is_weight = |name: &str| {
            canonical(Naming::FairEsm, name).as_deref() == Some("contact_head.regression.weight")
        };
        archive.entries().iter().find(|(name, _)| is_weight(name))?.1.shape.get(1).copied()
    };
    let own_width = width_in(&model);
    let regression = regression.filter(|_| own_width.is_none());
    let config = fair_esm::config(&model, own_width.or_else(|| regression.as_ref().and_then(width_in)))?;
    let mut archives: Archives = vec![Box::new(model)];
    archives.extend(regression.map(|archive| Box::new(archive) as Box<dyn Archive>));
    Ok((config, archives))
}

/// Where fair-esm keeps the contact head of the model at `path`.
fn contact_regression(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    Some(path.with_file_name(format!("{stem}-contact-regression.pt")))
}

/// The model's tensors by canonical name, and every table of rotary frequencies.
type Collected = (BTreeMap<String, Location>, Vec<Location>);

fn collect(naming: Naming, archives: &[Box<dyn Archive>]) -> Result<Collected, CheckpointError> {
    let (mut tensors, mut rotary) = (BTreeMap::new(), Vec::new());
    for (index, archive) in archives.iter().enumerate() {
        for name in archive.entries().keys() {
            let location = Location { archive: index, name: name.clone() };
            if is_rotary(naming, name) {
                rotary.push(location);
            } else if let Some(tensor) = canonical(naming, name)
                && tensors.insert(tensor.clone(), location).is_some()
            {
                return Err(CheckpointError::DuplicateTensor { path: archive.path().into(), tensor });
            }
        }
    }
    Ok((tensors, rotary))
}
