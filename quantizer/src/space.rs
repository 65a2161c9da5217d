//! Whether what is to be written finds room on its disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Less room on a disk than is to be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {:.1} GB are to be written there, and {:.1} GB are free on that disk", folder.display(), *needed as f64 / 1e9,
    *free as f64 / 1e9
)]
pub struct NoSpace {
    /// Where.
    pub folder: PathBuf,
    /// Bytes that are to be written.
    pub needed: u64,
    /// Bytes that a user may still write.
    pub free: u64,
}

/// Checks that `needed` bytes more have room in `folder`, which may be still to be made. A disk that doesn't
/// tell passes: writing will.
///
/// # Errors
/// [`NoSpace`].
pub fn require(folder: &Path, needed: u64) -> Result<(), NoSpace> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    let there = absolute.ancestors().find(|folder| folder.is_dir());
    match there.and_then(|folder| fs4::available_space(folder).ok()) {
        Some(free) if free < needed => Err(NoSpace { folder: folder.into(), needed, free }),
        _ => Ok(()),
    }
}

/// Bytes of the files in `folder`; 0 if there is none.
pub fn taken(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new/folder");
        require(&new, 1).unwrap();
        let error = require(&new, u64::MAX).unwrap_err();
        assert!(error.free > 1);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{}: 18446744073.7 GB are to be written there", new.display())),
            "{text}"
        );
    }

    #[test]
    fn what_is_there_already_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one"), [0; 700]).unwrap();
        fs::write(folder.path().join("two"), [0; 41]).unwrap();
        assert_eq!((taken(folder.path()), taken(&folder.path().join("none"))), (741, 0));
    }
}
