//! Checkpoints by name: from a hub's cache, and downloaded into it, against a local server that speaks the
//! hub's protocol.
#![cfg(unix)]

mod access;
mod cached;
mod command;
mod download;
#[path = "../fixture/mod.rs"]
mod fixture;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use quantizer::hub::{Hub, HubError, Name, Progress, Settings};
use tempfile::TempDir;

use fixture::golden;
use server::{Behaviour, Server};

/// The files of a small checkpoint, and what nothing needs.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let read = |name: &str| fs::read(golden("esm2-head16").join(name)).unwrap();
    vec![
        ("config.json", read("config.json")),
        ("model.safetensors", read("model.safetensors")),
        ("pytorch_model.bin", b"not needed".to_vec()),
        ("README.md", b"not needed".to_vec()),
    ]
}

fn serving(behaviour: Behaviour) -> Server {
    Server::start(files(), behaviour)
}

/// A cache that is empty, and the settings of a user who has it.
struct User {
    folder: TempDir,
    settings: Settings,
}

impl User {
    fn of(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            cache: folder.path().join("hub"),
            endpoint: server.endpoint.clone(),
            token: None,
            offline: None,
            certificates: None,
        };
        Self { folder, settings }
    }

    fn obtain(&self, name: &str) -> Result<PathBuf, HubError> {
        self.obtain_with(name, &mut |_| ())
    }

    fn obtain_with(&self, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
        Hub::new(self.settings.clone()).obtain(&Name::parse(name).unwrap(), progress)
    }

    /// The message of the error.
    fn error(&self, name: &str) -> String {
        self.obtain(name).unwrap_err().to_string()
    }

    fn repository(&self) -> PathBuf {
        self.settings.cache.join("models--lab--tiny")
    }

    fn blob(&self, server: &Server, file: &str) -> PathBuf {
        self.repository().join("blobs").join(server.file(file).etag())
    }

    /// What a download has left of `file`.
    fn incomplete(&self, server: &Server, file: &str) -> PathBuf {
        self.blob(server, file).with_extension("incomplete")
    }

    fn home(&self) -> &Path {
        self.folder.path()
    }

    /// All that is in the repository's cache, by path, sorted.
    fn list(&self) -> Vec<String> {
        let mut found = vec![];
        let mut folders = vec![self.repository()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push(entry.path()),
                }
            }
        }
        let mut found: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(self.repository()).unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        found
    }
}
