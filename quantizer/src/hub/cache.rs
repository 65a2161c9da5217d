//! The cache on disk, as Python's `huggingface_hub` lays it out:
//!
//! ```text
//! models--ORG--NAME/blobs/ETAG             the files, called by their hashes
//! models--ORG--NAME/snapshots/COMMIT/FILE  relative links to them
//! models--ORG--NAME/refs/REVISION          the commit that a branch or a tag was
//! .locks/models--ORG--NAME/ETAG.lock       held by whoever downloads that blob
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::HubError;
use super::name::{DEFAULT_REVISION, is_hash, is_plain};
use crate::checkpoint::locate::folders;

/// Characters of a whole commit.
const COMMIT: usize = 40;

/// One repository's part of the cache.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

/// The right to write a blob, for as long as it lives.
pub struct Lock {
    /// `None` where the file system knows no locks.
    file: Option<File>,
}

impl Lock {
    /// Whether nobody else writes the blob.
    pub fn is_held(&self) -> bool {
        self.file.is_some()
    }
}

impl Repository {
    /// The part of the folder `cache` that belongs to the repository `id`, `ORG/NAME`.
    pub fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The snapshot of `revision` that is here, whole or not. A cache that was copied without `refs` counts
    /// only if nothing better can be had, which is when `offline`.
    ///
    /// # Errors
    /// The cache can't be read.
    pub fn snapshot(&self, revision: &str, offline: bool) -> Result<Option<PathBuf>, HubError> {
        let snapshots = self.folder.join("snapshots");
        let reference = self.reference(revision);
        let commit = match fs::read_to_string(&reference) {
            Ok(commit) => Some(commit.trim().to_owned()).filter(|commit| is_plain(commit)),
            Err(source)
                if matches!(
                    source.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                ) =>
            {
                None
            }
            Err(source) => return Err(HubError::Io { path: reference, source }),
        };
        if let Some(commit) = commit {
            return Ok(Some(snapshots.join(commit)).filter(|folder| folder.is_dir()));
        }
        let begins = |name: &str| is_hash(revision) && name.starts_with(revision);
        let alone = revision == DEFAULT_REVISION && offline;
        let mut found = folders(&snapshots, |name| begins(name) || alone)?;
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    /// The folder of the snapshot of `commit`.
    pub fn snapshot_folder(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where the file with this hash is, or will be.
    pub fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// Waits until nobody else, Python's client included, writes the blob `hash`; `wait` is called if that
    /// takes time.
    ///
    /// # Errors
    /// The lock's file can't be made.
    pub fn lock(&self, hash: &str, wait: impl FnOnce()) -> Result<Lock, HubError> {
        let path = self.locks.join(format!("{hash}.lock"));
        let io = |source| HubError::Io { path: path.clone(), source };
        fs::create_dir_all(&self.locks).map_err(io)?;
        let file = File::options().create(true).append(true).open(&path).map_err(io)?;
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                wait();
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        // Some network file systems have none; then each writes a file of its own.
        Ok(Lock { file: locked.is_ok().then_some(file) })
    }

    /// Puts the file `blob` into a snapshot as `pointer`, whose path there is `file`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn link(&self, blob: &Path, pointer: &Path, file: &str) -> Result<(), HubError> {
        let io = |source| HubError::Io { path: pointer.into(), source };
        let folder = pointer.parent().unwrap_or(pointer);
        fs::create_dir_all(folder).map_err(io)?;
        let up = "../".repeat(2 + file.matches('/').count());
        let target = format!("{up}blobs/{}", blob.file_name().unwrap_or_default().display());
        // Under another name first, so that there is never half a link, nor none where one was.
        let temporary = tempfile::Builder::new().prefix(".foldpoint-").tempdir_in(folder).map_err(io)?;
        let link = temporary.path().join("link");
        point(Path::new(&target), blob, &link).map_err(io)?;
        fs::rename(&link, pointer).map_err(io)
    }

    /// Writes down that `revision` is `commit`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if commit.starts_with(revision) {
            return Ok(());
        }
        let path = self.reference(revision);
        let io = |source| HubError::Io { path: path.clone(), source };
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        file.write_all(commit.as_bytes()).map_err(io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// Whether `commit` is a whole commit's hash.
    pub fn is_commit(commit: &str) -> bool {
        commit.len() == COMMIT && is_hash(commit)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }
}

/// Makes `link` a relative link to `target`.
#[cfg(unix)]
fn point(target: &Path, _blob: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Makes `link` a relative link to `target`, or, where users may make none, another name of the file `blob`.
#[cfg(not(unix))]
fn point(target: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    #[cfg(windows)]
    if std::os::windows::fs::symlink_file(target, link).is_ok() {
        return Ok(());
    }
    let _ = target;
    fs::hard_link(blob, link).or_else(|_| fs::copy(blob, link).map(drop))
}
