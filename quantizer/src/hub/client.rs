//! Requests to the hub: redirects, retries, the token, and what its answers mean.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::cache::Repository;
use super::checksum::Etag;
use super::{HubError, Name, Settings};

/// Requests that are made for one answer, if servers or connections fail.
pub const ATTEMPTS: u32 = 5;
/// Redirects that are followed.
const REDIRECTS: usize = 8;
/// The longest wait that a server may ask for between two requests.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long nothing may come.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest list of a repository's files, in bytes.
const LARGEST_LISTING: u64 = 64 << 20;

/// What is known of a file before it is fetched.
#[derive(Debug)]
pub struct Remote {
    /// Its path in the repository.
    pub file: String,
    /// The repository's own address of it.
    pub url: String,
    /// The hash of its content.
    pub etag: Etag,
    /// Bytes.
    pub size: u64,
}

/// A commit, and the files in it.
#[derive(Debug)]
pub struct Listing {
    /// Its hash.
    pub commit: String,
    /// Paths in the repository.
    pub files: BTreeSet<String>,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A connection to the hub.
pub struct Client<'a> {
    agent: Agent,
    settings: &'a Settings,
}

impl<'a> Client<'a> {
    /// A client for the server of `settings`, through the proxy that the environment names, if any.
    ///
    /// # Errors
    /// The file of certificates can't be read.
    pub fn new(settings: &'a Settings) -> Result<Self, HubError> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.certificates {
            let pem = fs::read(path).map_err(|source| HubError::Io { path: path.clone(), source })?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            tls = tls.root_certs(RootCerts::from(certificates));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .proxy(Proxy::try_from_env())
            .http_status_as_error(false)
            // Followed here, where it is known who may get the token.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("foldpoint/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build();
        Ok(Self { agent: config.into(), settings })
    }

    /// What `name` is now: its commit, and its files.
    ///
    /// # Errors
    /// No such repository or revision, no access to it, or no server.
    pub fn listing(&self, name: &Name) -> Result<Listing, HubError> {
        let revision = quoted(name.revision(), false);
        let url = format!("{}/api/models/{}/revision/{revision}", self.settings.endpoint, name.repository());
        let mut answer = self.request("GET", &url, None)?;
        if !answer.status().is_success() {
            return Err(self.refusal(&url, answer, name.repository(), name.revision()));
        }
        let bad = |reason: String| HubError::Protocol { url: url.clone(), reason };
        let body = answer.body_mut().with_config().limit(LARGEST_LISTING).read_to_string();
        let info: ModelInfo = serde_json::from_str(&body.map_err(|error| bad(error.to_string()))?)
            .map_err(|error| bad(error.to_string()))?;
        let commit = info.sha.filter(|sha| Repository::is_commit(sha));
        let commit = commit.ok_or_else(|| bad("expected the commit's hash as `sha`".into()))?;
        Ok(Listing { commit, files: info.siblings.into_iter().map(|file| file.rfilename).collect() })
    }

    /// What the hub says about a file of the repository `id` at `commit`.
    ///
    /// # Errors
    /// As [`listing`](Self::listing); no such file; an answer without its hash and size.
    pub fn metadata(&self, id: &str, commit: &str, file: &str) -> Result<Remote, HubError> {
        let url = format!("{}/{id}/resolve/{commit}/{}", self.settings.endpoint, quoted(file, true));
        let answer = self.request("HEAD", &url, None)?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(&url, answer, id, commit));
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let bad = |reason: String| HubError::Protocol { url: url.clone(), reason };
        match header("x-repo-commit") {
            Some(found) if found == commit => {}
            Some(found) => {
                return Err(bad(format!("it is of commit {}; expected {commit}", found.escape_default())));
            }
            None => return Err(bad("expected a header x-repo-commit; is HF_ENDPOINT a hub?".into())),
        }
        let etag = header("x-linked-etag").or_else(|| header("etag")).unwrap_or_default();
        let parsed = Etag::parse(etag).ok_or_else(|| {
            bad(format!("its ETag is `{}`; expected the hash of the file", etag.escape_default()))
        })?;
        let size =
            header("x-linked-size").or_else(|| header("content-length").filter(|_| status.is_success()));
        let size = size.and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| bad("expected the file's size in x-linked-size".into()))?;
        Ok(Remote { file: file.to_owned(), url, etag: parsed, size })
    }

    /// Asks for the bytes of a file, from `offset` on, wherever redirects lead.
    ///
    /// # Errors
    /// No access, no such file, or no server; the answer has status 200, 206 or 416.
    pub fn content(&self, remote: &Remote, offset: u64) -> Result<Response<Body>, HubError> {
        let answer = self.request("GET", &remote.url, Some(offset))?;
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(answer),
            _ => Err(self.refusal(&remote.url, answer, "", "")),
        }
    }

    /// One request, again if the server or the connection fails for a while.
    fn request(&self, method: &str, url: &str, offset: Option<u64>) -> Result<Response<Body>, HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let wait = match self.follow(method, url, offset) {
                Ok(answer) if attempt < ATTEMPTS && is_passing(answer.status()) => {
                    retry_after(&answer).unwrap_or_else(|| pause(attempt))
                }
                Err(error) if attempt < ATTEMPTS && is_interruption(&error) => pause(attempt),
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let mut reason = error.to_string();
                    if reason.contains("certificate") {
                        reason += "; if a proxy here has certificates of its own, SSL_CERT_FILE shall name their file";
                    }
                    return Err(HubError::Unreachable { url: url.into(), reason, advice: String::new() });
                }
            };
            sleep(wait);
        }
    }

    /// Sends a request and follows redirects. What the hub itself says about a file is in its first answer;
    /// so that of `HEAD` is followed only within the hub.
    fn follow(&self, method: &str, url: &str, offset: Option<u64>) -> Result<Response<Body>, ureq::Error> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = Request::builder().method(method).uri(&url);
            if let Some(token) = &self.settings.token
                && self.is_hub(&url)
            {
                request = request.header("authorization", format!("Bearer {}", token.secret));
            }
            if let Some(offset) = offset.filter(|offset| *offset > 0) {
                request = request.header("range", format!("bytes={offset}-"));
            }
            let answer = self.agent.run(request.body(())?)?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| joined(&url, location));
            match next {
                Some(next) if method != "HEAD" || self.is_hub(&next) => url = next,
                _ => return Ok(answer),
            }
        }
        Err(ureq::Error::TooManyRedirects)
    }

    /// Whether `url` is the hub's own: of the same scheme, host and port as the endpoint.
    fn is_hub(&self, url: &str) -> bool {
        origin(url).is_some_and(|found| origin(&self.settings.endpoint) == Some(found))
    }

    /// What an answer that is no success means.
    fn refusal(&self, url: &str, answer: Response<Body>, id: &str, revision: &str) -> HubError {
        let status = answer.status();
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (code, message) = (header("x-error-code"), header("x-error-message"));
        let page = format!("{}/{id}", self.settings.endpoint);
        let token = match &self.settings.token {
            Some(token) => format!("now a token is sent: that of {}", token.source),
            None => "now none is set".to_owned(),
        };
        match (status.as_u16(), code.as_str()) {
            _ if id.is_empty() => {}
            (401 | 403, "GatedRepo") => return HubError::Gated { page, token },
            (404, "RevisionNotFound") => return HubError::NoRevision { page, revision: revision.into() },
            (404, "EntryNotFound") => return HubError::NoFile { url: url.into() },
            (401, code) => match &self.settings.token {
                Some(token) if code != "RepoNotFound" => {
                    return HubError::TokenRefused { page, from: token.source.clone() };
                }
                _ => return HubError::NoRepository { page, token },
            },
            (404, _) => return HubError::NoRepository { page, token },
            _ => {}
        }
        let message = match message.escape_debug().to_string() {
            message if message.is_empty() => message,
            message => format!(": {message}"),
        };
        HubError::Status { url: url.into(), status: status.as_u16(), message }
    }
}

/// Whether the same request may go well a little later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn is_interruption(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

/// How long to wait after so many failures: half a second, and twice as long each time.
pub fn pause(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(6)).min(LONGEST_WAIT)
}

/// How long the server asks to wait, in seconds; what it says as a date counts for nothing.
fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + "://".len();
    let length = url[host..].find(['/', '?', '#']).unwrap_or(url.len() - host);
    Some(&url[..host + length])
}

/// The address that `location`, in an answer from `url`, means.
fn joined(url: &str, location: &str) -> Option<String> {
    let origin = origin(url)?;
    let scheme = origin.split_once("//")?.0;
    if location.starts_with("http://") && scheme == "https:" {
        return None;
    }
    if location.starts_with("http://") || location.starts_with("https://") {
        Some(location.to_owned())
    } else if location.starts_with("//") {
        Some(format!("{scheme}{location}"))
    } else {
        location.starts_with('/').then(|| format!("{origin}{location}"))
    }
}

/// `text` as a part of an address; `slashes` stay slashes where it is a path.
fn quoted(text: &str, slashes: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || slashes && byte == b'/';
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_files_are_quoted_as_python_does() {
        assert_eq!(quoted("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(quoted("a b/ü.bin", true), "a%20b/%C3%BC.bin");
    }

    #[test]
    fn an_address_that_looks_like_the_hubs_is_another() {
        let hub = origin("https://hub.co").unwrap();
        for other in [
            "https://hub.co.evil.com/x",
            "https://hub.co@evil.com/x",
            "https://hub.co:8443/x",
            "http://hub.co/x",
            "https://evil.com/https://hub.co",
            "https://hub.co\\@evil.com/x",
        ] {
            assert_ne!(origin(other), Some(hub), "{other}");
        }
        assert_eq!(origin("https://hub.co/a/b?c#d"), Some(hub));
        assert_eq!(origin("https://hub.co?x"), Some(hub));
    }

    #[test]
    fn locations_are_joined_and_never_lose_their_encryption() {
        let from = "https://hub.co/a/resolve/main/b";
        assert_eq!(joined(from, "/c/d").unwrap(), "https://hub.co/c/d");
        assert_eq!(joined(from, "//cdn.co/c").unwrap(), "https://cdn.co/c");
        assert_eq!(joined(from, "https://cdn.co/c?k=v").unwrap(), "https://cdn.co/c?k=v");
        assert_eq!(joined(from, "http://cdn.co/c"), None);
        assert_eq!(joined(from, "ftp://cdn.co/c"), None);
    }
}
