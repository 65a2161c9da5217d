//! One file: fetched in as many pieces as it takes, checked, and only then put in its place.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;

use ureq::http::StatusCode;

use super::cache::Repository;
use super::checksum::Hasher;
use super::client::{ATTEMPTS, Client, Remote, pause};
use super::{HubError, Progress};
use crate::space;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// What of a file is here.
struct Part<'a> {
    remote: &'a Remote,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    done: u64,
}

/// The path of the blob of `remote`, downloaded unless it is there.
///
/// What has come of it is in `ETAG.incomplete`, where the next run goes on.
///
/// # Errors
/// It can't be fetched or written, or isn't what the hub says that it is; then nothing of it stays.
pub fn blob(
    client: &Client<'_>,
    repository: &Repository,
    remote: &Remote,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let hash = remote.etag.hash();
    let blob = repository.blob(hash);
    let wait = || progress(Progress::Note(&format!("waiting for another download of {}", remote.file)));
    let lock = repository.lock(hash, wait)?;
    // Perhaps by the one that was waited for. What it is was checked before it got this name.
    if fs::metadata(&blob).is_ok_and(|found| found.len() == remote.size) {
        return Ok(blob);
    }
    let folder = blob.parent().unwrap_or(&blob);
    fs::create_dir_all(folder).map_err(|source| HubError::Io { path: folder.into(), source })?;
    let own = if lock.is_held() { String::new() } else { format!(".{}", std::process::id()) };
    let incomplete = folder.join(format!("{hash}{own}.incomplete"));
    let mut part = Part::open(remote, incomplete.clone())?;
    space::require(folder, remote.size - part.done)
        .map_err(|source| HubError::NoSpace { file: remote.file.clone(), source })?;
    let resumed = part.done > 0;
    progress(Progress::File { name: &remote.file, size: remote.size, done: part.done });
    part.fetch(client, progress)?;
    let mut checked = part.check();
    if checked.is_err() && resumed {
        // What an earlier run left may have been the fault.
        progress(Progress::Note(&format!(
            "what was left of {} was damaged; it is fetched again",
            remote.file
        )));
        let mut part = Part::open(remote, incomplete.clone())?;
        progress(Progress::File { name: &remote.file, size: remote.size, done: 0 });
        part.fetch(client, progress)?;
        checked = part.check();
    }
    checked?;
    fs::rename(&incomplete, &blob).map_err(|source| HubError::Io { path: blob.clone(), source })?;
    Ok(blob)
}

impl<'a> Part<'a> {
    /// Opens what is there of `remote` at `path`.
    fn open(remote: &'a Remote, path: PathBuf) -> Result<Self, HubError> {
        let io = |source| HubError::Io { path: path.clone(), source };
        let file = File::options().read(true).append(true).create(true).open(&path).map_err(io)?;
        let mut part = Self { remote, path, file, hasher: remote.etag.hasher(remote.size), done: 0 };
        if part.file.metadata().map_err(|source| part.io(source))?.len() > remote.size {
            part.restart()?;
        }
        let mut piece = vec![0; PIECE];
        loop {
            match part.file.read(&mut piece) {
                Ok(0) => return Ok(part),
                Ok(count) => {
                    part.hasher.update(&piece[..count]);
                    part.done += count as u64;
                }
                Err(source) => return Err(part.io(source)),
            }
        }
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(|source| self.io(source))?;
        self.hasher = self.remote.etag.hasher(self.remote.size);
        self.done = 0;
        Ok(())
    }

    /// Fetches what lacks. A connection that breaks is made again; it fails for good once nothing more
    /// comes.
    fn fetch(&mut self, client: &Client<'_>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        let mut failures = 0;
        while self.done < self.remote.size {
            let before = self.done;
            let Err(reason) = self.piece(client, progress)? else { continue };
            failures = if self.done > before { 1 } else { failures + 1 };
            if failures >= ATTEMPTS {
                let (file, done, size) = (self.remote.file.clone(), self.done, self.remote.size);
                return Err(HubError::Stopped { file, done, size, reason });
            }
            sleep(pause(failures));
        }
        Ok(())
    }

    /// One answer, as far as it goes; the inner error says why it ended early.
    fn piece(
        &mut self,
        client: &Client<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Result<(), String>, HubError> {
        let remote = self.remote;
        let answer = client.content(remote, self.done)?;
        let continues = answer.status() == StatusCode::PARTIAL_CONTENT && begins_at(&answer, self.done);
        if self.done > 0 && !continues {
            // The server doesn't know ranges, or these: from the beginning, then.
            self.restart()?;
            progress(Progress::File { name: &remote.file, size: remote.size, done: 0 });
        }
        if !continues && answer.status() != StatusCode::OK {
            return Ok(Err("the server answered with another part of the file".into()));
        }
        let mut body = answer.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        while self.done < remote.size {
            let count = match body.read(&mut piece) {
                Ok(0) => return Ok(Err("the connection ended".into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error.to_string())),
            };
            let count = count.min(usize::try_from(remote.size - self.done).unwrap_or(count));
            self.file.write_all(&piece[..count]).map_err(|source| self.io(source))?;
            self.hasher.update(&piece[..count]);
            self.done += count as u64;
            progress(Progress::Bytes(count as u64));
        }
        Ok(Ok(()))
    }

    /// Compares the hash of all bytes, and removes them if it is another.
    fn check(self) -> Result<(), HubError> {
        let found = self.hasher.finish();
        let (etag, io) = (&self.remote.etag, |source| HubError::Io { path: self.path.clone(), source });
        if found == etag.hash() {
            return self.file.sync_all().map_err(io);
        }
        remove(&self.path).map_err(io)?;
        Err(HubError::Checksum {
            file: self.remote.url.clone(),
            algorithm: etag.algorithm(),
            expected: etag.hash().to_owned(),
            found,
        })
    }

    fn io(&self, source: io::Error) -> HubError {
        HubError::Io { path: self.path.clone(), source }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the answer says that its bytes begin at `offset`.
fn begins_at<B>(answer: &ureq::http::Response<B>, offset: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|value| value.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(offset))
}
