//! What was given on a command line, as files: folders become the FASTA files in them, and no file comes
//! twice.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{FastaError, Warning};

/// Endings of FASTA files in a folder. `.fna` and `.ffn` are nucleotides by convention.
const ENDINGS: [&str; 4] = ["fa", "fas", "fasta", "faa"];
/// Endings behind them of compressed files; those that can't be read are taken too, so that an error names
/// them.
const COMPRESSED: [&str; 7] = ["gz", "bgz", "bz2", "xz", "zst", "zip", "z"];

/// The files that `paths` stand for, in order; those of a folder by name. `-`, the standard input, stays as
/// it is.
pub(crate) fn files(
    paths: &[impl AsRef<Path>],
    warnings: &mut Vec<Warning>,
) -> Vec<Result<PathBuf, FastaError>> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let found = if path.is_dir() { in_folder(path) } else { Ok(vec![path.to_owned()]) };
        match found {
            Err(error) => files.push(Err(error)),
            Ok(paths) => {
                for path in paths {
                    if seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                        files.push(Ok(path));
                    } else {
                        warnings.push(Warning::GivenTwice { file: path.display().to_string() });
                    }
                }
            }
        }
    }
    files
}

/// Files of a folder that are FASTA by name, by name; hidden ones and those of folders in it are left out.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, FastaError> {
    let file = || folder.display().to_string();
    let unreadable = |reason| FastaError::Unreadable { file: file(), reason };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let paths =
        entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>().map_err(unreadable)?;
    // Neither folders nor pipes: a pipe that nobody writes to would be waited for.
    let is_file = |path: &PathBuf| is_fasta(path) && (path.is_file() || !path.exists());
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(is_file).collect();
    paths.sort();
    if paths.is_empty() { Err(FastaError::NothingInFolder { folder: file() }) } else { Ok(paths) }
}

/// Whether a file is FASTA by its name.
fn is_fasta(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ends = |ending: Option<&str>, of: &[&str]| ending.is_some_and(|ending| of.contains(&ending));
    let mut parts = name.rsplit('.');
    let mut last = parts.next();
    if ends(last, &COMPRESSED) {
        last = parts.next();
    }
    !name.starts_with('.') && ends(last, &ENDINGS) && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fasta_files() {
        for name in ["a.fa", "a.FASTA", "a.b.faa.gz", "dir/a.fas", "a.Fa.GZ", "a.fa.bgz", "a.fa.zst"] {
            assert!(is_fasta(Path::new(name)), "{name}");
        }
        for name in
            ["a.fna", "a.txt", ".a.fa", "fa", "a.gz", "a.fa.txt", ".fa", "fa.gz", "._a.fasta", "a.fa~"]
        {
            assert!(!is_fasta(Path::new(name)), "{name}");
        }
    }
}
