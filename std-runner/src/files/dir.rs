//! The output folder: checked before a run, and written so that a file is complete as soon as it has its
//! name.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A folder that files can be written to.
#[derive(Clone, Debug)]
pub struct OutputDir {
    path: PathBuf,
}

/// A file or folder that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {reason}", path.display())]
pub struct OutputError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub reason: io::Error,
}

impl OutputDir {
    /// Creates the folder where needed, and proves with a temporary file that it can be written to.
    ///
    /// # Errors
    /// [`OutputError`] with the folder's name.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let error = |reason| OutputError { path: path.to_owned(), reason };
        std::fs::create_dir_all(path).map_err(error)?;
        let dir = Self { path: path.to_owned() };
        dir.temporary().and_then(tempfile::NamedTempFile::close).map_err(error)?;
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file `name` through `write`: to a temporary neighbour first, which takes the name when it
    /// is complete. An older file of that name is replaced.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name; then no part of it is left behind.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, OutputError> {
        self.replace(name, [], write)
    }

    /// As [`write`](Self::write); the files `stale` of the folder, which belong to an older file of that
    /// name, are removed just before the new one takes it. What is missing, or no file, is passed over.
    ///
    /// # Errors
    /// [`OutputError`] with the name of the file that could not be written or removed; then no part of the
    /// new one is left behind.
    pub fn replace(
        &self,
        name: &str,
        stale: impl IntoIterator<Item = String>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, OutputError> {
        let path = self.path.join(name);
        let whole = || -> io::Result<_> {
            let mut buffer = BufWriter::new(self.temporary()?);
            write(&mut buffer)?;
            buffer.into_inner().map_err(io::IntoInnerError::into_error)
        };
        let whole = whole().map_err(|reason| OutputError { path: path.clone(), reason })?;
        for name in stale {
            let path = self.path.join(name);
            remove(&path).map_err(|reason| OutputError { path, reason })?;
        }
        match whole.persist(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(OutputError { path, reason: error.error }),
        }
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".foldpoint-");
        // Temporary files are private by default, and these become the user's: leave it to the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.path)
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(&parent.path().join("a/b")).expect("a new folder");
        let path = dir.write("x.txt", |w| w.write_all(b"hello")).expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"hello");
        dir.write("x.txt", |w| w.write_all(b"again")).expect("replaced");
        let error = dir.write("y.txt", |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("out of ink"))
        });
        assert!(error.expect_err("failed").to_string().ends_with("y.txt: cannot be written: out of ink"));
        let names: Vec<_> = std::fs::read_dir(parent.path().join("a/b")).expect("a folder").collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(std::fs::read(&path).expect("a file"), b"again");
    }

    #[test]
    fn what_belongs_to_an_older_file_goes_when_the_new_one_is_whole() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        for name in ["a.pdb", "a.pae.json", "b.pae.json"] {
            dir.write(name, |w| w.write_all(b"old")).expect("written");
        }
        std::fs::create_dir(parent.path().join("a.cif")).expect("a folder of that name");
        let stale = || ["a.pae.json", "a.cif", "a.pae.npy"].map(str::to_owned);
        let failed = dir.replace("a.pdb", stale(), |_| Err(io::Error::other("out of ink")));
        assert!(failed.is_err());
        assert!(
            parent.path().join("a.pae.json").exists(),
            "the older structure is there, and so are its errors"
        );
        dir.replace("a.pdb", stale(), |w| w.write_all(b"new")).expect("replaced");
        assert_eq!(std::fs::read(parent.path().join("a.pdb")).expect("a file"), b"new");
        let left = |name: &str| parent.path().join(name).exists();
        assert_eq!(["a.pae.json", "a.cif", "b.pae.json"].map(left), [false, true, true]);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = OutputDir::create(file.path()).expect_err("a file in the way").to_string();
        assert!(error.starts_with(&file.path().display().to_string()), "{error}");
    }
}
