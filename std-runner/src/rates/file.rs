//! Measured runs on disk: a file for each model and machine, replaced as a whole.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Owner, Run};

/// Of runs that are about as long on as many threads, so many are kept, the latest.
const KEPT: usize = 5;
/// How often, and how long apart, a file that another process writes is tried.
const TRIES: u32 = 200;
const APART: Duration = Duration::from_millis(10);
/// Bytes of a file that is read; what is kept is far less.
const MOST: u64 = 4 << 20;

/// Measured runs that can't be read, or kept.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// Nobody knows where they would be.
    #[error(
        "there is no home folder, and so none for measured rates; expected {} to name one",
        super::VARIABLE
    )]
    NoHome,
    /// The system refuses.
    #[error("{}: the measured rates can't be read or written: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It holds something else.
    #[error("{}: no measured rates: {reason}; expected JSON as this version writes it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        reason: serde_json::Error,
    },
    /// They are another's.
    #[error("{}: the measured rates are of another model, machine or version of the program", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes it, for too long.
    #[error("{}: another process is writing the measured rates", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    owner: Owner,
    runs: Vec<Run>,
}

/// The file of an owner.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
}

impl File {
    /// The file of `owner` in `folder`; neither need be there.
    pub fn new(folder: &Path, owner: &Owner) -> Self {
        Self { path: folder.join(owner.file_name()) }
    }

    /// The runs in it; none if it isn't there.
    pub fn read(&self, owner: &Owner) -> Result<Vec<Run>, RatesError> {
        let text = match self.text() {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(reason) => return Err(self.io(reason)),
        };
        let contents: Contents = serde_json::from_str(&text)
            .map_err(|reason| RatesError::Format { path: self.path.clone(), reason })?;
        if !contents.owner.is(owner) {
            return Err(RatesError::Owner { path: self.path.clone() });
        }
        Ok(contents.runs)
    }

    fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(fs::File::open(&self.path)?, MOST), &mut text)?;
        Ok(text)
    }

    /// Adds runs to those that are there now. What is there and of no use is replaced.
    pub fn add(&self, owner: &Owner, runs: &[Run]) -> Result<(), RatesError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|reason| self.io(reason))?;
        // Held until all is written: whoever reads in between would lose what is added here.
        let _lock = self.lock()?;
        let all = self.read(owner).unwrap_or_default().into_iter().chain(runs.iter().copied());
        let contents = Contents { owner: owner.clone(), runs: latest(all.collect()) };
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(".rates-").tempfile_in(folder)?;
            serde_json::to_writer(&mut file, &contents)?;
            writeln!(file)?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|reason| self.io(reason))
    }

    /// The right to replace the file, on a file beside it that stays. Where file systems have no locks, none.
    fn lock(&self) -> Result<fs::File, RatesError> {
        let path = self.path.with_extension("lock");
        let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|reason| self.io(reason))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(APART),
                Ok(()) | Err(fs::TryLockError::Error(_)) => return Ok(file),
            }
        }
        Err(RatesError::Busy { path: self.path.clone() })
    }

    fn io(&self, reason: io::Error) -> RatesError {
        RatesError::Io { path: self.path.clone(), reason }
    }
}

/// The runs without those of which there are enough later ones that are alike: in how they ran, in which parts
/// of the work they did, and, to a quarter of an octave, in how much it was.
fn latest(runs: Vec<Run>) -> Vec<Run> {
    let kind = |run: &Run| {
        let size = (run.work.total().max(1.0).log2() * 4.0).round() as i64;
        (run.workers, run.at_once, size, run.work.0.map(|part| part > 0.0))
    };
    let mut counts = HashMap::new();
    let mut kept: Vec<Run> = runs.into_iter().rev().collect();
    kept.retain(|run| {
        let count = counts.entry(kind(run)).or_insert(0);
        *count += 1;
        *count <= KEPT
    });
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std_runner::work::Work;

    fn owner() -> Owner {
        Owner { machine: "a machine".into(), ..Owner::default() }
    }

    fn run(seconds: f64, length: usize) -> Run {
        let work = Work([1e6 * length as f64, 0.0, 0.0, 0.0, 0.0, 0.0]);
        Run { workers: 2, at_once: 1, residues: length, work, seconds, probe: false }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::new(&folder.path().join("not/yet"), &owner());
        assert_eq!(file.read(&owner()).expect("none"), []);
        file.add(&owner(), &[run(0.1, 32)]).expect("kept");
        file.add(&owner(), &[run(0.3, 64), run(0.1 + 0.2, 128)]).expect("kept");
        let runs = file.read(&owner()).expect("runs");
        assert_eq!(runs, [run(0.1, 32), run(0.3, 64), run(0.1 + 0.2, 128)], "to the last bit");
    }

    #[test]
    fn the_latest_of_each_length_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::new(folder.path(), &owner());
        file.add(&owner(), &[run(9.0, 500)]).expect("kept");
        for second in 0..20 {
            file.add(&owner(), &[run(f64::from(second), 64)]).expect("kept");
        }
        let seconds: Vec<f64> = file.read(&owner()).expect("runs").iter().map(|run| run.seconds).collect();
        assert_eq!(seconds, [9.0, 15.0, 16.0, 17.0, 18.0, 19.0]);
    }

    #[test]
    fn what_is_damaged_or_another_s_is_told_and_then_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::new(folder.path(), &owner());
        file.add(&owner(), &[run(1.0, 32)]).expect("kept");
        let whole = fs::read_to_string(&file.path).expect("text");
        let cases = [&whole[..whole.len() / 2], "", "{}", "\0\0", &whole.replace("\"probe\"", "\"prob\"")]
            .map(str::to_owned);
        for text in cases {
            fs::write(&file.path, &text).expect("written");
            let error = file.read(&owner()).expect_err(&text).to_string();
            assert!(error.contains(".json: no measured rates: ") && error.contains("line "), "{error}");
            file.add(&owner(), &[run(2.0, 32)]).expect("replaced");
            assert_eq!(file.read(&owner()).expect("runs"), [run(2.0, 32)]);
        }
        let other = Owner { machine: "another machine".into(), ..owner() };
        assert!(matches!(file.read(&other), Err(RatesError::Owner { .. })));
        assert_ne!(File::new(folder.path(), &other).path, file.path);
        let blocked = File::new(&file.path, &owner());
        assert!(matches!(blocked.add(&owner(), &[run(1.0, 32)]), Err(RatesError::Io { .. })));
    }

    #[test]
    fn nobody_loses_what_another_keeps() {
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let folder = folder.path();
                scope.spawn(move || {
                    for step in 0..3 {
                        let run = run(1.0, 32 << (3 * thread + step));
                        File::new(folder, &owner()).add(&owner(), &[run]).expect("kept");
                    }
                });
            }
        });
        let mut lengths: Vec<usize> = File::new(folder.path(), &owner())
            .read(&owner())
            .expect("runs")
            .iter()
            .map(|run| run.residues)
            .collect();
        lengths.sort_unstable();
        assert_eq!(lengths, (0..12).map(|step| 32usize << step).collect::<Vec<_>>());
        let lock = File::new(folder.path(), &owner());
        let held = lock.lock().expect("free");
        assert!(matches!(lock.add(&owner(), &[run(1.0, 1)]), Err(RatesError::Busy { .. })));
        drop(held);
        lock.add(&owner(), &[run(1.0, 1)]).expect("free again");
    }
}
