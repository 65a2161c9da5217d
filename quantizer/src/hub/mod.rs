//! Checkpoints by their names at the hub (`ORG/NAME`, `ORG/NAME@REVISION`): found in the cache that Python's
//! `huggingface_hub` reads and writes, else downloaded into it.
//!
//! Each module uses only those above it:
//!
//! - `name` and [`Settings`] are what is asked for, and what the environment says, in Python's words;
//! - `cache` is the layout on disk: `blobs/ETAG`, `snapshots/COMMIT/FILE`, `refs/REVISION`;
//! - `needed` says which files of a repository a checkpoint is read from;
//! - `advice` tells what to do without a network, `checksum` is what the hub calls files by;
//! - `client` speaks HTTP, and gives the token to nobody but the hub;
//! - `download` brings one file, in as many pieces as it takes, and checks it.

mod advice;
mod cache;
mod checksum;
mod client;
mod download;
mod error;
mod name;
mod needed;
mod settings;

use std::path::{Path, PathBuf};

use crate::checkpoint::Config;

use cache::Repository;
use client::Client;
pub use error::HubError;
pub use name::Name;
pub use settings::{Settings, Token};

/// What happens in a download, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A file begins, of which `done` of `size` bytes are there already.
    File {
        /// Its name in the repository.
        name: &'a str,
        /// Bytes in all.
        size: u64,
        /// Bytes that an earlier run has left.
        done: u64,
    },
    /// So many bytes more have come.
    Bytes(u64),
    /// Something that a user should know.
    Note(&'a str),
}

/// The hub: its cache on this machine, and the server.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// The hub that `settings` describe.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The folder of the snapshot `name`, with all files in it that a checkpoint is read from.
    ///
    /// A snapshot that is whole in the cache is taken as it is, and no server is asked: a branch is the
    /// commit that it was when it was downloaded. What is missing is downloaded, and checked; `progress`
    /// hears of it.
    ///
    /// # Errors
    /// Any [`HubError`].
    pub fn obtain(&self, name: &Name, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
        let repository = Repository::new(&self.settings.cache, name.repository());
        let cached = repository.snapshot(name.revision(), self.settings.offline.is_some())?;
        let missing = cached.as_deref().map(needed::missing_in).transpose()?;
        match (cached, &missing) {
            (Some(snapshot), Some(missing)) if missing.is_empty() => return Ok(snapshot),
            _ => {}
        }
        let missing = missing.unwrap_or_default();
        if let Some(variable) = self.settings.offline {
            let advice = advice::copy(name, &self.settings, &repository, &missing);
            return Err(HubError::Offline { name: name.to_string(), variable, advice });
        }
        let client = Client::new(&self.settings)?;
        self.download(name, &repository, &client, progress).map_err(|error| match error {
            HubError::Unreachable { url, reason, .. } => {
                let advice = advice::copy(name, &self.settings, &repository, &missing);
                HubError::Unreachable { url, reason, advice }
            }
            other => other,
        })
    }

    fn download(
        &self,
        name: &Name,
        repository: &Repository,
        client: &Client<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, HubError> {
        let listing = client.listing(name)?;
        let snapshot = repository.snapshot_folder(&listing.commit);
        let (id, commit) = (name.repository(), listing.commit.as_str());
        let mut fetch = |file: &str| -> Result<PathBuf, HubError> {
            let pointer = snapshot.join(file);
            if !pointer.is_file() {
                let remote = client.metadata(id, commit, file)?;
                let blob = download::blob(client, repository, &remote, progress)?;
                repository.link(&blob, &pointer, file)?;
            }
            Ok(pointer)
        };
        let needed = needed::of_repository(id, &listing.files)?;
        for file in &needed.configurations {
            let path = fetch(file)?;
            // What can't be read is told before gigabytes of weights are fetched for it. (Beside an adapter's it
            // may say anything.)
            if file == needed::CONFIG && needed.configurations.len() == 1 {
                Config::read(&path)?;
            }
        }
        for file in &needed.weights {
            let path = fetch(file)?;
            if file.ends_with(needed::INDEX) {
                for shard in needed::shards(&path)? {
                    if !listing.files.contains(&shard) {
                        return Err(HubError::NoShard { name: name.to_string(), index: file.clone(), shard });
                    }
                    fetch(&shard)?;
                }
            }
        }
        repository.remember(name.revision(), commit)?;
        Ok(snapshot)
    }

    /// Where the cache is.
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }
}
