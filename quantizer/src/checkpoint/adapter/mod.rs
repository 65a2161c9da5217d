//! Low-rank adapters (LoRA, as PEFT writes them): weights are read as W + scale B A.

mod config;
mod delta;
mod keys;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::AdapterConfig;
pub use config::FILE as CONFIG_FILE;
use delta::Kind;
use keys::{Factors, Keys};

use super::archive;
use super::names::{DECODER, EMBEDDING, canonical, is_rotary};
use super::{Checkpoint, CheckpointError, Element, Location, Remark, locate};

/// The file of tensors, in the order in which PEFT looks for it.
pub const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Modules that models for other tasks put on top of ESM-2.
const HEADS: [&str; 9] =
    ["classifier", "score", "pooler", "regression", "regressor", "qa_outputs", "head", "heads", "cls"];

/// Something that is added to a tensor when it is read.
#[derive(Clone, Debug)]
pub enum Addition {
    /// The product of two factors.
    Product { a: Location, b: Location, rank: usize, scale: f64, kind: Kind },
    /// A tensor of the same shape.
    Scaled { bias: Location, scale: f64 },
}

/// Whether `folder` holds an adapter. What is there by name counts, a link to nothing too: without it the
/// folder's weights would be taken for the whole model.
pub fn is_in(folder: &Path) -> bool {
    folder.join(CONFIG_FILE).symlink_metadata().is_ok()
}

/// Refuses `folder`, which holds no [`CONFIG_FILE`], if it holds an adapter's tensors.
///
/// # Errors
/// The first such file.
pub fn refuse_stray(folder: &Path) -> Result<(), CheckpointError> {
    let entries =
        std::fs::read_dir(folder).map_err(|source| CheckpointError::Io { path: folder.into(), source })?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let is_adapters = |name: &&String| {
        let lower = name.to_lowercase();
        lower.starts_with("adapter_model.")
            || lower == "pytorch_adapter.bin"
            || lower.contains("lora") && lower.ends_with(".safetensors")
    };
    match names.iter().find(is_adapters) {
        None => Ok(()),
        Some(name) => Err(CheckpointError::Adapter {
            path: folder.join(name),
            reason: format!(
                "the tensors of an adapter, but no {CONFIG_FILE} beside them, which says how they are merged; PEFT's \
                 `save_pretrained` writes both: put it there, or move the adapter away if the weights are meant without it"
            ),
        }),
    }
}

/// Says which folders in `folder` hold adapters that aren't merged; `base` is what they may belong to.
///
/// # Errors
/// The folder can't be listed.
pub fn below(folder: &Path, base: &Path) -> Result<Vec<Remark>, CheckpointError> {
    let folders = locate::folders(folder, |_| true)?;
    let notes = folders.iter().filter(|folder| is_in(folder)).map(|adapter| {
        Remark::note(format!(
            "{} holds an adapter, which isn't merged: give that folder with --base {}",
            adapter.display(),
            base.display()
        ))
    });
    Ok(notes.collect())
}

/// What the adapter in `folder` says about the checkpoint that it belongs to.
///
/// # Errors
/// Its `adapter_config.json` is wrong, or describes another kind of adapter.
pub fn base(folder: &Path) -> Result<Option<String>, CheckpointError> {
    let config = folder.join(CONFIG_FILE);
    if !locate::is_file(&config)? {
        let reason = "it is no file; expected the adapter's configuration".into();
        return Err(CheckpointError::Adapter { path: config, reason });
    }
    Ok(AdapterConfig::read(&config)?.base)
}

impl Addition {
    /// A tensor that it is made of.
    pub fn location(&self) -> &Location {
        match self {
            Self::Product { b: location, .. } | Self::Scaled { bias: location, .. } => location,
        }
    }

    /// Adds to `values`; `read` gives the values of a tensor.
    pub fn apply<E>(
        &self,
        values: &mut [f32],
        read: impl Fn(&Location) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        match self {
            Self::Product { a, b, rank, scale, kind } => {
                delta::add_product(values, &read(a)?, &read(b)?, *rank, *scale, kind);
            }
            Self::Scaled { bias, scale } => values
                .iter_mut()
                .zip(read(bias)?)
                .for_each(|(value, added)| *value = (f64::from(*value) + scale * f64::from(added)) as f32),
        }
        Ok(())
    }
}

/// Merges the adapter in `folder` into `checkpoint`; it is called `name`, unless it lies beside the
/// checkpoint's weights.
///
/// # Errors
/// An adapter of another kind, one that doesn't fit the checkpoint, or an incomplete one.
pub fn merge(checkpoint: &mut Checkpoint, folder: &Path, name: Option<&str>) -> Result<(), CheckpointError> {
    let config_file = folder.join(CONFIG_FILE);
    let config = AdapterConfig::read(&config_file)?;
    let mut path = None;
    for file in WEIGHTS {
        let file = folder.join(file);
        if path.is_none() && locate::is_file(&file)? {
            path = Some(file);
        }
    }
    let path = path.ok_or_else(|| CheckpointError::Adapter {
        path: config_file,
        reason: format!("neither {} nor {} is beside it", WEIGHTS[0], WEIGHTS[1]),
    })?;
    let archive = archive::open(&path)?;
    let keys = Keys::new(archive.entries().keys().map(String::as_str));
    let index = checkpoint.archives.len();
    checkpoint.archives.push(archive);
    let original = checkpoint.tensors.get(EMBEDDING).map(|source| source.location.clone());
    let mut merge = Merge { checkpoint, config: &config, path, index, prefix: None, heads: BTreeMap::new() };
    merge.check(&keys)?;
    merge.find_prefix(&keys);
    for (name, candidates) in &keys.whole {
        merge.replace(name, candidates)?;
    }
    for (module, factors) in &keys.pairs {
        merge.add(module, factors)?;
    }
    let heads = std::mem::take(&mut merge.heads);
    keep_decoder(checkpoint, original);

    let modules = keys.pairs.len();
    let trained_on = config.base.as_ref();
    let text = match name {
        Some(name) => {
            let trained_on = trained_on.map_or_else(String::new, |base| format!(", trained on {base},"));
            format!("{name} (LoRA on {modules} modules){trained_on} is merged into {}", checkpoint.name)
        }
        None => {
            let trained_on = trained_on.map_or_else(String::new, |base| format!(", trained on {base}"));
            format!("the adapter in it (LoRA on {modules} modules{trained_on}) is merged")
        }
    };
    // A name out of the hub's cache can be compared; that of a folder may be anything.
    let hub = checkpoint.name.split_once('@').map(|(repository, _)| repository);
    let is_other = hub.zip(config.base.as_deref()).is_some_and(|(hub, base)| hub != base);
    checkpoint.remarks.push(if is_other { Remark::warning(text) } else { Remark::note(text) });
    for (head, count) in heads {
        checkpoint.remarks.push(Remark::note(format!("not used: the adapter's {head} ({count} tensors)")));
    }
    checkpoint.name = match name {
        Some(name) => format!("{} + {name}", checkpoint.name),
        None => format!("{} (with its adapter)", checkpoint.name),
    };
    Ok(())
}

/// A decoder that was the embedding stays what it was in training: the embedding without the adapter.
fn keep_decoder(checkpoint: &mut Checkpoint, original: Option<Location>) {
    let Some((source, original)) = checkpoint.tensors.get(EMBEDDING).zip(original) else { return };
    let changed = source.location != original || !source.additions.is_empty();
    if changed && checkpoint.has_lm_head() && !checkpoint.contains(DECODER) {
        checkpoint.tensors.insert(DECODER.into(), original.into());
        checkpoint.remarks.push(Remark::note(
            "the adapter changes the embedding; the decoder of the language-model head stays the original one".into(),
        ));
    }
}

struct Merge<'c> {
    checkpoint: &'c mut Checkpoint,
    config: &'c AdapterConfig,
    path: PathBuf,
    /// Number of the adapter's archive.
    index: usize,
    /// What stands before the names of the base's modules.
    prefix: Option<String>,
    /// Tensors of heads that are not used here, by head.
    heads: BTreeMap<String, usize>,
}

impl Merge<'_> {
    fn error(&self, reason: String) -> CheckpointError {
        CheckpointError::Adapter { path: self.path.clone(), reason }
    }

    /// Refuses what is not one complete LoRA adapter.
    fn check(&self, keys: &Keys) -> Result<(), CheckpointError> {
        if keys.adapters.len() > 1 {
            let names: Vec<&str> = keys.adapters.iter().map(String::as_str).collect();
            return Err(self.error(format!("it holds several adapters, {}; expected one", names.join(", "))));
        }
        if let Some(name) = keys.unknown.first() {
            let kind =
                if name.contains("lora_magnitude_vector") { " (DoRA, which isn't merged here)" } else { "" };
            return Err(self.error(format!("tensor {name} is of an unknown kind{kind}")));
        }
        for (module, Factors { a, b, .. }) in &keys.pairs {
            if a.is_none() || b.is_none() {
                let missing = if a.is_none() { "lora_A" } else { "lora_B" };
                return Err(self.error(format!("{module} has no {missing}: the adapter is incomplete")));
            }
        }
        if keys.pairs.is_empty() {
            return Err(self.error("it has no LoRA factors (lora_A, lora_B)".into()));
        }
        Ok(())
    }

    /// Finds what the trained model's names have before those of the base.
    fn find_prefix(&mut self, keys: &Keys) {
        self.prefix = keys.pairs.keys().find_map(|module| {
            let starts = std::iter::once(0).chain(module.match_indices('.').map(|(at, _)| at + 1));
            starts.map(|at| &module[..at]).find_map(|prefix| {
                let weight = self.tensor(&format!("{}.weight", &module[prefix.len()..]))?;
                self.checkpoint.contains(&weight).then(|| prefix.to_owned())
            })
        });
    }

    fn tensor(&self, name: &str) -> Option<String> {
        canonical(self.checkpoint.naming, name)
    }

    /// The base's tensor that the trained model calls `name`.
    fn target(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(self.prefix.as_deref().unwrap_or_default()).unwrap_or(name);
        self.tensor(name)
    }

    fn location(&self, name: &str) -> Location {
        Location { archive: self.index, name: name.into() }
    }

    /// The head that `name` belongs to, if the base has no such head, or no model here has one.
    fn head(&self, name: &str) -> Option<String> {
        if let Some(tensor) = self.target(name) {
            let absent = [
                ("lm_head", self.checkpoint.has_lm_head()),
                ("contact_head", self.checkpoint.has_contact_head()),
            ];
            let head = tensor.split('.').next()?;
            return absent.contains(&(head, false)).then(|| head.to_owned());
        }
        let saved = |part: &str| self.config.modules_to_save.iter().any(|module| module == part);
        let at = name.split('.').position(|part| HEADS.contains(&part) || saved(part))?;
        Some(name.split('.').take(at + 1).collect::<Vec<_>>().join("."))
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>, CheckpointError> {
        let entry = self.checkpoint.archives[self.index].entries().get(name);
        let entry = entry.ok_or_else(|| self.error(format!("no tensor {name}")))?;
        if entry.element == Element::Other {
            let (path, tensor) = (self.path.clone(), name.into());
            return Err(CheckpointError::NotFloat { path, tensor, found: entry.element });
        }
        Ok(entry.shape.clone())
    }

    fn expect_shape(&self, name: &str, expected: Vec<usize>) -> Result<(), CheckpointError> {
        let found = self.shape(name)?;
        if found == expected {
            return Ok(());
        }
        Err(CheckpointError::Shape { path: self.path.clone(), tensor: name.into(), expected, found })
    }

    /// Puts the tensor `name` in the place of the base's.
    fn replace(&mut self, name: &str, candidates: &[String]) -> Result<(), CheckpointError> {
        let targets: Vec<String> = candidates.iter().filter_map(|candidate| self.target(candidate)).collect();
        let present = targets.iter().find(|target| self.checkpoint.contains(target));
        // A head that the base doesn't have is taken whole.
        let is_head =
            |target: &&String| target.starts_with("lm_head.") || target.starts_with("contact_head.");
        let Some(target) = present.or_else(|| targets.iter().rfind(is_head)).cloned() else {
            if candidates.iter().any(|candidate| is_rotary(self.checkpoint.naming, candidate)) {
                return Ok(());
            }
            let head = candidates.iter().find_map(|candidate| self.head(candidate));
            let head =
                head.ok_or_else(|| self.error(format!("tensor {name} matches no weight of the base")))?;
            *self.heads.entry(head).or_default() += 1;
            return Ok(());
        };
        let location = self.location(name);
        match self.checkpoint.tensors.get(&target).map(|source| source.location.clone()) {
            // PEFT writes what it saves whole under two names in some cases.
            Some(earlier) if earlier.archive == self.index => {
                if self.checkpoint.read_at(&earlier, &target)?
                    != self.checkpoint.read_at(&location, &target)?
                {
                    return Err(self.error(format!("tensors {} and {name} are both {target}", earlier.name)));
                }
            }
            Some(_) => {
                let expected = self.checkpoint.shape(&target).unwrap_or_default().to_vec();
                self.expect_shape(name, expected)?;
                self.checkpoint.tensors.insert(target, location.into());
            }
            None => drop(self.checkpoint.tensors.insert(target, location.into())),
        }
        Ok(())
    }

    /// Adds the product of `module`'s factors to the base's weight.
    fn add(&mut self, module: &str, factors: &Factors) -> Result<(), CheckpointError> {
        let (Some(a), Some(b)) = (&factors.a, &factors.b) else { return Ok(()) };
        let weight = self.target(&format!("{module}.weight")).filter(|name| self.checkpoint.contains(name));
        let Some(weight) = weight else {
            if self.target(&format!("{module}.weight")).as_deref() == Some(DECODER)
                && self.checkpoint.has_lm_head()
            {
                return Err(self.error(format!(
                    "module {module} is tied to the embedding in the base (`tie_word_embeddings`), which has no weight of \
                     its own for it: merging would change both; give it one before training, or save the merged model"
                )));
            }
            let head = self.head(&format!("{module}.weight"));
            let head = head.ok_or_else(|| self.error(format!("module {module} is none of the base's")))?;
            *self.heads.entry(head).or_default() += 2;
            return Ok(());
        };
        let (rank, scale) = (self.config.rank(module)?, self.config.scale(module)?);
        let shape = self.checkpoint.shape(&weight).unwrap_or_default().to_vec();
        let &[outputs, inputs] = shape.as_slice() else {
            return Err(self.error(format!("module {module} has no matrix of weights")));
        };
        let (a_width, b_height) = if factors.embedding { (outputs, inputs) } else { (inputs, outputs) };
        self.expect_shape(a, vec![rank, a_width])?;
        self.expect_shape(b, vec![b_height, rank])?;
        let kind = if factors.embedding { Kind::Embedding } else { Kind::Linear };
        let product = Addition::Product { a: self.location(a), b: self.location(b), rank, scale, kind };
        self.push(&weight, product);
        if let Some(bias) = &factors.bias {
            let target = self.target(&format!("{module}.bias")).filter(|name| self.checkpoint.contains(name));
            let target =
                target.ok_or_else(|| self.error(format!("module {module} has no bias to add to")))?;
            self.expect_shape(bias, vec![outputs])?;
            self.push(&target, Addition::Scaled { bias: self.location(bias), scale });
        }
        Ok(())
    }

    fn push(&mut self, tensor: &str, addition: Addition) {
        if let Some(source) = self.checkpoint.tensors.get_mut(tensor) {
            source.additions.push(addition);
        }
    }
}
