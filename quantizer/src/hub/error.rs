//! Why a checkpoint can't be had from the hub.

use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::space::NoSpace;

/// Why a checkpoint can't be had from the hub, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what its fields are")]
#[non_exhaustive]
pub enum HubError {
    #[error("{variable}: {reason}")]
    Variable { variable: &'static str, reason: String },

    #[error("{from}: expected a token in one line of printable characters")]
    BadToken { from: String },

    #[error(
        "there is no home folder, and so no place for the hub's cache; expected HF_HOME or HF_HUB_CACHE to say where it is"
    )]
    NoCache,

    #[error("{name}: not in the hub's cache, and {variable} forbids the network. {advice}")]
    Offline { name: String, variable: &'static str, advice: String },

    #[error("{url}: can't be reached: {reason}. {advice}")]
    Unreachable { url: String, reason: String, advice: String },

    #[error(
        "{page}: its licence has to be accepted first, by a user of the hub: open {page}, accept it there, and set HF_TOKEN to \
         a token of that user ({token})"
    )]
    Gated { page: String, token: String },

    #[error(
        "{page}: there is no such model, or it is a private one; check the name, and set HF_TOKEN if it is private ({token})"
    )]
    NoRepository { page: String, token: String },

    #[error("{page}: the server does not accept the token of {from}; expected a valid one, or none")]
    TokenRefused { page: String, from: String },

    #[error("{page}: it has no revision {revision}; expected a branch, a tag or a commit")]
    NoRevision { page: String, revision: String },

    #[error("{url}: there is no such file")]
    NoFile { url: String },

    #[error("{url}: the server answers {status}{message}")]
    Status { url: String, status: u16, message: String },

    #[error("{url}: not an answer of the hub: {reason}")]
    Protocol { url: String, reason: String },

    #[error(
        "{repository}: the server lists a file `{file}`, whose name would leave the folder; nothing was downloaded"
    )]
    HostileName { repository: String, file: String },

    #[error("{repository}: no checkpoint that can be read: {reason}")]
    NoCheckpoint { repository: String, reason: String },

    #[error("{name}: {index} names the shard {shard}, which isn't in the repository")]
    NoShard { name: String, index: String, shard: String },

    #[error(
        "{file}: damaged on its way: its {algorithm} is {found}, and the hub says {expected}; what had come was removed. Try \
         again; if it comes again, something between here and the hub changes files"
    )]
    Checksum { file: String, algorithm: &'static str, expected: String, found: String },

    #[error(
        "{file}: the download stopped at {done} of {size} bytes: {reason}; the same command goes on from there"
    )]
    Stopped { file: String, done: u64, size: u64, reason: String },

    #[error("{}: can't be read or written", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{file}: {source}; free some, or let HF_HUB_CACHE name a folder on another disk")]
    NoSpace { file: String, source: NoSpace },

    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
