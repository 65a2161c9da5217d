//! Model files in the memory map.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::path::Path;

use memmap2::Mmap;

use super::{Model, ModelError};

impl Model<'static> {
    /// Maps the file at `path` into memory. No more than header and directory are read; the system reads the
    /// rest as it is used.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`], or [`ModelError::Format`] if it is no model file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |reason| ModelError::Unreadable { path: path.to_owned(), reason };
        // Looked at before it is opened: opening a pipe waits for whoever writes to it.
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(Error::new(ErrorKind::IsADirectory, "it is a directory")));
        }
        if !metadata.is_file() {
            let reason = "it is a pipe or a device, and a model must be a file, for it is mapped into memory";
            return Err(unreadable(Error::new(ErrorKind::InvalidInput, reason)));
        }
        let file = File::open(path).map_err(unreadable)?;
        let name = path.display().to_string();
        if metadata.len() == 0 {
            // Cannot be mapped; the reader says what is wrong with it.
            return Self::new([], name);
        }
        // The one promise that the user makes, as with any mapped library: nobody rewrites the file while it
        // is used.
        // SAFETY: the map is only ever read, through `&self`, and lives as long as the slices taken from it.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        Self::new(map, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("a temporary file");
        file
    }

    #[test]
    fn a_model_file_is_mapped_as_it_is() {
        let bytes = include_bytes!("../../../examples/bare-metal/tiny.fpm");
        let file = written(bytes);
        let model = Model::open(file.path()).expect("a model");
        assert_eq!(model.bytes(), bytes);
        assert!(model.folds() && !model.is_embedded());
    }

    #[test]
    #[cfg(unix)]
    fn pipes_and_devices_are_refused_before_they_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [&pipe, Path::new("/dev/null")] {
            let error = Model::open(path).expect_err("no model").to_string();
            assert!(error.contains("a model must be a file"), "{error}");
        }
    }

    #[test]
    fn files_that_are_no_models_are_named() {
        for (bytes, message) in
            [(&b""[..], "is empty (0 bytes)"), (b">a\nMKV\n", "not a Foldpoint model file")]
        {
            let file = written(bytes);
            let error = Model::open(file.path()).expect_err("not a model").to_string();
            let name = file.path().display().to_string();
            assert!(error.starts_with(&name) && error.contains(message), "{error}");
        }
    }

    #[test]
    fn unreadable_files_are_named() {
        let missing = Model::open(Path::new("no/such.fpm")).expect_err("missing").to_string();
        assert!(missing.starts_with("no/such.fpm: the model file cannot be read"), "{missing}");
        let directory = Model::open(Path::new(".")).expect_err("a directory").to_string();
        assert!(directory.contains("it is a directory"), "{directory}");
    }
}
