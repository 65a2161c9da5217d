//! What the environment says about the hub, in the words and in the order of Python's `huggingface_hub`.
//!
//! A variable that is empty counts as unset.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::HubError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Files of certificates, in the order in which Python's clients have come to read them.
const CERTIFICATES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// Where the cache is, which server is asked, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder that holds `models--ORG--NAME`.
    pub cache: PathBuf,
    /// The server's address, without a slash at its end.
    pub endpoint: String,
    /// What the server knows the user by.
    pub token: Option<Token>,
    /// The variable that forbids the network, if one does.
    pub offline: Option<&'static str>,
    /// A file of certificates (PEM) that are trusted in place of those built in.
    pub certificates: Option<PathBuf>,
}

/// A secret, which nothing prints.
#[derive(Clone)]
pub struct Token {
    /// The secret.
    pub secret: String,
    /// Where it is from: a variable, or a file.
    pub source: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Settings {
    /// What this process's environment says.
    ///
    /// # Errors
    /// A variable that can't be what it says, or a file of a token that can't be read.
    pub fn from_environment() -> Result<Self, HubError> {
        Self::read(std::env::home_dir(), |variable| std::env::var(variable).ok())
    }

    /// What the variables that `get` knows say, for a user whose home is `home`.
    fn read(home: Option<PathBuf>, get: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let get = |variable: &str| get(variable).filter(|value| !value.is_empty());
        let place = |text: &str| expand(text, home.as_deref(), &get);
        let folder = || match get("HF_HOME") {
            Some(folder) => Some(place(&folder)),
            None => match get("XDG_CACHE_HOME") {
                Some(folder) => Some(place(&folder).join("huggingface")),
                None => home.as_ref().map(|home| home.join(".cache/huggingface")),
            },
        };
        let cache = match get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE")) {
            Some(cache) => place(&cache),
            None => folder().ok_or(HubError::NoCache)?.join("hub"),
        };
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            let reason = format!("it is `{endpoint}`; expected an address, such as {DEFAULT_ENDPOINT}");
            return Err(HubError::Variable { variable: "HF_ENDPOINT", reason });
        }
        let token_file = match get("HF_TOKEN_PATH") {
            Some(file) => Some(place(&file)),
            None => folder().map(|folder| folder.join("token")),
        };
        let token = match get("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            Some(value) if is_true(&value) => None,
            _ => token(&get, token_file)?,
        };
        // The first that is set decides, even if it says no.
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .into_iter()
            .find_map(|variable| get(variable).map(|value| (variable, value)))
            .and_then(|(variable, value)| is_true(&value).then_some(variable));
        let certificates = CERTIFICATES.into_iter().find_map(&get).map(|file| place(&file));
        Ok(Self { cache, endpoint, token, offline, certificates })
    }
}

fn token(get: &impl Fn(&str) -> Option<String>, file: Option<PathBuf>) -> Result<Option<Token>, HubError> {
    let variables = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter();
    let set = variables.filter_map(|variable| Some((variable.to_owned(), get(variable)?))).next();
    let found = match (set, file) {
        (Some(found), _) => Some(found),
        (None, Some(file)) => match fs::read_to_string(&file) {
            Ok(text) => Some((file.display().to_string(), text)),
            Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(source) => return Err(HubError::Io { path: file, source }),
        },
        (None, None) => None,
    };
    let Some((source, text)) = found else { return Ok(None) };
    let secret: String = text.trim().chars().filter(|c| !"\r\n".contains(*c)).collect();
    if secret.is_empty() {
        return Ok(None);
    }
    // It becomes a line of a request.
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HubError::BadToken { from: source });
    }
    Ok(Some(Token { secret, source }))
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// `~` as the home, then `$NAME` and `${NAME}` as variables; those that aren't set stay as they are.
fn expand(text: &str, home: Option<&Path>, get: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let text = match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => text.to_owned(),
    };
    let mut expanded = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, end) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, end)) => (name, end),
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        match get(name) {
            Some(value) => expanded.push_str(&value),
            None => {
                expanded.push('$');
                expanded.push_str(&after[..after.len() - end.len()]);
            }
        }
        rest = end;
    }
    expanded.push_str(rest);
    expanded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(Some("/home/eva".into()), get)
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        read(variables).unwrap().cache
    }

    #[test]
    fn the_cache_is_where_python_looks() {
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b"),
            ("HF_HOME", "/c"),
            ("XDG_CACHE_HOME", "/d"),
        ];
        let expected = ["/a", "/b", "/c/hub", "/d/huggingface/hub", "/home/eva/.cache/huggingface/hub"];
        for (first, expected) in expected.into_iter().enumerate() {
            assert_eq!(cache(&all[first..]), Path::new(expected));
        }
        assert_eq!(cache(&[("HF_HOME", "~/$SITE/hf"), ("SITE", "lab")]), Path::new("/home/eva/lab/hf/hub"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/x/${SITE}y$NO"), ("SITE", "lab")]), Path::new("/x/laby$NO"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "")]), Path::new("/home/eva/.cache/huggingface/hub"));
        assert!(matches!(Settings::read(None, |_| None), Err(HubError::NoCache)));
    }

    #[test]
    fn offline_is_what_the_first_variable_says() {
        let offline = |variables: &[(&str, &str)]| read(variables).unwrap().offline;
        assert_eq!(offline(&[]), None);
        for value in ["1", "on", "Yes", "TRUE"] {
            assert_eq!(offline(&[("HF_HUB_OFFLINE", value)]), Some("HF_HUB_OFFLINE"));
        }
        assert_eq!(offline(&[("TRANSFORMERS_OFFLINE", "1")]), Some("TRANSFORMERS_OFFLINE"));
        assert_eq!(offline(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]), None);
        assert_eq!(
            offline(&[("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1")]),
            Some("TRANSFORMERS_OFFLINE")
        );
    }

    #[test]
    fn the_endpoint_is_an_address() {
        assert_eq!(read(&[]).unwrap().endpoint, "https://huggingface.co");
        assert_eq!(
            read(&[("HF_ENDPOINT", "http://hub.lab:8080//")]).unwrap().endpoint,
            "http://hub.lab:8080"
        );
        let error = read(&[("HF_ENDPOINT", "hub.lab")]).unwrap_err().to_string();
        assert!(error.starts_with("HF_ENDPOINT: it is `hub.lab`"), "{error}");
    }

    #[test]
    fn tokens_are_of_variables_before_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, " hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| read(variables).unwrap().token;
        let secret = |variables: &[(&str, &str)]| token(variables).unwrap().secret;
        assert!(token(&[]).is_none());
        let both = [("HF_TOKEN", "hf_a"), ("HUGGING_FACE_HUB_TOKEN", "hf_b"), ("HF_HOME", home)];
        assert_eq!(secret(&both), "hf_a");
        assert_eq!(secret(&both[1..]), "hf_b");
        assert_eq!(secret(&both[2..]), "hf_file");
        assert_eq!(token(&both[2..]).unwrap().source, file.display().to_string());
        assert_eq!(secret(&[("HF_TOKEN_PATH", file.to_str().unwrap())]), "hf_file");
        assert!(token(&[("HF_TOKEN", "hf_a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).is_none());
        assert!(!format!("{:?}", token(&both)).contains("hf_a"));
        let error = read(&[("HF_TOKEN", "hf_a b")]).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_a"), "{error}");
    }
}
