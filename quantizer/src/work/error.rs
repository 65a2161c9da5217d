//! What can be wrong with the folder of a run.

use std::io;
use std::path::PathBuf;

/// Why a run can't keep what it has done, or not go on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("{}: another run is working in this folder; expected it to end first", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is of a run that was started otherwise.
    #[error(
        "{}: an unfinished run with another {what} is kept here; expected the same command as then, or the folder \
         deleted",
        folder.display()
    )]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        what: String,
    },
    /// A record isn't as it was written.
    #[error("{}: damaged; to begin anew, delete the folder that it is in", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
    },
}
