//! A model, wherever its bytes are: in a mapped file, in the caller's memory, or in the binary.

mod embedded;
#[cfg(feature = "mmap")]
mod mapped;
#[cfg(feature = "store")]
mod named;

use std::fmt;
use std::path::{Path, PathBuf};

use foldpoint_core::ALIGN;
use foldpoint_core::esm::LanguageModel;
use foldpoint_core::esmfold::FoldingModel;
use foldpoint_core::format::{FormatError, ModelFile};
use foldpoint_core::omegafold;
use serde_json::{Map, Value};

use crate::arena::{AllocationError, Arena};

/// An open model file, which hands out the models in it; `'b` is how long bytes that it borrows live.
///
/// ```no_run
/// use std_runner::model::Model;
///
/// # fn fetch() -> Vec<u8> { Vec::new() }
/// let bytes = fetch();
/// let model = Model::from_bytes("esm2.fpm", &bytes)?;
/// model.verify()?;
/// let language_model = model.language_model()?;
/// let folding_model = if model.folds() { Some(model.folding_model()?) } else { None };
/// # Ok::<(), std_runner::model::ModelError>(())
/// ```
pub struct Model<'b> {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync + 'b>,
    name: String,
    embedded: bool,
    kind: Kind,
}

/// What a model file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A language model alone.
    LanguageModel,
    /// An ESMFold, with its language model.
    EsmFold,
    /// An OmegaFold, whose language model gives nothing by itself.
    OmegaFold,
}

impl Kind {
    fn of(file: &ModelFile) -> Self {
        if omegafold::FoldingModel::is_in(file) {
            Self::OmegaFold
        } else if FoldingModel::is_in(file) {
            Self::EsmFold
        } else {
            Self::LanguageModel
        }
    }
}

/// As people call it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LanguageModel => "language model",
            Self::EsmFold => "ESMFold",
            Self::OmegaFold => "OmegaFold",
        })
    }
}

/// A model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be opened or mapped.
    #[error("{}: the model file cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// There is neither such a file nor a model of the user's that is called so.
    #[cfg(feature = "store")]
    #[error("{unreadable}; nor is it the name of a model in {store}")]
    Nowhere {
        /// What the system said of the file.
        unreadable: Box<ModelError>,
        /// The folder of the user's models, and what it holds.
        store: String,
    },
    /// The folder of the user's models can't be read.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The bytes are not a model that this version can run.
    #[error("{name}: {reason}")]
    Format {
        /// Path of the file, or what the model is called otherwise.
        name: String,
        /// What is wrong.
        reason: Box<FormatError>,
    },
    /// There is no memory for an aligned copy of the bytes.
    #[error("{name}: {reason}")]
    Allocation {
        /// What the model is called.
        name: String,
        /// How much was asked for.
        reason: AllocationError,
    },
    /// The model is an OmegaFold, and its language model was asked for.
    #[error("{name}: this model is an OmegaFold: it has structures alone, no contacts, embeddings or logits")]
    StructuresAlone {
        /// What the model is called.
        name: String,
    },
    /// No file was given, and none is built in.
    #[error("no model: this binary was built without the embedded one; expected --model FILE")]
    NoneEmbedded,
}

impl Model<'static> {
    /// The model that is built into the binary.
    ///
    /// # Errors
    /// [`ModelError::NoneEmbedded`] if the crate was built without its `embedded-model` feature.
    pub fn embedded() -> Result<Self, ModelError> {
        let bytes = embedded::BYTES.ok_or(ModelError::NoneEmbedded)?;
        Ok(Self { embedded: true, ..Self::new(bytes, "embedded model".into())? })
    }
}

impl<'b> Model<'b> {
    /// The model in `bytes`, called `name` in errors. Bytes that begin at a multiple of [`ALIGN`] are
    /// borrowed, others copied.
    ///
    /// # Errors
    /// [`ModelError::Format`] if they are no model file, [`ModelError::Allocation`].
    pub fn from_bytes(name: &str, bytes: &'b [u8]) -> Result<Self, ModelError> {
        if bytes.as_ptr().addr().is_multiple_of(ALIGN) {
            return Self::new(bytes, name.into());
        }
        let copy = Arena::new(bytes.len());
        let mut copy = copy.map_err(|reason| ModelError::Allocation { name: name.into(), reason })?;
        copy.bytes().copy_from_slice(bytes);
        Self::new(copy, name.into())
    }

    /// Reads header and directory.
    fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'b, name: String) -> Result<Self, ModelError> {
        let mut model = Self { bytes: Box::new(bytes), name, embedded: false, kind: Kind::LanguageModel };
        model.kind = Kind::of(&model.file()?);
        Ok(model)
    }

    /// All bytes, beginning at a multiple of [`ALIGN`].
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// The path, or what the model is called otherwise.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without folders.
    pub fn file_name(&self) -> &str {
        Path::new(&self.name).file_name().and_then(|name| name.to_str()).unwrap_or(&self.name)
    }

    /// Whether this is the model in the binary.
    pub fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// What is in the file.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether there is a folding model in the file, besides the language model.
    pub fn folds(&self) -> bool {
        self.kind != Kind::LanguageModel
    }

    /// The header and the directory.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name.
    pub fn file(&self) -> Result<ModelFile<'_>, ModelError> {
        self.named(ModelFile::parse(self.bytes()))
    }

    /// Checks all checksums, for which the whole file is read.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name.
    pub fn verify(&self) -> Result<(), ModelError> {
        self.named(self.file()?.verify())
    }

    /// The language model.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name; [`ModelError::StructuresAlone`].
    pub fn language_model(&self) -> Result<LanguageModel<'_>, ModelError> {
        if self.kind == Kind::OmegaFold {
            return Err(ModelError::StructuresAlone { name: self.name.clone() });
        }
        self.named(LanguageModel::load(&self.file()?))
    }

    /// The ESMFold.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name; also if there is none.
    pub fn folding_model(&self) -> Result<FoldingModel<'_>, ModelError> {
        self.named(FoldingModel::load(&self.file()?))
    }

    /// The OmegaFold.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name; also if there is none.
    pub fn omegafold(&self) -> Result<omegafold::FoldingModel<'_>, ModelError> {
        self.named(omegafold::FoldingModel::load(&self.file()?))
    }

    /// What `meta.json` says about the file, if it is there.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn metadata(&self) -> Result<Option<Map<String, Value>>, ModelError> {
        let file = self.file()?;
        Ok(file.tensor("meta.json").and_then(|meta| serde_json::from_slice(meta.bytes).ok()))
    }

    /// With the file's name, if it is an error.
    fn named<T>(&self, result: Result<T, FormatError>) -> Result<T, ModelError> {
        result.map_err(|reason| ModelError::Format { name: self.name.clone(), reason: Box::new(reason) })
    }
}

impl fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).field("bytes", &self.bytes().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bare-metal example's model, which folds.
    const TINY: &[u8] = include_bytes!("../../../examples/bare-metal/tiny.fpm");

    #[test]
    fn what_is_not_a_model_is_named() {
        for (bytes, message) in [
            (&b""[..], "is empty (0 bytes)"),
            (b">a\nMKV\n", "not a Foldpoint model file"),
            (b"FOLDPNT", "model file"),
        ] {
            let error = Model::from_bytes("a.fpm", bytes).expect_err("not a model").to_string();
            assert!(error.starts_with("a.fpm: ") && error.contains(message), "{error}");
        }
    }

    #[test]
    fn bytes_are_borrowed_where_they_are_aligned_and_copied_elsewhere() {
        let mut memory = Arena::new(TINY.len() + 1).expect("memory");
        for (shift, borrowed) in [(0, true), (1, false)] {
            let place = &mut memory.bytes()[shift..][..TINY.len()];
            place.copy_from_slice(TINY);
            let model = Model::from_bytes("tiny.fpm", place).expect("a model");
            assert_eq!(model.bytes().as_ptr() == place.as_ptr(), borrowed);
            assert_eq!((model.bytes(), model.is_embedded()), (TINY, false));
            model.verify().expect("its checksums are right");
            assert!(model.folds() && model.folding_model().is_ok());
            assert_eq!(model.language_model().expect("a language model").config().layers, 2);
        }
    }

    #[test]
    fn a_damaged_model_opens_and_is_named_by_what_reads_it() {
        let mut bytes = TINY.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let model = Model::from_bytes("folder/damaged.fpm", &bytes).expect("its directory is right");
        let error = model.verify().expect_err("a checksum").to_string();
        assert!(error.starts_with("folder/damaged.fpm: "), "{error}");
        assert_eq!(model.file_name(), "damaged.fpm");
    }
}
