//! What is in the cache is taken from there.

use std::fs;

use quantizer::hub::HubError;

use crate::server::{Behaviour, COMMIT};
use crate::{User, serving};

fn offline(user: &mut User) {
    user.settings.offline = Some("HF_HUB_OFFLINE");
}

#[test]
fn a_second_run_asks_nobody() {
    let server = serving(Behaviour::default());
    let mut user = User::of(&server);
    let snapshot = user.obtain("lab/tiny").unwrap();
    let requests = server.requests().len();
    let names = ["lab/tiny", "lab/tiny@main", &format!("lab/tiny@{COMMIT}"), "lab/tiny@c731040"];
    for name in names {
        assert_eq!(user.obtain(name).unwrap(), snapshot, "{name}");
    }
    offline(&mut user);
    for name in names {
        assert_eq!(user.obtain(name).unwrap(), snapshot, "{name}");
    }
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_revision_may_have_slashes() {
    let server = serving(Behaviour::default());
    let mut user = User::of(&server);
    let snapshot = user.obtain("lab/tiny@refs/pr/1").unwrap();
    assert_eq!(fs::read_to_string(user.repository().join("refs/refs/pr/1")).unwrap(), COMMIT);
    offline(&mut user);
    assert_eq!(user.obtain("lab/tiny@refs/pr/1").unwrap(), snapshot);
    assert!(!user.repository().join("refs/main").exists());
}

#[test]
fn a_commit_has_no_reference() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    user.obtain("lab/tiny@c731040").unwrap();
    assert!(!user.repository().join("refs").exists());
}

#[test]
fn offline_says_what_is_missing_and_what_to_copy() {
    let server = serving(Behaviour::default());
    let mut user = User::of(&server);
    offline(&mut user);
    let error = user.obtain("lab/tiny@v2").unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.starts_with("lab/tiny@v2: not in the hub's cache, and HF_HUB_OFFLINE forbids the network"),
        "{error}"
    );
    let folder = user.repository().display().to_string();
    for part in
        ["`hf download lab/tiny --revision v2`", "~/.cache/huggingface/hub/models--lab--tiny", &folder]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(error.contains(&format!("{}/lab/tiny/tree/v2", server.endpoint)), "{error}");
    assert_eq!(server.requests().len(), 0);

    user.settings.offline = None;
    let snapshot = user.obtain("lab/tiny").unwrap();
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    offline(&mut user);
    let error = user.error("lab/tiny");
    assert!(error.contains("What is there of it lacks model.safetensors."), "{error}");
}

#[test]
fn a_copy_without_references_does_offline_alone() {
    let server = serving(Behaviour::default());
    let mut user = User::of(&server);
    let snapshot = user.obtain("lab/tiny").unwrap();
    fs::remove_dir_all(user.repository().join("refs")).unwrap();
    let requests = server.requests().len();
    user.obtain("lab/tiny").unwrap();
    assert!(server.requests().len() > requests, "which commit main is, the hub says");
    fs::remove_dir_all(user.repository().join("refs")).unwrap();
    offline(&mut user);
    assert_eq!(user.obtain("lab/tiny").unwrap(), snapshot);
    fs::create_dir(user.repository().join("snapshots/0000")).unwrap();
    assert!(user.error("lab/tiny").contains("not in the hub's cache"), "one of two can't be chosen");
}

#[test]
fn a_link_to_nothing_is_fetched_again() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let snapshot = user.obtain("lab/tiny").unwrap();
    fs::remove_file(user.blob(&server, "model.safetensors")).unwrap();
    assert_eq!(user.obtain("lab/tiny").unwrap(), snapshot);
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), server.file("model.safetensors").bytes);
}
