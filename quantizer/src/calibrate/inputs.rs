//! Sampled inputs of Linears, kept on disk until their weights are rounded: those of a large model are larger
//! than memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

/// Rows of values by the name of their site.
#[derive(Debug, Default)]
pub struct Inputs {
    /// There as soon as something is stored.
    file: Option<File>,
    /// Where each site's values begin, in bytes, and how many there are.
    places: BTreeMap<String, (u64, usize)>,
    end: u64,
}

impl Inputs {
    /// Adds the values of a site that has none yet.
    ///
    /// # Errors
    /// The temporary file can't be made or written.
    pub fn store(&mut self, site: &str, values: &[f32]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.seek(SeekFrom::Start(self.end))?;
        let mut out = BufWriter::new(file);
        for value in values {
            out.write_all(&value.to_le_bytes())?;
        }
        out.flush()?;
        self.places.insert(site.to_owned(), (self.end, values.len()));
        self.end += size_of_val(values) as u64;
        Ok(())
    }

    /// The values of a site; `None` if it has none.
    ///
    /// # Errors
    /// The temporary file can't be read.
    pub fn read(&self, site: &str) -> io::Result<Option<Vec<f32>>> {
        let (Some(mut file), Some(&(start, count))) = (self.file.as_ref(), self.places.get(site)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; count * size_of::<f32>()];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let mut inputs = Inputs::default();
        assert_eq!(inputs.read("a").unwrap(), None);
        inputs.store("a", &[1.0, -2.5]).unwrap();
        inputs.store("b", &[]).unwrap();
        inputs.store("c", &[3.0]).unwrap();
        assert_eq!(inputs.read("c").unwrap().unwrap(), [3.0]);
        assert_eq!(inputs.read("a").unwrap().unwrap(), [1.0, -2.5]);
        assert_eq!(inputs.read("b").unwrap().unwrap(), [0f32; 0]);
        assert_eq!(inputs.read("d").unwrap(), None);
    }
}
