//! Where the model's bytes are: in the binary, or in a mapped file.

use std::fs::File;
use std::path::{Path, PathBuf};

use foldpoint_core::format::{FormatError, ModelFile};
use memmap2::Mmap;
use serde_json::{Map, Value};

/// The bytes of a model file, kept where they are.
#[derive(Debug)]
pub struct ModelBytes {
    store: Store,
    name: String,
}

#[derive(Debug)]
enum Store {
    #[cfg(feature = "embedded-model")]
    Embedded(&'static [u8]),
    Mapped(Mmap),
    /// A file of zero bytes cannot be mapped; the reader says what is wrong with it.
    Empty,
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
    /// The bytes are not a model that this version can run.
    #[error("{name}: {reason}")]
    Format {
        /// Path of the file, or what the embedded model is called.
        name: String,
        /// What is wrong.
        reason: Box<FormatError>,
    },
    /// No file was given, and none is built in.
    #[error("no model: this binary was built without the embedded one; expected --model FILE")]
    NoneEmbedded,
}

#[cfg(feature = "embedded-model")]
mod embedded {
    /// Tensors in the file are at multiples of 64 bytes from its start, so the start has to be one, too.
    #[repr(C, align(64))]
    struct Aligned<T: ?Sized>(T);

    static DEFAULT: &Aligned<[u8]> =
        &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default.fpm")));

    pub(super) fn bytes() -> &'static [u8] {
        &DEFAULT.0
    }
}

impl ModelBytes {
    /// The file at `path`, or the embedded model if there is no path.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`], or [`ModelError::NoneEmbedded`].
    pub fn open(path: Option<&Path>) -> Result<Self, ModelError> {
        path.map_or_else(Self::embedded, Self::map)
    }

    /// The model that is built into the binary.
    ///
    /// # Errors
    /// [`ModelError::NoneEmbedded`] if the crate was built without its `embedded-model` feature.
    pub fn embedded() -> Result<Self, ModelError> {
        #[cfg(feature = "embedded-model")]
        return Ok(Self { store: Store::Embedded(embedded::bytes()), name: "embedded model".into() });
        #[cfg(not(feature = "embedded-model"))]
        Err(ModelError::NoneEmbedded)
    }

    /// Maps the file at `path` into memory; nothing is read yet.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`].
    pub fn map(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |reason| ModelError::Unreadable { path: path.to_owned(), reason };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            let reason = std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory");
            return Err(unreadable(reason));
        }
        let store = if metadata.len() == 0 {
            Store::Empty
        } else {
            // The one promise that the user makes, as with any mapped library: nobody rewrites the file while it is used.
            // SAFETY: the map is only ever read, through `&self`, and lives as long as the slices taken from it.
            Store::Mapped(unsafe { Mmap::map(&file) }.map_err(unreadable)?)
        };
        Ok(Self { store, name: path.display().to_string() })
    }

    /// All bytes, beginning at a multiple of 64.
    pub fn bytes(&self) -> &[u8] {
        match &self.store {
            #[cfg(feature = "embedded-model")]
            Store::Embedded(bytes) => bytes,
            Store::Mapped(map) => map,
            Store::Empty => &[],
        }
    }

    /// The path, or what the embedded model is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without folders, or what the embedded model is called.
    pub fn file_name(&self) -> &str {
        Path::new(&self.name).file_name().and_then(|name| name.to_str()).unwrap_or(&self.name)
    }

    /// Whether these are the bytes in the binary.
    pub fn is_embedded(&self) -> bool {
        match self.store {
            #[cfg(feature = "embedded-model")]
            Store::Embedded(_) => true,
            Store::Mapped(_) | Store::Empty => false,
        }
    }

    /// Reads the header and the directory.
    ///
    /// # Errors
    /// [`ModelError::Format`], with the file's name.
    pub fn parse(&self) -> Result<ModelFile<'_>, ModelError> {
        ModelFile::parse(self.bytes()).map_err(|e| self.error(e))
    }

    /// A format error with this file's name.
    pub fn error(&self, reason: FormatError) -> ModelError {
        ModelError::Format { name: self.name.clone(), reason: Box::new(reason) }
    }
}

/// What `meta.json` says about the file, if it is there.
pub fn metadata(file: &ModelFile) -> Option<Map<String, Value>> {
    serde_json::from_slice(file.tensor("meta.json")?.bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn error_of(bytes: &[u8]) -> String {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("a temporary file");
        let model = ModelBytes::map(file.path()).expect("it can be mapped");
        assert_eq!(model.bytes(), bytes);
        let message = model.parse().expect_err("not a model").to_string();
        assert!(message.starts_with(&file.path().display().to_string()), "{message}");
        message
    }

    #[test]
    fn what_is_not_a_model() {
        assert!(error_of(b"").contains("is empty (0 bytes)"));
        assert!(error_of(b">a\nMKV\n").contains("not a Foldpoint model file"));
        assert!(error_of(b"FOLDPNT").contains("model file"));
    }

    #[test]
    fn unreadable_files_are_named() {
        let missing = ModelBytes::map(Path::new("no/such.fpm")).expect_err("missing").to_string();
        assert!(missing.starts_with("no/such.fpm: the model file cannot be read"), "{missing}");
        let directory = ModelBytes::map(Path::new(".")).expect_err("a directory").to_string();
        assert!(directory.contains("it is a directory"), "{directory}");
    }
}
