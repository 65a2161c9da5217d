//! How much memory a run may take: the smallest of all limits that the process is under, and which one that
//! is.
//!
//! | limit | read from |
//! |---|---|
//! | what the machine has available | `/proc/meminfo`; elsewhere the system is asked (`system`) |
//! | the control groups of the process and those above them, versions 1 and 2 | `cgroup` |
//! | Slurm's memory of the job on this node | `slurm` |
//! | `ulimit -v` and `ulimit -d` | `ulimit` |
//!
//! Other schedulers (PBS, LSF, Grid Engine, Kubernetes, Docker) set one of these. What is said here is what
//! the process may still take, its own use and that of its group subtracted; the page cache, which holds the
//! mapped model file, counts as free.

mod cgroup;
mod mounts;
mod slurm;
mod system;
mod ulimit;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::arena::display_bytes;

/// How much memory a run may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes that may be allocated.
    pub bytes: u64,
    /// Where the number is from, for messages.
    pub source: LimitSource,
}

/// Where a [`MemoryLimit`] is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// The user's `--memory-limit`.
    Option,
    /// What the system says is available.
    System,
    /// A control group, less what it uses now.
    Cgroup {
        /// Its folder.
        folder: PathBuf,
        /// The file in it, or the line of its `memory.stat`, that says the limit.
        file: &'static str,
        /// Bytes that all its processes may use together.
        limit: u64,
    },
    /// Slurm's variables.
    Slurm {
        /// The variable.
        variable: &'static str,
        /// What its value is multiplied by, in words.
        times: Option<String>,
    },
    /// A resource limit of the process, less what it uses now.
    Ulimit {
        /// The shell's command for it.
        command: &'static str,
        /// Bytes that the process may use.
        limit: u64,
    },
    /// Nobody says anything: no limit.
    Unknown,
}

/// What limits are read from: the real machine, or what a test puts in its place.
struct Surroundings<'s> {
    /// Where `proc` and the file systems of control groups are.
    root: &'s Path,
    /// The value of an environment variable.
    variable: &'s dyn Fn(&str) -> Option<String>,
}

impl MemoryLimit {
    /// The user's limit, which goes before all others; else the smallest that there is. `warn` is told of
    /// limits that are set and not understood.
    pub fn new(option: Option<u64>, warn: impl FnMut(String)) -> Self {
        match option {
            Some(bytes) => Self { bytes, source: LimitSource::Option },
            None => Self::smallest(
                &Surroundings { root: Path::new("/"), variable: &|name| std::env::var(name).ok() },
                warn,
            ),
        }
    }

    fn smallest(surroundings: &Surroundings, mut warn: impl FnMut(String)) -> Self {
        let Surroundings { root, variable } = surroundings;
        system::limit(root)
            .into_iter()
            .chain(cgroup::limits(root))
            .chain(slurm::limits(variable, &mut warn))
            .chain(ulimit::limits(root))
            .min_by_key(|limit| limit.bytes)
            .unwrap_or(Self { bytes: u64::MAX, source: LimitSource::Unknown })
    }
}

/// A clause: who allows how much.
impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = display_bytes(self.bytes);
        match &self.source {
            LimitSource::Option => write!(f, "--memory-limit allows {bytes}"),
            LimitSource::System => write!(f, "{bytes} are available"),
            LimitSource::Cgroup { folder, file, limit } => {
                let (folder, limit) = (folder.display(), display_bytes(*limit));
                write!(f, "the cgroup {folder} allows {bytes} more (its {file} is {limit})")
            }
            LimitSource::Slurm { variable, times: None } => write!(f, "{variable} allows {bytes}"),
            LimitSource::Slurm { variable, times: Some(times) } => {
                write!(f, "{variable} allows {bytes} ({times})")
            }
            LimitSource::Ulimit { command, limit } => {
                let limit = display_bytes(*limit);
                write!(f, "`{command}` allows {bytes} more (it is {limit})")
            }
            LimitSource::Unknown => write!(f, "the system does not say how much is available"),
        }
    }
}

/// A whole file as text; bytes that are not UTF-8 are replaced, so that a strange name elsewhere in it hides
/// no limit.
fn read(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    let path = path.as_ref();
    let bytes = std::fs::read(root.join(path.strip_prefix("/").unwrap_or(path))).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
