//! What a path that a user gives means: a folder, a file, or a place in a hub's cache; and what to call it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::CheckpointError;

/// A folder or file, and its name for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Where the files are.
    pub path: PathBuf,
    /// `facebook/esm2_t6_8M_UR50D@c731040` in a hub's cache; else the name of the folder or file.
    pub name: String,
}

/// How a folder of the hub's cache that holds one repository begins.
const REPOSITORY: &str = "models--";
/// Characters of a revision's hash that are shown.
const SHORT_HASH: usize = 7;

/// Finds what `path` means.
///
/// # Errors
/// It doesn't exist, or is a hub's cache of which one revision can't be chosen.
pub fn locate(path: &Path) -> Result<Place, CheckpointError> {
    let kind = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if !kind.is_dir() {
        // A file in a snapshot is a link into `blobs`; its folder says where it belongs.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = hub_name(&canonical(folder)).unwrap_or_else(|| file_name(path));
        return Ok(Place { path: path.into(), name });
    }
    let real = canonical(path);
    if real.file_name().is_some_and(|name| name == "snapshots") && is_repository(real.parent()) {
        return snapshot(real.parent().unwrap_or(&real));
    }
    if is_repository(Some(path)) {
        return snapshot(path);
    }
    for cache in [path.to_path_buf(), path.join("hub")] {
        let repositories = folders(&cache, |name| name.starts_with(REPOSITORY))?;
        match repositories.as_slice() {
            [] => {}
            [one] => return snapshot(one),
            _ => {
                let names: Vec<String> = repositories.iter().map(|folder| file_name(folder)).collect();
                let reason = format!("it is a cache of several models; give one of {}", names.join(", "));
                return Err(CheckpointError::NotACheckpoint { path: cache, reason });
            }
        }
    }
    Ok(Place { path: path.into(), name: hub_name(&real).unwrap_or_else(|| file_name(&real)) })
}

/// Whether there is a file at `path`.
///
/// # Errors
/// There is a link to a file that isn't there, as an interrupted download leaves it.
pub fn is_file(path: &Path) -> Result<bool, CheckpointError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(source) if source.kind() != ErrorKind::NotFound || path.is_symlink() => {
            Err(unreadable(path, source))
        }
        Err(_) => Ok(false),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> CheckpointError {
    match std::fs::read_link(path) {
        Ok(target) if source.kind() == ErrorKind::NotFound => CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!(
                "it is a link to {}, which isn't there; the download was interrupted, or the cache was copied without its \
                 `blobs`: fetch it again",
                target.display()
            ),
        },
        _ => CheckpointError::Io { path: path.into(), source },
    }
}

fn is_repository(folder: Option<&Path>) -> bool {
    folder.is_some_and(|folder| {
        folder.join("snapshots").is_dir()
            && (canonical(folder)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(REPOSITORY))
                || folder.join("refs").is_dir())
    })
}

/// The snapshot of `repository` that `refs/main` names; without that, the only one.
fn snapshot(repository: &Path) -> Result<Place, CheckpointError> {
    let not_one = |path: &Path, reason: String| CheckpointError::NotACheckpoint { path: path.into(), reason };
    let snapshots = repository.join("snapshots");
    let main = repository.join("refs").join("main");
    let path = match std::fs::read_to_string(&main) {
        Ok(revision) => {
            let path = snapshots.join(revision.trim());
            if revision.trim().is_empty() || !path.is_dir() {
                let reason = format!(
                    "it names revision {}, which isn't in {}; fetch it again, or give one of its folders",
                    revision.trim(),
                    snapshots.display()
                );
                return Err(not_one(&main, reason));
            }
            path
        }
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(CheckpointError::Io { path: main, source });
        }
        Err(_) => {
            let mut revisions = folders(&snapshots, |_| true)?;
            match (revisions.pop(), revisions.len()) {
                (Some(one), 0) => one,
                (None, _) => return Err(not_one(repository, "it has no snapshot; fetch it again".into())),
                (Some(last), _) => {
                    revisions.push(last);
                    let names: Vec<String> = revisions.iter().map(|path| file_name(path)).collect();
                    let reason = format!(
                        "it has no refs/main and several snapshots; give one of the folders {} in {}",
                        names.join(", "),
                        snapshots.display()
                    );
                    return Err(not_one(repository, reason));
                }
            }
        }
    };
    let name = hub_name(&canonical(&path)).unwrap_or_else(|| file_name(&path));
    Ok(Place { path, name })
}

/// Folders in `parent` whose names `wanted` takes, in alphabetical order.
pub fn folders(parent: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, CheckpointError> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(source) => return Err(CheckpointError::Io { path: parent.into(), source }),
    };
    let names = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    let mut folders: Vec<PathBuf> = names.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// `ORG/NAME@REVISION` if `folder` is a snapshot in a hub's cache.
fn hub_name(folder: &Path) -> Option<String> {
    let snapshots =
        folder.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"))?;
    let repository = snapshots.parent()?.file_name()?.to_str()?.strip_prefix(REPOSITORY)?.replace("--", "/");
    let revision = folder.file_name()?.to_str()?;
    let is_hash = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    Some(format!("{repository}@{}", if is_hash { &revision[..SHORT_HASH] } else { revision }))
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
