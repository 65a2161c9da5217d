//! Float checkpoints of ESM-2 and ESMFold, as HuggingFace and fair-esm distribute them.

mod adapter;
mod archive;
mod check;
mod config;
mod element;
mod error;
mod expected;
mod fair_esmfold;
mod fold_config;
mod foreign;
mod hashes;
mod hostile;
mod json;
pub(crate) mod locate;
pub mod names;
mod omegafold;
mod open;
mod pickled;
mod remark;
mod rotary;
mod safetensors;
mod shapes;
mod structure_shape;
mod torch;
mod unpickle;
mod unwrap;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use archive::{Archive, Entry};
pub use config::{Config, VOCAB};
pub use element::Element;
pub use error::CheckpointError;
pub use fold_config::{FoldConfig, StructureConfig};
pub use omegafold::{OmegaFold, OmegaFoldConfig};
pub use remark::Remark;
pub use structure_shape::structure_shape;
pub(crate) use weights::{WEIGHTS, shards_in};

use adapter::Addition;
pub(crate) use adapter::{CONFIG_FILE as ADAPTER_CONFIG, WEIGHTS as ADAPTER_WEIGHTS};
use names::Naming;

/// An open checkpoint whose tensors are all known to be there and of the right shape.
///
/// Values are read from disk when asked for, so that a model larger than memory can be used layer by layer.
/// Tensors go by their [canonical names](names).
pub struct Checkpoint {
    path: PathBuf,
    name: String,
    remarks: Vec<Remark>,
    naming: Naming,
    config: Config,
    fold: Option<FoldConfig>,
    archives: Vec<Box<dyn Archive>>,
    tensors: BTreeMap<String, Source>,
    /// The tables of rotary frequencies.
    rotary: Vec<Location>,
    /// Tensors that are no part of the model, as its library spells them.
    others: Vec<String>,
    eight_bit_weights: bool,
}

/// Where a tensor is: in which archive, and what it is called there.
#[derive(Clone, Debug, PartialEq)]
struct Location {
    archive: usize,
    name: String,
}

/// What a tensor is made of.
#[derive(Clone, Debug)]
struct Source {
    location: Location,
    /// What an adapter adds.
    additions: Vec<Addition>,
}

impl From<Location> for Source {
    fn from(location: Location) -> Self {
        Self { location, additions: vec![] }
    }
}

impl Checkpoint {
    /// Opens a checkpoint, and checks that every tensor is there. Values are not read yet.
    ///
    /// `path` is a HuggingFace folder (`config.json` with `model.safetensors` or `pytorch_model.bin`, whole
    /// or in shards), a folder of the hub's cache, a fair-esm `.pt` file (with its contact head in
    /// `NAME-contact-regression.pt` beside it, if there is one; a folding model with its language model
    /// beside it), or a file of PyTorch weights that training wrote. An adapter in the folder is merged.
    ///
    /// # Errors
    /// Any [`CheckpointError`] but [`CheckpointError::NonFinite`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_with_base(path, None)
    }

    /// As [`open`](Self::open); `base` holds the weights that the adapter at `path` is merged into.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a base for what is no adapter.
    pub fn open_with_base(path: &Path, base: Option<&Path>) -> Result<Self, CheckpointError> {
        let mut checkpoint = open::open(path, base).map_err(|error| match OmegaFold::is_at(path) {
            false => error,
            true => CheckpointError::NotACheckpoint {
                path: path.into(),
                reason: "this is an OmegaFold; expected ESM-2 or ESMFold".into(),
            },
        })?;
        checkpoint.inspect()?;
        Ok(checkpoint)
    }

    /// What the adapter at `path` was trained on, in the words of its configuration, with `@REVISION` if that
    /// has one; `None` for what is no adapter, and for one with the weights beside it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn base_of_adapter(path: &Path) -> Result<Option<String>, CheckpointError> {
        open::base_of_adapter(path)
    }

    /// What to call it: `facebook/esm2_t6_8M_UR50D@c731040` out of a hub's cache, else the name of its folder
    /// or file, with that of its adapter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a user should know about it.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The folding model's dimensions; `None` for a language model alone.
    pub fn fold_config(&self) -> Option<&FoldConfig> {
        self.fold.as_ref()
    }

    /// The files that the tensors are read from, those of an adapter too.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.archives.iter().map(|archive| archive.path())
    }

    /// Whether the model can predict contacts.
    pub fn has_contact_head(&self) -> bool {
        self.has_any("contact_head.")
    }

    /// Whether the model can predict tokens.
    pub fn has_lm_head(&self) -> bool {
        // A tied decoder or a left-over bias alone is no head.
        self.has_any("lm_head.dense.") || self.has_any("lm_head.layer_norm.")
    }

    /// The canonical names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape of tensor `name`, outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|(_, entry)| entry.shape.as_slice())
    }

    /// Reads the values of tensor `name`, in row-major order.
    ///
    /// # Errors
    /// No such tensor, a value that is not finite, or a damaged file.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let missing =
            || CheckpointError::MissingTensors { path: self.path.clone(), names: vec![name.into()] };
        let source = self.tensors.get(name).ok_or_else(missing)?;
        let mut values = self.read_at(&source.location, name)?;
        for addition in &source.additions {
            addition.apply(&mut values, |location| self.read_at(location, &location.name))?;
        }
        // What is added may be too large for an f32.
        if let Some(Location { archive, .. }) = source.additions.first().map(Addition::location) {
            self.require_finite(*archive, name, &values)?;
        }
        Ok(values)
    }

    /// From now on [`read_weight`](Self::read_weight) rounds to 8 bits: what is lost by integer weights
    /// alone.
    pub fn round_weights(&mut self) {
        self.eight_bit_weights = true;
    }

    /// Reads the weight matrix `name` of a Linear, `[outputs, inputs]`, each row rounded to 8 bits if
    /// [`round_weights`](Self::round_weights) was called.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_weight(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let mut values = self.read(name)?;
        let inputs = self.shape(name).and_then(<[usize]>::last).copied().unwrap_or(0);
        if self.eight_bit_weights {
            for row in values.chunks_exact_mut(inputs.max(1)) {
                let scale = row_scale(row);
                row.iter_mut().for_each(|w| *w = ((f64::from(*w) / scale).round() * scale) as f32);
            }
        }
        Ok(values)
    }

    /// How far a rotary pair turns from one position to the next, in radians: `[head width / 2]`.
    ///
    /// These are the stored frequencies where there are any, because published checkpoints hold them rounded
    /// to f16 and both `transformers` and fair-esm use what is stored; otherwise 10000^(-2i / head width).
    ///
    /// # Errors
    /// Stored frequencies of another number, that differ between layers, or that can't be read.
    pub fn rotary_frequencies(&self) -> Result<Vec<f64>, CheckpointError> {
        let width = self.config.head_width();
        let Some((first, others)) = self.rotary.split_first() else {
            return Ok(rotary::exact(width));
        };
        let path = || self.archives[first.archive].path().to_path_buf();
        let (expected, entries) = (vec![width / 2], self.archives[first.archive].entries());
        if let Some(found) = entries.get(&first.name).map(|entry| entry.shape.clone())
            && found != expected
        {
            return Err(CheckpointError::Shape { path: path(), tensor: first.name.clone(), expected, found });
        }
        let frequencies = self.read_at(first, &first.name)?;
        for other in others {
            if self.read_at(other, &other.name)? != frequencies {
                let detail =
                    format!("{} and {} differ; expected one rotary embedding", first.name, other.name);
                return Err(CheckpointError::Format { path: path(), detail });
            }
        }
        Ok(frequencies.into_iter().map(f64::from).collect())
    }

    /// Reads the tensor at `location`, which errors call `name`.
    fn read_at(&self, location: &Location, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let values = self.archives[location.archive].read(&location.name)?;
        self.require_finite(location.archive, name, &values)?;
        Ok(values)
    }

    fn require_finite(&self, archive: usize, name: &str, values: &[f32]) -> Result<(), CheckpointError> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(CheckpointError::NonFinite {
                path: self.archives[archive].path().into(),
                tensor: name.into(),
                index,
                value: values[index],
            }),
        }
    }

    fn has_any(&self, prefix: &str) -> bool {
        self.tensors.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    fn entry(&self, name: &str) -> Option<(&Path, &Entry)> {
        let location = &self.tensors.get(name)?.location;
        let archive = &self.archives[location.archive];
        Some((archive.path(), archive.entries().get(&location.name)?))
    }

    /// Whether `file` holds an adapter.
    fn is_adapter(&self, file: &Path) -> bool {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("adapter_model."))
    }
}

/// What one step of an 8-bit code is worth for a row of weights: its largest magnitude is at 127. A row of
/// zeros may have any scale.
pub fn row_scale(row: &[f32]) -> f64 {
    let largest = row.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    if largest == 0.0 { 1.0 } else { f64::from(largest) / 127.0 }
}
