//! The folder in which a user's models are: the quantizer writes there, `foldpoint --model NAME` finds them
//! there. And the one of what was found out and can be found out again ([`cache_folder`]).
//!
//! The former is `foldpoint/models` in the user's data folder (`XDG_DATA_HOME` or `~/.local/share`; on macOS
//! `~/Library/Application Support`, on Windows `%APPDATA%`), or the one that `FOLDPOINT_MODELS` names. A
//! model called NAME is the file `NAME.fpm` in it.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

/// The variable that names another folder.
pub const VARIABLE: &str = "FOLDPOINT_MODELS";
/// What a model file's name ends with.
const ENDING: &str = ".fpm";

/// Why there is no such folder, or nothing of that name can be in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nobody knows where it would be.
    #[error("there is no home folder, and so none for models; expected {VARIABLE} to name one")]
    NoHome,
    /// The name can't be that of a file in the folder.
    #[error("`{}` can't be the name of a model; expected the name of a file, without folders", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// The folder can't be read or made.
    #[error("{}: the folder of models can't be read or made: {source}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: Error,
    },
}

/// The folder `foldpoint/NAME` in the user's folder for caches (`XDG_CACHE_HOME` or `~/.cache`; on macOS
/// `~/Library/Caches`, on Windows `%LOCALAPPDATA%`), or the one that the variable names; nothing if nobody knows
/// where that would be. It need not be there yet.
pub fn cache_folder(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(variable).filter(|folder| !folder.is_empty()) {
        return Some(folder.into());
    }
    Some(choose_native_strategy().ok()?.cache_dir().join("foldpoint").join(name))
}

/// A folder of models. It need not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

/// A model in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

impl Store {
    /// The folder of this process's user.
    ///
    /// # Errors
    /// [`StoreError::NoHome`].
    pub fn of_user() -> Result<Self, StoreError> {
        if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            return Ok(Self::in_folder(folder));
        }
        let folders = choose_native_strategy().map_err(|_| StoreError::NoHome)?;
        Ok(Self::in_folder(folders.data_dir().join("foldpoint").join("models")))
    }

    /// The models in `folder`.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, unless it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn make(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.folder).map_err(|source| self.io(source))
    }

    /// Where the model called `name` is, or would be; the ending of its file may be given or not.
    ///
    /// # Errors
    /// [`StoreError::Name`].
    pub fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let stem = name.strip_suffix(ENDING).unwrap_or(name);
        let is_bad = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
        if stem.is_empty() || stem.starts_with('.') || stem.contains(is_bad) {
            return Err(StoreError::Name { name: name.to_owned() });
        }
        Ok(self.folder.join(format!("{stem}{ENDING}")))
    }

    /// The file of the model called `name`, if it is there.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.path(name).ok().filter(|path| path.is_file())
    }

    /// All models, by name.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a folder that isn't there holds none.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(source) => return Err(self.io(source)),
        };
        let mut models = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| self.io(source))?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(ENDING));
            if let Some(name) = name
                && self.find(name).is_some()
            {
                models.push(Entry { name: name.to_owned(), path });
            }
        }
        models.sort();
        Ok(models)
    }

    fn io(&self, source: Error) -> StoreError {
        StoreError::Io { folder: self.folder.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_files_with_the_ending_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("not/yet"));
        assert_eq!(store.list().unwrap(), []);
        store.make().unwrap();
        store.make().unwrap();
        for file in ["b.fpm", "a.v1.fpm", ".tmp123.fpm", "c.fpm.part", "d"] {
            fs::write(store.folder().join(file), "").unwrap();
        }
        fs::create_dir(store.folder().join("folder.fpm")).unwrap();
        let names: Vec<String> = store.list().unwrap().into_iter().map(|model| model.name).collect();
        assert_eq!(names, ["a.v1", "b"]);
        for name in ["a.v1", "a.v1.fpm"] {
            assert_eq!(store.find(name), Some(store.folder().join("a.v1.fpm")));
        }
        assert_eq!(store.find("c"), None);
        let file = Store::in_folder(store.folder().join("b.fpm"));
        assert!(matches!(file.list(), Err(StoreError::Io { .. })));
        assert!(matches!(file.make(), Err(StoreError::Io { .. })));
    }

    #[test]
    fn names_do_not_leave_the_folder() {
        let store = Store::in_folder("models");
        for name in ["", ".fpm", "..", "../a", "a/b", "a\\b", "c:a", ".hidden", "a\nb"] {
            assert!(matches!(store.path(name), Err(StoreError::Name { .. })), "{name}");
        }
        assert_eq!(store.path("esmfold_v1").unwrap(), Path::new("models/esmfold_v1.fpm"));
    }
}
