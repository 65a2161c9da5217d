//! The hub's cache, and downloads that aren't whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use quantizer::checkpoint::{Checkpoint, CheckpointError};
use tempfile::TempDir;

use crate::fixture::golden;
use crate::fixture::handmade::*;

pub const REVISION: &str = "c731040fcd8d73dceaa04b0a8e6329b345b0f5df";
const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache with one revision of `repository`, as Python's client writes it: links into `blobs`.
pub fn cache(root: &Path, repository: &str, revision: &str) -> PathBuf {
    let repository = root.join(repository);
    let snapshot = repository.join("snapshots").join(revision);
    for folder in [&repository.join("blobs"), &repository.join("refs"), &snapshot] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(repository.join("refs/main"), revision).unwrap();
    for (file, blob) in [("config.json", "facb9355"), ("model.safetensors", "24c5fa47")] {
        fs::copy(golden("esm2-head16").join(file), repository.join("blobs").join(blob)).unwrap();
        symlink(Path::new("../../blobs").join(blob), snapshot.join(file)).unwrap();
    }
    repository
}

fn name(path: &Path) -> String {
    Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}")).name().to_owned()
}

fn message(path: &Path) -> String {
    let error = open_error(path);
    assert!(matches!(error, CheckpointError::NotACheckpoint { .. }), "{error}");
    error.to_string()
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_repository_and_all_in_it_are_called_by_the_hubs_name() {
    let home = temporary();
    let hub = home.path().join("hub");
    let repository = cache(&hub, "models--facebook--esm2_t6_8M_UR50D", REVISION);
    let snapshot = repository.join("snapshots").join(REVISION);
    let places =
        [home.path().into(), hub, repository.clone(), repository.join("snapshots"), snapshot.clone()];
    for place in places {
        assert_eq!(name(&place), "facebook/esm2_t6_8M_UR50D@c731040", "{}", place.display());
    }
    assert_eq!(name(&snapshot.join("model.safetensors")), "facebook/esm2_t6_8M_UR50D@c731040");
    // A link to the snapshot is the snapshot.
    let link = home.path().join("esm2");
    symlink(&snapshot, &link).unwrap();
    assert_eq!(name(&link), "facebook/esm2_t6_8M_UR50D@c731040");
    // Files go by their own names, not by those of the blobs.
    let checkpoint = Checkpoint::open(&repository).unwrap();
    assert!(checkpoint.files().all(|file| file.ends_with("model.safetensors")));
    let bare = temporary();
    assert_eq!(name(&cache(bare.path(), "models--tiny", "main")), "tiny@main");
}

#[test]
fn refs_main_decides_between_snapshots() {
    let root = temporary();
    let repository = cache(root.path(), "models--facebook--esm2", REVISION);
    cache(root.path(), "models--facebook--esm2", OTHER);
    assert_eq!(name(&repository), "facebook/esm2@0123456");
    fs::write(repository.join("refs/main"), format!("{REVISION}\n")).unwrap();
    assert_eq!(name(&repository), "facebook/esm2@c731040");
    fs::write(repository.join("refs/main"), "f".repeat(40)).unwrap();
    assert!(message(&repository).contains("it names revision ffff"), "{}", message(&repository));
    fs::remove_file(repository.join("refs/main")).unwrap();
    let error = message(&repository);
    assert!(error.contains("no refs/main and several snapshots") && error.contains(REVISION), "{error}");
    fs::remove_dir_all(repository.join("snapshots").join(OTHER)).unwrap();
    assert_eq!(name(&repository), "facebook/esm2@c731040");
    fs::remove_dir_all(repository.join("snapshots").join(REVISION)).unwrap();
    assert!(message(&repository).contains("no snapshot"));
}

#[test]
fn a_cache_of_several_models_is_an_error_that_names_them() {
    let root = temporary();
    cache(root.path(), "models--facebook--esm2_t6_8M_UR50D", REVISION);
    cache(root.path(), "models--facebook--esmfold_v1", REVISION);
    fs::create_dir(root.path().join("datasets--a--b")).unwrap();
    let error = message(root.path());
    assert!(
        error.contains("give one of models--facebook--esm2_t6_8M_UR50D, models--facebook--esmfold_v1"),
        "{error}"
    );
}

#[test]
fn downloads_that_are_not_whole_are_said() {
    let root = temporary();
    let repository = cache(root.path(), "models--facebook--esm2", REVISION);
    fs::rename(repository.join("blobs/24c5fa47"), repository.join("blobs/24c5fa47.incomplete")).unwrap();
    let error = message(&repository);
    assert!(
        error.contains("model.safetensors: not a checkpoint: it is a link to ../../blobs/24c5fa47"),
        "{error}"
    );
    assert!(error.contains("the download was interrupted"), "{error}");
    fs::remove_file(repository.join("snapshots").join(REVISION).join("model.safetensors")).unwrap();
    let error = message(&repository);
    assert!(error.contains("download was interrupted (24c5fa47.incomplete is left of it)"), "{error}");

    let pointer = folder("esm2-head16");
    let text = "version https://git-lfs.github.com/spec/v1\noid sha256:24c5\nsize 31384292\n";
    fs::write(pointer.path().join("model.safetensors"), text).unwrap();
    assert!(message(pointer.path()).contains("a pointer of Git LFS"), "{}", message(pointer.path()));
    fs::write(pointer.path().join("model.safetensors"), "").unwrap();
    assert!(message(pointer.path()).contains("it is empty (0 bytes)"));
    fs::write(pointer.path().join("model.safetensors"), "<!DOCTYPE html><html>").unwrap();
    assert!(message(pointer.path()).contains("a web page"));
}
