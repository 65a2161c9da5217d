//! What a checkpoint is called at the hub.

use std::fmt;

/// The revision that is meant where none is given.
pub const DEFAULT_REVISION: &str = "main";
/// Characters that a repository's name has at most.
const LONGEST: usize = 96;
/// Names that end so are paths of files: a mistyped path is not sent to a server.
const FILES: [&str; 6] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json"];

/// `ORG/NAME` or `ORG/NAME@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    repository: String,
    revision: Option<String>,
}

impl Name {
    /// Reads a name; `None` if `text` isn't one, as no path of more or fewer than two parts is.
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let fits = repository.len() <= LONGEST && is_part(organisation) && is_part(name);
        let is_file = FILES.iter().any(|ending| name.ends_with(ending));
        (fits && !is_file && revision.is_none_or(is_revision))
            .then(|| Self { repository: repository.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// `ORG/NAME`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            None => f.write_str(&self.repository),
            Some(revision) => write!(f, "{}@{revision}", self.repository),
        }
    }
}

/// The hub's rule for the two parts of a repository's name.
fn is_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let at_ends = |c: char| "-.".contains(c);
    !text.is_empty()
        && text.chars().all(allowed)
        && !text.starts_with(at_ends)
        && !text.ends_with(at_ends)
        && !text.contains("--")
        && !text.contains("..")
}

/// Whether `text` is a revision as git has them (without spaces) whose parts are all names: it becomes a path
/// in `refs`.
fn is_revision(text: &str) -> bool {
    !text.contains(' ') && text.split('/').all(is_plain)
}

/// Whether `part` can be the name of a file on every system, and of nothing but that.
pub fn is_plain(part: &str) -> bool {
    let windows = |c: char| "\\:*?\"<>|".contains(c);
    !part.is_empty() && part != "." && part != ".." && !part.contains(|c: char| c.is_control() || windows(c))
}

/// Whether `text` begins or is a commit's hash.
pub fn is_hash(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_parts_and_may_have_a_revision() {
        let name = Name::parse("facebook/esm2_t6_8M_UR50D").unwrap();
        assert_eq!((name.repository(), name.revision()), ("facebook/esm2_t6_8M_UR50D", "main"));
        let name = Name::parse("facebook/esmfold_v1@refs/pr/1").unwrap();
        assert_eq!((name.repository(), name.revision()), ("facebook/esmfold_v1", "refs/pr/1"));
        assert_eq!(name.to_string(), "facebook/esmfold_v1@refs/pr/1");
    }

    #[test]
    fn paths_are_no_names() {
        let long = format!("a/{}", "b".repeat(LONGEST));
        let cases = [
            "",
            "esm2",
            "/esm2",
            "esm2/",
            "./esm2",
            "../esm2",
            "a/b/c",
            "/a/b",
            "a//b",
            "~/b",
            "a\\b",
            "a/-b",
            "a/b..c",
            "a/b--c",
            "a/b.pt",
            "a/model.safetensors",
            "a/config.json",
            "a b/c",
            "a/b@",
            "a/b@..",
            "a/b@x/../y",
            "a/b@x//y",
            "a/b@/x",
            "a/b@x\\y",
            "a/b@x\ny",
            "a/b@x + c",
            &long,
        ];
        for text in cases {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
