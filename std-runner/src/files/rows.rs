//! Rows of an array that has as many as there will be: kept on the disk, beside the files to come, until all
//! are there.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use memmap2::Mmap;

use super::{OutputDir, OutputError};

/// Rows of equal width, in the order in which they were added.
#[derive(Debug)]
pub struct Rows {
    file: BufWriter<File>,
    width: usize,
    count: usize,
}

/// All rows.
#[derive(Debug)]
pub struct Matrix {
    /// Nothing if there are no rows: a file of zero bytes cannot be mapped.
    map: Option<Mmap>,
    shape: [usize; 2],
}

impl Rows {
    /// No rows yet. They go into a file without a name in the folder, which is gone with the program however
    /// it ends.
    ///
    /// # Errors
    /// [`OutputError`] with the folder's name.
    pub fn new(dir: &OutputDir, width: usize) -> Result<Self, OutputError> {
        let file = tempfile::tempfile_in(dir.path());
        let file = file.map_err(|reason| OutputError { path: dir.path().to_owned(), reason })?;
        Ok(Self { file: BufWriter::new(file), width, count: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The disk's, or [`io::ErrorKind::InvalidInput`] if the row has another width.
    pub fn push(&mut self, row: &[f32]) -> io::Result<()> {
        if row.len() != self.width {
            let message = format!("a row of {} values in an array of width {}", row.len(), self.width);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.count += 1;
        self.file.write_all(bytemuck::cast_slice(row))
    }

    /// The rows together.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> io::Result<Matrix> {
        let shape = [self.count, self.width];
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let map = if file.metadata()?.len() == 0 {
            None
        } else {
            // SAFETY: the file has no name, so that nobody else can write to it, and this handle is not used
            // after this.
            Some(unsafe { Mmap::map(&file) }?)
        };
        Ok(Matrix { map, shape })
    }
}

impl Matrix {
    /// Number of rows, and their width.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        self.map.as_ref().map_or(&[], |map| bytemuck::cast_slice(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order_and_leave_nothing_behind() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        let mut rows = Rows::new(&dir, 3).expect("a file");
        rows.push(&[1.0, -2.0, 3.5]).expect("written");
        assert!(rows.push(&[1.0]).is_err());
        rows.push(&[0.0, f32::MIN, 9.0]).expect("written");
        let matrix = rows.finish().expect("read");
        assert_eq!(matrix.shape(), [2, 3]);
        assert_eq!(matrix.values(), [1.0, -2.0, 3.5, 0.0, f32::MIN, 9.0]);
        drop(matrix);
        assert_eq!(std::fs::read_dir(parent.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn no_rows_are_an_empty_array() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        let matrix = Rows::new(&dir, 3).expect("a file").finish().expect("nothing to read");
        assert_eq!((matrix.shape(), matrix.values()), ([0, 3], &[][..]));
    }
}
