//! A file of lines that are written as they arrive and ordered at the end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::files::{OutputDir, OutputError};

/// A file that grows line by line.
pub struct OrderedLines {
    dir: OutputDir,
    name: String,
    file: File,
    /// Bytes of the head, which stays first.
    head: u64,
    /// Place in the order, begin and length in the file of each line, as they arrived.
    lines: Vec<(usize, u64, usize)>,
    /// Bytes of the file.
    end: u64,
}

impl OrderedLines {
    /// Begins the file `name` with `head`, which is empty or whole lines. An older file of that name is
    /// emptied.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name.
    pub fn create(dir: &OutputDir, name: &str, head: &str) -> Result<Self, OutputError> {
        let path = dir.path().join(name);
        let begin = |path: &PathBuf| -> io::Result<File> {
            let mut options = File::options();
            let mut file = options.read(true).write(true).create(true).truncate(true).open(path)?;
            file.write_all(head.as_bytes())?;
            Ok(file)
        };
        let file = begin(&path).map_err(|reason| OutputError { path, reason })?;
        let head = head.len() as u64;
        Ok(Self { dir: dir.clone(), name: name.into(), file, head, lines: vec![], end: head })
    }

    /// Adds a line (without its end) that is at `place` in the order.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name; then no part of the line is in the file.
    pub fn add(&mut self, place: usize, line: &str) -> Result<(), OutputError> {
        let line = format!("{line}\n");
        // In one call, so that there is no half of a line to see.
        if let Err(reason) = self.file.write_all(line.as_bytes()) {
            // If this fails as well there is nothing left to do, and the error is told either way.
            let _ = self.file.set_len(self.end);
            let _ = self.file.seek(SeekFrom::Start(self.end));
            return Err(OutputError { path: self.dir.path().join(&self.name), reason });
        }
        self.lines.push((place, self.end, line.len()));
        self.end += line.len() as u64;
        Ok(())
    }

    /// Puts the lines in order; the file is replaced as a whole, and only if it has to be.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name; then its lines are in the order of arrival.
    pub fn finish(mut self) -> Result<(), OutputError> {
        if self.lines.is_sorted_by_key(|&(place, ..)| place) {
            return Ok(());
        }
        self.lines.sort_by_key(|&(place, ..)| place);
        let parts =
            std::iter::once((0, self.head as usize)).chain(self.lines.iter().map(|&(_, at, len)| (at, len)));
        self.dir.write(&self.name, |out| {
            let mut buffer = Vec::new();
            for (at, len) in parts {
                buffer.resize(len, 0);
                self.file.seek(SeekFrom::Start(at))?;
                self.file.read_exact(&mut buffer)?;
                out.write_all(&buffer)?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dir: &OutputDir) -> String {
        std::fs::read_to_string(dir.path().join("x")).expect("a file")
    }

    #[test]
    fn lines_are_there_at_once_and_in_order_at_the_end() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        dir.write("x", |w| w.write_all(b"of an earlier run")).expect("written");
        let mut lines = OrderedLines::create(&dir, "x", "head\n").expect("a file");
        lines.add(2, "two, which is longer").expect("written");
        assert_eq!(text(&dir), "head\ntwo, which is longer\n");
        lines.add(0, "none").expect("written");
        lines.add(1, "one").expect("written");
        assert_eq!(text(&dir), "head\ntwo, which is longer\nnone\none\n");
        lines.finish().expect("ordered");
        assert_eq!(text(&dir), "head\nnone\none\ntwo, which is longer\n");
    }

    #[test]
    fn a_file_that_cannot_be_begun_is_named() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        std::fs::create_dir(parent.path().join("x")).expect("in the way");
        let error = OrderedLines::create(&dir, "x", "").err().expect("a folder is no file").to_string();
        assert!(error.contains("x: cannot be written: "), "{error}");
    }

    /// A device that is always full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_line_that_has_no_room_is_an_error() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = OutputDir::create(parent.path()).expect("a folder");
        std::os::unix::fs::symlink("/dev/full", parent.path().join("x")).expect("a link");
        let mut lines = OrderedLines::create(&dir, "x", "").expect("nothing is written yet");
        let error = lines.add(0, "line").expect_err("full").to_string();
        assert!(error.contains("x: cannot be written: "), "{error}");
    }
}
