//! What the hub calls a file by: the hash of its content.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The hash that an `ETag` holds, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Etag {
    /// Of a file that is kept beside the repository (LFS): SHA-256 of its bytes.
    Sha256(String),
    /// Of a file in the repository: what git calls the blob, SHA-1 of `blob SIZE\0` and its bytes.
    Git(String),
}

impl Etag {
    /// Reads the value of a header `ETag` or `X-Linked-Etag`; `None` if it is no hash of either kind.
    pub fn parse(header: &str) -> Option<Self> {
        let hash = header.trim().trim_start_matches("W/").trim_matches('"');
        let is_hex = hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match hash.len() {
            64 if is_hex => Some(Self::Sha256(hash.to_owned())),
            40 if is_hex => Some(Self::Git(hash.to_owned())),
            _ => None,
        }
    }

    /// The hash itself, which the file is called by in `blobs`.
    pub fn hash(&self) -> &str {
        match self {
            Self::Sha256(hash) | Self::Git(hash) => hash,
        }
    }

    /// For people.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Git(_) => "SHA-1, as git takes it,",
        }
    }

    /// Hashes a file of `size` bytes.
    pub fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }
}

/// A hash that is being computed.
pub enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// The hash in hexadecimal.
    pub fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => format!("{:x}", hasher.finalize()),
            Self::Git(hasher) => format!("{:x}", hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        // `printf 'hello\n' | git hash-object --stdin`, and `| sha256sum`
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for hash in [git, sha256] {
            let etag = Etag::parse(&format!("W/\"{hash}\"")).unwrap();
            assert_eq!(etag.hash(), hash);
            let mut hasher = etag.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), hash);
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        let long = "0".repeat(63);
        for text in
            ["", "\"\"", "abc", &long, &format!("{long}G"), "../../../../../../../../../../etc/passwd-----"]
        {
            assert_eq!(Etag::parse(text), None, "{text}");
        }
    }
}
