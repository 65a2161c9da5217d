//! What is fetched, how, and what is left if it goes wrong.

use std::fs;
use std::path::Path;

use quantizer::checkpoint::Checkpoint;
use quantizer::hub::{HubError, Progress};

use crate::server::{Behaviour, COMMIT, Server};
use crate::{User, files, serving};

const WEIGHTS: &str = "model.safetensors";

#[test]
fn the_cache_is_laid_out_as_python_reads_it() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let mut seen = vec![];
    let snapshot = user.obtain_with("lab/tiny", &mut |progress| seen.push(format!("{progress:?}"))).unwrap();
    assert_eq!(snapshot, user.repository().join("snapshots").join(COMMIT));
    let (config, weights) = (server.file("config.json"), server.file(WEIGHTS));
    let mut expected = [
        format!("blobs/{}", config.etag()),
        format!("blobs/{}", weights.etag()),
        "refs/main".to_owned(),
        format!("snapshots/{COMMIT}/config.json"),
        format!("snapshots/{COMMIT}/{WEIGHTS}"),
    ];
    expected.sort();
    assert_eq!(user.list(), expected, "and nothing that isn't needed");
    assert_eq!(fs::read_to_string(user.repository().join("refs/main")).unwrap(), COMMIT);
    for (name, file) in [("config.json", config), (WEIGHTS, weights)] {
        let target = fs::read_link(snapshot.join(name)).unwrap();
        assert_eq!(target, Path::new("../../blobs").join(file.etag()));
        assert_eq!(fs::read(snapshot.join(name)).unwrap(), file.bytes);
    }
    let begins = Progress::File { name: WEIGHTS, size: weights.bytes.len() as u64, done: 0 };
    assert!(seen.contains(&format!("{begins:?}")), "{seen:?}");
    assert_eq!(Checkpoint::open(&snapshot).unwrap().name(), "lab/tiny@c731040");
}

#[test]
fn redirects_are_followed_and_the_token_stays_with_the_hub() {
    let server = serving(Behaviour { closed: Some("GatedRepo"), ..Behaviour::default() });
    let user = User::with_token(&server);
    user.obtain("lab/tiny").unwrap();
    let (hub, other): (Vec<_>, Vec<_>) = server.requests().into_iter().partition(|request| request.hub);
    assert!(hub.iter().all(|request| request.headers["authorization"] == "Bearer hf_open"), "{hub:?}");
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].headers.get("authorization"), None, "{other:?}");
    assert!(other[0].path.ends_with("?signature=x"));
}

#[test]
fn a_repository_that_was_renamed_is_found_within_the_hub() {
    let server = serving(Behaviour { moved: true, ..Behaviour::default() });
    User::of(&server).obtain("lab/tiny").unwrap();
}

#[test]
fn a_cut_connection_is_made_again_where_it_ended() {
    let server = serving(Behaviour { cuts: vec![1000, 0, 5000], ..Behaviour::default() });
    let user = User::of(&server);
    let snapshot = user.obtain("lab/tiny").unwrap();
    assert_eq!(fs::read(snapshot.join(WEIGHTS)).unwrap(), server.file(WEIGHTS).bytes);
    let downloads = server.downloads();
    let ranges: Vec<_> = downloads.iter().map(|request| request.headers.get("range").cloned()).collect();
    let range = |from: usize| Some(format!("bytes={from}-"));
    assert_eq!(ranges, [None, range(1000), range(1000), range(6000)]);
}

#[test]
fn a_download_that_is_given_up_goes_on_in_the_next_run() {
    let server = serving(Behaviour { cuts: vec![1000, 0, 0, 0, 0, 0, 0], ..Behaviour::default() });
    let user = User::of(&server);
    let error = user.error("lab/tiny");
    let size = server.file(WEIGHTS).bytes.len();
    assert!(error.contains(&format!("{WEIGHTS}: the download stopped at 1000 of {size} bytes")), "{error}");
    assert_eq!(fs::metadata(user.incomplete(&server, WEIGHTS)).unwrap().len(), 1000);
    assert!(!user.blob(&server, WEIGHTS).exists());
    server.behave(|behaviour| behaviour.cuts.clear());
    let before = server.downloads().len();
    let mut done = vec![];
    user.obtain_with("lab/tiny", &mut |progress| {
        if let Progress::File { done: bytes, .. } = progress {
            done.push(bytes);
        }
    })
    .unwrap();
    assert_eq!(done, [1000]);
    assert_eq!(server.downloads()[before].headers["range"], "bytes=1000-");
    assert!(!user.incomplete(&server, WEIGHTS).exists());
    assert_eq!(fs::read(user.blob(&server, WEIGHTS)).unwrap(), server.file(WEIGHTS).bytes);
}

#[test]
fn a_file_that_has_no_room_is_refused_before_any_of_it_comes() {
    let headers = "X-Repo-Commit: c731040fcd8d73dceaa04b0a8e6329b345b0f5df\r\n\
                   X-Linked-Etag: \"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\"\r\n\
                   X-Linked-Size: 1000000000000000000\r\nLocation: http://127.0.0.1:9/none\r\n";
    let server = serving(Behaviour { answers: vec![(WEIGHTS, 302, headers)], ..Behaviour::default() });
    let error = User::of(&server).obtain("lab/tiny").unwrap_err();
    assert!(matches!(error, HubError::NoSpace { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("{WEIGHTS}: ")) && text.contains("1000000000.0 GB are to be written"),
        "{text}"
    );
    assert!(server.downloads().is_empty());
}

#[test]
fn servers_without_ranges_send_all_again() {
    let server = serving(Behaviour { cuts: vec![1000], ignores_ranges: true, ..Behaviour::default() });
    let user = User::of(&server);
    user.obtain("lab/tiny").unwrap();
    assert_eq!(fs::read(user.blob(&server, WEIGHTS)).unwrap(), server.file(WEIGHTS).bytes);
}

#[test]
fn wrong_bytes_never_get_the_files_name() {
    let server = serving(Behaviour { corrupts: true, ..Behaviour::default() });
    let user = User::of(&server);
    let error = user.obtain("lab/tiny").unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("SHA-256") && text.contains(&server.file(WEIGHTS).etag()), "{text}");
    assert!(
        user.list()
            .iter()
            .all(|path| path.ends_with("config.json") || path.contains(&server.file("config.json").etag()))
    );
    server.behave(|behaviour| behaviour.corrupts = false);
    user.obtain("lab/tiny").unwrap();
}

#[test]
fn small_files_are_checked_too() {
    let mut wrong = files();
    wrong[0].1.push(b' ');
    let (right, wrong) = (serving(Behaviour::default()), Server::start(wrong, Behaviour::default()));
    // What is of the right size and name on the way, but of other content.
    let user = User::of(&right);
    let incomplete = user.incomplete(&right, "config.json");
    fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
    let bytes = &wrong.file("config.json").bytes;
    let size = right.file("config.json").bytes.len();
    fs::write(&incomplete, &bytes[bytes.len() - size..]).unwrap();
    let mut notes = vec![];
    let snapshot = user
        .obtain_with("lab/tiny", &mut |progress| {
            if let Progress::Note(text) = progress {
                notes.push(text.to_owned());
            }
        })
        .unwrap();
    assert_eq!(notes, ["what was left of config.json was damaged; it is fetched again"]);
    assert_eq!(fs::read(snapshot.join("config.json")).unwrap(), right.file("config.json").bytes);
}

#[test]
fn shards_are_those_that_the_index_names() {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let all = [
        ("config.json", files()[0].1.clone()),
        ("model.safetensors.index.json", index.into()),
        ("model-00001-of-00002.safetensors", b"first".to_vec()),
        ("model-00002-of-00002.safetensors", b"second".to_vec()),
        ("model-00003-of-00002.safetensors", b"not needed".to_vec()),
    ];
    let server = Server::start(all.clone(), Behaviour::default());
    let user = User::of(&server);
    let snapshot = user.obtain("lab/tiny").unwrap();
    let mut names: Vec<String> = fs::read_dir(&snapshot)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<&str> = all[..4].iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    // One that is lost is fetched alone.
    fs::remove_file(snapshot.join(all[3].0)).unwrap();
    fs::remove_file(user.blob(&server, all[3].0)).unwrap();
    let before = server.downloads().len();
    user.obtain("lab/tiny").unwrap();
    assert_eq!(server.downloads().len(), before + 1);

    let lost = Server::start(all[..3].to_vec(), Behaviour::default());
    let error = User::of(&lost).error("lab/tiny");
    assert!(error.contains("names the shard model-00002-of-00002.safetensors, which isn't"), "{error}");
    let mut hostile = all[..2].to_vec();
    hostile[1].1 = br#"{"weight_map": {"a": "../../../../../evil"}}"#.to_vec();
    let hostile = Server::start(hostile, Behaviour::default());
    let error = User::of(&hostile).error("lab/tiny");
    assert!(
        error.contains("names the shard `../../../../../evil`, which leads out of its folder"),
        "{error}"
    );
}

#[test]
fn file_names_that_leave_the_folder_stop_all() {
    for name in ["../evil.json", "/etc/evil", "a/../../b", "..\\evil"] {
        let server = serving(Behaviour { siblings: vec![name], ..Behaviour::default() });
        let user = User::of(&server);
        let error = user.obtain("lab/tiny").unwrap_err();
        assert!(matches!(error, HubError::HostileName { .. }), "{error}");
        assert_eq!(user.list(), [""; 0]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_model_of_another_kind_is_refused_before_its_weights_come() {
    let mut other = files();
    other[0].1 = br#"{"model_type": "t5"}"#.to_vec();
    let server = Server::start(other, Behaviour::default());
    let error = User::of(&server).error("lab/tiny");
    assert!(error.contains("config.json: `model_type` is t5"), "{error}");
    assert_eq!(server.downloads().len(), 0);
}
