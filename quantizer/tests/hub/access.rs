//! Answers of the hub that are no files: refusals, failures, and what isn't a hub at all.

use std::net::TcpListener;

use quantizer::hub::{HubError, Token};

use crate::server::{Behaviour, Server, TOKEN};
use crate::{User, serving};

impl User {
    pub fn with_token(server: &Server) -> Self {
        let mut user = Self::of(server);
        user.settings.token = Some(Token { secret: TOKEN.into(), source: "HF_TOKEN".into() });
        user
    }
}

#[test]
fn a_licence_that_is_not_accepted_is_said_with_its_page() {
    let server = serving(Behaviour { closed: Some("GatedRepo"), ..Behaviour::default() });
    let error = User::of(&server).error("lab/tiny");
    let page = format!("{}/lab/tiny", server.endpoint);
    assert!(error.contains(&format!("open {page}, accept it there, and set HF_TOKEN")), "{error}");
    assert!(error.contains("now none is set"), "{error}");
    // With the token of somebody who hasn't accepted it.
    let denied = ("revision", 403, "X-Error-Code: GatedRepo\r\n");
    server.behave(|behaviour| behaviour.answers.push(denied));
    let error = User::with_token(&server).error("lab/tiny");
    assert!(error.contains("accept it there") && error.contains("that of HF_TOKEN"), "{error}");
    assert!(!error.contains(TOKEN), "{error}");
}

#[test]
fn a_wrong_token_is_called_by_where_it_is_from() {
    let server = serving(Behaviour { closed: Some(""), ..Behaviour::default() });
    let mut user = User::of(&server);
    user.settings.token = Some(Token { secret: "hf_old".into(), source: "/home/eva/token".into() });
    let error = user.error("lab/tiny");
    assert!(error.contains("does not accept the token of /home/eva/token"), "{error}");
    assert!(!error.contains("hf_old"), "{error}");
}

#[test]
fn what_is_not_there_is_said() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let error = user.error("lab/other");
    assert!(error.contains("/lab/other: there is no such model, or it is a private one"), "{error}");
    let error = user.error("lab/tiny@v2");
    assert!(
        error.contains("/lab/tiny: it has no revision v2; expected a branch, a tag or a commit"),
        "{error}"
    );
    server
        .behave(|behaviour| behaviour.answers.push(("config.json", 404, "X-Error-Code: EntryNotFound\r\n")));
    let error = user.error("lab/tiny");
    assert!(error.contains("/config.json: there is no such file"), "{error}");
    assert_eq!(user.list(), [""; 0]);
}

#[test]
fn servers_that_fail_for_a_while_are_asked_again() {
    let soon = "Retry-After: 0\r\n";
    let answers = vec![
        ("revision", 500, soon),
        ("revision", 429, soon),
        ("config.json", 503, soon),
        ("signature", 502, soon),
    ];
    let server = serving(Behaviour { answers, ..Behaviour::default() });
    User::of(&server).obtain("lab/tiny").unwrap();
    let listings = server.requests().iter().filter(|request| request.path.contains("/revision/")).count();
    assert_eq!(listings, 3);

    server.behave(|behaviour| behaviour.answers = vec![("revision", 503, soon); 9]);
    let user = User::of(&server);
    let error = user.obtain("lab/tiny").unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
    server.behave(|behaviour| assert_eq!(behaviour.answers.len(), 4, "five requests, no more"));
}

#[test]
fn what_is_no_hub_is_said() {
    let server = serving(Behaviour { commit_header: Some("0000"), ..Behaviour::default() });
    let error = User::of(&server).error("lab/tiny");
    assert!(error.contains("not an answer of the hub: it is of commit 0000"), "{error}");
    server.behave(|behaviour| behaviour.answers.push(("revision", 200, "")));
    let error = User::of(&server).error("lab/tiny");
    assert!(error.contains("not an answer of the hub"), "{error}");
    for (headers, expected) in [
        ("Content-Length: 7\r\n", "x-repo-commit"),
        (
            "X-Repo-Commit: c731040fcd8d73dceaa04b0a8e6329b345b0f5df\r\nETag: \"../../evil\"\r\n",
            "expected the hash of the file",
        ),
    ] {
        server.behave(|behaviour| behaviour.answers.push(("config.json", 200, headers)));
        let error = User::of(&server).error("lab/tiny");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn without_a_server_it_is_said_what_to_copy() {
    let server = serving(Behaviour::default());
    let mut user = User::of(&server);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    user.settings.endpoint = format!("http://{free}");
    let error = user.error("lab/tiny");
    assert!(error.contains("can't be reached") && error.contains("hf download lab/tiny"), "{error}");
    assert!(error.contains("models--lab--tiny from there, with its links as links"), "{error}");
    assert!(error.contains(user.repository().to_str().unwrap()), "{error}");
}
