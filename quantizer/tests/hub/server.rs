//! A server that speaks the hub's protocol, and another one, on a port of its own, that large files lie on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "c731040fcd8d73dceaa04b0a8e6329b345b0f5df";
/// The token that opens what is closed.
pub const TOKEN: &str = "hf_open";

/// A file of a repository.
pub struct Stored {
    pub bytes: Vec<u8>,
    /// Whether it lies on the other server.
    pub large: bool,
}

impl Stored {
    pub fn etag(&self) -> String {
        if self.large {
            return format!("{:x}", Sha256::digest(&self.bytes));
        }
        let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", self.bytes.len()));
        hasher.update(&self.bytes);
        format!("{:x}", hasher.finalize())
    }
}

/// What the servers do but for answering.
#[derive(Default)]
pub struct Behaviour {
    /// Answers given first, one a request whose path contains the text: status and headers.
    pub answers: Vec<(&'static str, u16, &'static str)>,
    /// After how many bytes of its body an answer of the other server is cut off, one answer each.
    pub cuts: Vec<usize>,
    /// How requests without the token are refused: `X-Error-Code`.
    pub closed: Option<&'static str>,
    /// Whether requests for a part are answered with the whole.
    pub ignores_ranges: bool,
    /// Whether the bytes that the other server sends are wrong.
    pub corrupts: bool,
    /// More names in the list of files.
    pub siblings: Vec<&'static str>,
    /// The header that names the commit.
    pub commit_header: Option<&'static str>,
    /// The name under which the repository is now.
    pub moved: bool,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whether it came to the hub itself.
    pub hub: bool,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

struct State {
    files: BTreeMap<String, Stored>,
    revisions: Vec<&'static str>,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    large: String,
}

/// Both servers, which hold the repository `lab/tiny`.
pub struct Server {
    pub endpoint: String,
    state: Arc<State>,
}

impl Server {
    /// Starts with `files`; those called `*.safetensors` and `*.bin` are large.
    pub fn start(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>, behaviour: Behaviour) -> Self {
        let is_large = |name: &str| name.ends_with(".safetensors") || name.ends_with(".bin");
        let stored = |(name, bytes)| (String::from(name), Stored { bytes, large: is_large(name) });
        let (hub, other) = (listener(), listener());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            files: files.into_iter().map(stored).collect(),
            revisions: vec!["main", "refs%2Fpr%2F1", COMMIT, "c731040"],
            behaviour: Mutex::new(behaviour),
            requests: Mutex::default(),
            large: address(&other),
        });
        let endpoint = address(&hub);
        for (listener, is_hub) in [(hub, true), (other, false)] {
            let state = state.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    // A client that goes away is none of the server's business.
                    std::thread::spawn(move || state.serve(stream, is_hub).unwrap_or(()));
                }
            });
        }
        Self { endpoint, state }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Requests that came for large files' bytes, to the other server.
    pub fn downloads(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| !request.hub).collect()
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.behaviour.lock().unwrap());
    }

    pub fn file(&self, name: &str) -> &Stored {
        &self.state.files[name]
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl State {
    fn serve(&self, mut stream: TcpStream, hub: bool) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or(Ok(String::new()))?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let request = Request { hub, method, path, headers };
        self.requests.lock().unwrap().push(request.clone());
        let (status, headers, mut body) = self.answer(&request);
        let mut head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n");
        if !headers.to_lowercase().contains("content-length") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}{headers}\r\n").as_bytes())?;
        if !hub && let Some(cut) = pop(&mut self.behaviour.lock().unwrap().cuts) {
            body.truncate(cut);
        }
        if request.method != "HEAD" {
            stream.write_all(&body)?;
        }
        Ok(())
    }

    /// Status, headers and body.
    fn answer(&self, request: &Request) -> (u16, String, Vec<u8>) {
        let mut behaviour = self.behaviour.lock().unwrap();
        let planned = behaviour.answers.iter().position(|(path, ..)| request.path.contains(path));
        if let Some(planned) = planned {
            let (_, status, headers) = behaviour.answers.remove(planned);
            return (status, headers.to_owned(), b"planned".to_vec());
        }
        if !request.hub {
            return self.large_file(request, &behaviour);
        }
        let refused = |status, code: &str| (status, format!("X-Error-Code: {code}\r\n"), vec![]);
        if let Some(code) = behaviour.closed
            && request.headers.get("authorization").is_none_or(|given| given != &format!("Bearer {TOKEN}"))
        {
            return refused(401, code);
        }
        let path = if behaviour.moved {
            if let Some(rest) = request.path.strip_prefix("/lab/tiny/") {
                return (307, format!("Location: /lab/renamed/{rest}\r\n"), vec![]);
            }
            request.path.replace("/lab/renamed/", "/lab/tiny/")
        } else {
            request.path.clone()
        };
        if let Some(revision) = path.strip_prefix("/api/models/lab/tiny/revision/") {
            if !self.revisions.contains(&revision) {
                return refused(404, "RevisionNotFound");
            }
            let names = self.files.keys().map(String::as_str).chain(behaviour.siblings.iter().copied());
            let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
            let info = serde_json::json!({"id": "lab/tiny", "sha": COMMIT, "siblings": siblings});
            return (200, String::new(), info.to_string().into_bytes());
        }
        let Some(name) = path.strip_prefix(&format!("/lab/tiny/resolve/{COMMIT}/")) else {
            return refused(401, "RepoNotFound");
        };
        let Some(file) = self.files.get(name) else { return refused(404, "EntryNotFound") };
        let commit = behaviour.commit_header.unwrap_or(COMMIT);
        let (etag, size) = (file.etag(), file.bytes.len());
        if file.large {
            let headers = format!(
                "X-Repo-Commit: {commit}\r\nETag: \"of-the-answer\"\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n\
                 Location: {}/{etag}?signature=x\r\n",
                self.large
            );
            return (302, headers, vec![]);
        }
        let length =
            if request.method == "HEAD" { format!("Content-Length: {size}\r\n") } else { String::new() };
        (200, format!("X-Repo-Commit: {commit}\r\nETag: W/\"{etag}\"\r\n{length}"), file.bytes.clone())
    }

    fn large_file(&self, request: &Request, behaviour: &Behaviour) -> (u16, String, Vec<u8>) {
        let hash = request.path.trim_start_matches('/').split('?').next().unwrap_or_default();
        let Some(file) = self.files.values().find(|file| file.etag() == hash) else {
            return (404, String::new(), vec![]);
        };
        let mut bytes = file.bytes.clone();
        if behaviour.corrupts {
            bytes.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let range = request.headers.get("range").filter(|_| !behaviour.ignores_ranges);
        let Some(range) = range else { return (200, String::new(), bytes) };
        let from: usize = range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
        if from >= bytes.len() {
            return (416, String::new(), vec![]);
        }
        let headers = format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
        (206, headers, bytes.split_off(from))
    }
}

fn pop<T>(queue: &mut Vec<T>) -> Option<T> {
    (!queue.is_empty()).then(|| queue.remove(0))
}
