//! What a run has done so far, in a folder beside the file it will write, so that a killed one goes on where
//! it was.
//!
//! The folder has one record for each finished step, written whole or not at all, with a checksum; and the
//! identity of the run, so that a run with another checkpoint or other options doesn't go on with it.

mod error;
mod floats;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use foldpoint_core::format::checksum;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::WorkError;
pub use floats::Floats;

/// What a run is made of, by what each is called in messages: `checkpoint`, `options` and so on.
pub type Identity = BTreeMap<String, String>;

const IDENTITY: &str = "identity.json";

/// Only one run has the folder at a time.
const LOCK: &str = "lock";

/// The folder of a run.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    is_resumed: bool,
    /// Locked until it is closed.
    _lock: File,
}

impl Work {
    /// Makes the folder, or opens it if a run with the same `identity` has left it.
    ///
    /// # Errors
    /// Another run uses it, or has left it; or it can't be made or read.
    pub fn open(folder: &Path, identity: &Identity) -> Result<Self, WorkError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            |source| WorkError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(fault(folder))?;
        let lock = folder.join(LOCK);
        let file = OpenOptions::new().create(true).append(true).open(&lock).map_err(fault(&lock))?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(WorkError::Busy { folder: folder.into() }),
            Err(TryLockError::Error(source)) => return Err(fault(&lock)(source)),
        }
        let mut work = Self { folder: folder.to_owned(), is_resumed: false, _lock: file };
        let path = folder.join(IDENTITY);
        match fs::read(&path) {
            Ok(text) => {
                let damaged = |_| WorkError::Damaged { path: path.clone() };
                let found: Identity = serde_json::from_slice(&text).map_err(damaged)?;
                let other =
                    found.keys().chain(identity.keys()).find(|key| found.get(*key) != identity.get(*key));
                match other {
                    Some(what) => Err(WorkError::Other { folder: folder.into(), what: what.clone() }),
                    None => {
                        work.is_resumed = true;
                        Ok(work)
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = serde_json::to_vec_pretty(identity).map_err(io::Error::from);
                text.and_then(|text| work.replace(IDENTITY, &[&text])).map_err(fault(&path))?;
                Ok(work)
            }
            Err(source) => Err(fault(&path)(source)),
        }
    }

    /// Whether an earlier run has left it.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps record `name`, in place of the one of that name.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn save(&self, name: &str, value: &impl Serialize) -> Result<(), WorkError> {
        let fault = |source| WorkError::Io { path: self.path(name), source };
        let bytes = postcard::to_stdvec(value).map_err(|error| fault(io::Error::other(error)))?;
        self.replace(name, &[&checksum(&bytes).to_le_bytes(), &bytes]).map_err(fault)
    }

    /// Record `name`; `None` if there is none.
    ///
    /// # Errors
    /// It can't be read, or isn't as it was written.
    pub(crate) fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, WorkError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WorkError::Io { path, source }),
        };
        let record =
            bytes.split_first_chunk().filter(|(sum, rest)| u32::from_le_bytes(**sum) == checksum(rest));
        let value = record.and_then(|(_, record)| postcard::from_bytes(record).ok());
        value.map(Some).ok_or(WorkError::Damaged { path })
    }

    /// Drops record `name`, if there is one.
    ///
    /// # Errors
    /// It can't be removed.
    pub(crate) fn drop_record(&self, name: &str) -> Result<(), WorkError> {
        match fs::remove_file(self.path(name)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(WorkError::Io { path: self.path(name), source })
            }
            _ => Ok(()),
        }
    }

    /// Removes the folder: the run has come to its end. `last_first` is what the names of records begin with
    /// that were made from others: they go first, in this order, so that a kill leaves what a run can go on
    /// with.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(self, last_first: &[&str]) -> Result<(), WorkError> {
        let fault = |source| WorkError::Io { path: self.folder.clone(), source };
        let remove = || -> io::Result<()> {
            let entries = fs::read_dir(&self.folder)?.collect::<io::Result<Vec<_>>>()?;
            let mut files: Vec<(usize, PathBuf)> = entries
                .iter()
                .map(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let made = last_first.iter().position(|prefix| name.starts_with(prefix));
                    (made.unwrap_or(last_first.len() + usize::from(name == IDENTITY)), entry.path())
                })
                .collect();
            files.sort();
            files.iter().try_for_each(|(_, path)| fs::remove_file(path))?;
            fs::remove_dir(&self.folder)
        };
        remove().map_err(fault)
    }

    /// A kill leaves the old file or the new one, never a part. What a power cut leaves is found out by the
    /// checksum: syncing every record would take longer than some steps do.
    fn replace(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let part = self.path(&format!("{name}.part"));
        let mut file = File::create(&part)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&part, self.path(name))
    }
}

#[cfg(test)]
mod tests;
