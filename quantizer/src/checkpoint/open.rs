//! Finds the files of a checkpoint and collects their tensors under canonical names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::archive::{self, Archive, Entry};
use super::locate::{self, Place};
use super::names::{Naming, canonical, is_rotary};
use super::unwrap::{self, Wrapping};
use super::{
    Checkpoint, CheckpointError, Config, FoldConfig, Location, Remark, Source, adapter, fair_esmfold,
    foreign, shapes, weights,
};

/// How the names of PyTorch's and safetensors' files end.
const ENDINGS: [&str; 5] = ["safetensors", "bin", "pt", "pth", "ckpt"];

/// Opens the checkpoint at `path`; `base` is what an adapter is merged into.
pub(super) fn open(path: &Path, base: Option<&Path>) -> Result<Checkpoint, CheckpointError> {
    let located = locate_checkpoint(path)?;
    if adapter::is_in(&located.path) {
        return open_adapter(&located, base);
    }
    if located.path.is_dir() {
        adapter::refuse_stray(&located.path)?;
    }
    if base.is_some() {
        return Err(CheckpointError::Adapter {
            path: path.into(),
            reason: format!("no {} in it: a base is only for an adapter", adapter::CONFIG_FILE),
        });
    }
    let checkpoint = open_model(&located)?;
    checkpoint.check_tensors()?;
    Ok(checkpoint)
}

/// What the adapter at `path` says that it was trained on; `None` if it doesn't, if the weights are beside
/// it, or if this is no adapter.
pub(super) fn base_of_adapter(path: &Path) -> Result<Option<String>, CheckpointError> {
    let folder = locate_checkpoint(path)?.path;
    if !adapter::is_in(&folder) || weights::are_in(&folder)? {
        return Ok(None);
    }
    adapter::base(&folder)
}

/// What `path` means: for a file that is only a part of its folder, the folder.
fn locate_checkpoint(path: &Path) -> Result<Place, CheckpointError> {
    let located = locate::locate(path)?;
    let name = located.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !located.path.is_dir() && (name.starts_with("adapter_") || name.ends_with(".json")) {
        return locate::locate(&parent(&located.path));
    }
    Ok(located)
}

fn open_adapter(located: &Place, base: Option<&Path>) -> Result<Checkpoint, CheckpointError> {
    let folder = &located.path;
    let config = folder.join(adapter::CONFIG_FILE);
    let refused = |reason: String| Err(CheckpointError::Adapter { path: config.clone(), reason });
    let beside = weights::are_in(folder)?;
    let trained_on = adapter::base(folder)?.map_or_else(String::new, |base| format!(" ({base})"));
    let (mut checkpoint, name) = match (base, beside) {
        (Some(_), true) => {
            return refused(
                "both weights beside the adapter and a base are given; expected one of them".into(),
            );
        }
        (None, false) => {
            return refused(format!(
                "this is an adapter, without the weights that it belongs to{trained_on}: give their folder with --base DIR, \
                 or merge it first (`model.merge_and_unload()` of PEFT)"
            ));
        }
        (None, true) => (open_model(located)?, None),
        (Some(base), false) => {
            let base = locate::locate(base)?;
            if base.path.is_dir() && !adapter::is_in(&base.path) {
                adapter::refuse_stray(&base.path)?;
            }
            if adapter::is_in(&base.path) {
                return refused(format!(
                    "the base {} is an adapter too; expected weights",
                    base.path.display()
                ));
            }
            let mut checkpoint = open_model(&base)?;
            checkpoint.remarks.append(&mut adapter::below(folder, &base.path)?);
            (checkpoint, Some(located.name.as_str()))
        }
    };
    checkpoint.check_tensors()?;
    adapter::merge(&mut checkpoint, folder, name)?;
    checkpoint.check_tensors()?;
    Ok(checkpoint)
}

fn open_model(located: &Place) -> Result<Checkpoint, CheckpointError> {
    let Place { path, name } = located;
    let mut checkpoint = if path.is_dir() { open_folder(path)? } else { open_file(path)? };
    checkpoint.name.clone_from(name);
    Ok(checkpoint)
}

fn open_folder(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let not_a_checkpoint = |reason: String| CheckpointError::NotACheckpoint { path: path.into(), reason };
    let config = path.join("config.json");
    if !locate::is_file(&config)? {
        return Err(not_a_checkpoint(foreign::folder(path, "no config.json")?));
    }
    let (config, fold) = (Config::read(&config)?, FoldConfig::read(&config)?);
    let archives = match weights::open(path)? {
        Some(archives) => archives,
        None => {
            let [safetensors, bin] = weights::WEIGHTS;
            let missing = format!("none of {safetensors}, {safetensors}.index.json, {bin}, {bin}.index.json");
            return Err(not_a_checkpoint(foreign::folder(path, &missing)?));
        }
    };
    let wrapping = wrapping(path, &archives)?;
    let mut checkpoint = configured(path, archives, wrapping, config, fold)?;
    checkpoint.remarks.append(&mut adapter::below(path, path)?);
    Ok(checkpoint)
}

/// The checkpoint whose `config.json` says `config` and `fold`.
fn configured(
    path: &Path,
    archives: Vec<Box<dyn Archive>>,
    wrapping: Wrapping,
    config: Config,
    fold: Option<FoldConfig>,
) -> Result<Checkpoint, CheckpointError> {
    let is_fold = |naming| matches!(naming, Naming::HuggingFaceFold | Naming::FairEsmFold);
    if is_fold(wrapping.naming) != fold.is_some() {
        let (found, model) =
            if fold.is_some() { ("true", "a language model") } else { ("not true", "a folding model") };
        return Err(CheckpointError::UnsupportedConfig {
            path: if path.is_dir() { path.join("config.json") } else { path.with_file_name("config.json") },
            key: "is_folding_model",
            found: found.into(),
            expected: format!("what the tensors are, {model}"),
        });
    }
    let naming = wrapping.naming;
    let mut tensors = Tensors::default();
    tensors.add(archives, &wrapping)?;
    Ok(tensors.into_checkpoint(path, naming, config, fold))
}

fn open_file(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !path.extension().and_then(|e| e.to_str()).is_some_and(|ending| ENDINGS.contains(&ending)) {
        let what = foreign::file_name(&name).map_or_else(String::new, |what| format!("{what}; "));
        return Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!(
                "{what}expected a HuggingFace folder, a fair-esm .pt file, or another file of PyTorch weights (.{})",
                ENDINGS.join(", .")
            ),
        });
    }
    let archives = vec![archive::open(path)?];
    let wrapping = wrapping(path, &archives)?;
    let naming = wrapping.naming;
    let config = parent(path).join("config.json");
    if matches!(naming, Naming::HuggingFace | Naming::HuggingFaceFold) && locate::is_file(&config)? {
        let (config, fold) = (Config::read(&config)?, FoldConfig::read(&config)?);
        return configured(path, archives, wrapping, config, fold);
    }
    if naming == Naming::HuggingFaceFold {
        return Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: "a folding model with HuggingFace's names needs its config.json beside it".into(),
        });
    }
    let mut tensors = Tensors::default();
    tensors.add(archives, &wrapping)?;
    if naming == Naming::HuggingFace {
        let (config, _) = shapes::config(path, naming, &tensors)?;
        let mut checkpoint = tensors.into_checkpoint(path, naming, config, None);
        checkpoint.remarks.push(Remark::note(
            "no config.json beside the file: dimensions follow from its tensors; epsilon of LayerNorm (1e-5) and token \
             dropout are those of every published ESM-2"
                .into(),
        ));
        return Ok(checkpoint);
    }
    let mut fold = None;
    let mut language_model = path.to_path_buf();
    if naming == Naming::FairEsmFold {
        fold = Some(fair_esmfold::config(path, &tensors)?);
        if tensors.shape("embeddings.word_embeddings.weight").is_none() {
            language_model = fair_esmfold::language_model(path, &tensors)?;
            let archives = vec![archive::open(&language_model)?];
            let wrapping = self::wrapping(&language_model, &archives)?;
            tensors.add(archives, &wrapping)?;
        }
    }
    add_contact_head(&language_model, &mut tensors)?;
    let (config, mut remarks) = shapes::config(&language_model, naming, &tensors)?;
    let mut checkpoint = tensors.into_checkpoint(path, naming, config, fold);
    checkpoint.remarks.append(&mut remarks);
    Ok(checkpoint)
}

/// Adds the contact head that fair-esm keeps beside the model at `path`, if the model has none.
fn add_contact_head(path: &Path, tensors: &mut Tensors) -> Result<(), CheckpointError> {
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return Ok(()) };
    let file = path.with_file_name(format!("{stem}-contact-regression.pt"));
    if tensors.shape("contact_head.regression.weight").is_some() || !locate::is_file(&file)? {
        return Ok(());
    }
    let bare = Wrapping { naming: Naming::FairEsm, prefix: String::new() };
    tensors.add(vec![archive::open(&file)?], &bare)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => Path::new(".").into(),
    }
}

fn wrapping(path: &Path, archives: &[Box<dyn Archive>]) -> Result<Wrapping, CheckpointError> {
    let names = archives.iter().flat_map(|archive| archive.entries().keys().map(String::as_str));
    let found = Wrapping::of(names.clone())
        .map_err(|prefixes| CheckpointError::SeveralModels { path: path.into(), prefixes })?;
    found.ok_or_else(|| {
        let what = foreign::tensors(names.clone()).map_or_else(
            || {
                let first: Vec<&str> = names.clone().take(3).collect();
                format!("its tensors are called {}, ...", first.join(", "))
            },
            |what| format!("this is {what}"),
        );
        CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!(
                "no tensor embed_tokens.weight or embeddings.word_embeddings.weight in it; {what}"
            ),
        }
    })
}

/// Tensors by canonical name, out of all of a checkpoint's files.
#[derive(Default)]
pub(super) struct Tensors {
    pub archives: Vec<Box<dyn Archive>>,
    pub by_name: BTreeMap<String, Source>,
    /// Every table of rotary frequencies.
    pub rotary: Vec<Location>,
    /// What has no canonical name, as its library spells it.
    pub others: Vec<String>,
    /// What was stripped from names, and from how many.
    stripped: BTreeMap<String, usize>,
}

impl Tensors {
    fn add(&mut self, archives: Vec<Box<dyn Archive>>, wrapping: &Wrapping) -> Result<(), CheckpointError> {
        let naming = wrapping.naming;
        for archive in archives {
            let index = self.archives.len();
            for name in archive.entries().keys() {
                let location = Location { archive: index, name: name.clone() };
                let Some(own) = wrapping.unwrap(name) else {
                    self.others.push(unwrap::clean(name));
                    continue;
                };
                if own.len() < name.len() {
                    *self.stripped.entry(unwrap::difference(name, &own)).or_default() += 1;
                }
                if is_rotary(naming, &own) {
                    self.rotary.push(location);
                } else if let Some(tensor) = canonical(naming, &own) {
                    if self.by_name.insert(tensor.clone(), location.into()).is_some() {
                        return Err(CheckpointError::DuplicateTensor { path: archive.path().into(), tensor });
                    }
                } else {
                    self.others.push(own);
                }
            }
            self.archives.push(archive);
        }
        Ok(())
    }

    /// What its file says about the tensor at `location`.
    pub fn entry_at(&self, location: &Location) -> Option<&Entry> {
        self.archives[location.archive].entries().get(&location.name)
    }

    /// Shape of the tensor with canonical name `name`.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let entry = self.entry_at(&self.by_name.get(name)?.location)?;
        Some(&entry.shape)
    }

    fn into_checkpoint(
        self,
        path: &Path,
        naming: Naming,
        config: Config,
        fold: Option<FoldConfig>,
    ) -> Checkpoint {
        let stripped = self.stripped.iter().map(|(prefix, count)| {
            Remark::note(format!("`{prefix}` was stripped from the names of {count} tensors"))
        });
        Checkpoint {
            path: path.into(),
            name: String::new(),
            remarks: stripped.collect(),
            naming,
            config,
            fold,
            archives: self.archives,
            tensors: self.by_name,
            rotary: self.rotary,
            others: self.others,
            eight_bit_weights: false,
        }
    }
}
