//! The integer model's states on disk, until the float reference gets to the same places: all of them together would
//! take gigabytes of memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;

use super::places::{Place, Shape};

/// Writes the states of one model, sequence after sequence, each in the order of [`Shape::places`].
pub struct Recorder {
    shape: Shape,
    file: BufWriter<File>,
    written: u64,
    starts: HashMap<(usize, Place), u64>,
}

impl Recorder {
    /// Into a file without a name in the folder `work`.
    ///
    /// # Errors
    /// There can be no such file.
    pub fn new(shape: Shape, work: &Path) -> anyhow::Result<Self> {
        let file = tempfile::tempfile_in(work).with_context(|| work.display().to_string())?;
        Ok(Self { shape, file: BufWriter::new(file), written: 0, starts: HashMap::new() })
    }

    /// Appends rows of sequence number `sequence` at `place`, in units of 2^-frac.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, sequence: usize, place: Place, frac: u32, values: &[i32]) -> io::Result<()> {
        self.starts.entry((sequence, place)).or_insert(self.written);
        let unit = f64::from(frac).exp2().recip();
        for &value in values {
            self.file.write_all(&((f64::from(value) * unit) as f32).to_le_bytes())?;
        }
        self.written += 4 * values.len() as u64;
        Ok(())
    }

    /// Everything that was added, for reading.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(self) -> anyhow::Result<States> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(States { shape: self.shape, file, starts: self.starts })
    }
}

/// The states of one model.
pub struct States {
    shape: Shape,
    file: File,
    starts: HashMap<(usize, Place), u64>,
}

impl States {
    /// The state of sequence number `sequence`, of `residues` residues, at `place`: `[rows, channels]`.
    ///
    /// # Errors
    /// It was never written, or can't be read.
    pub fn read(&self, sequence: usize, place: Place, residues: usize) -> anyhow::Result<Vec<f32>> {
        let start = self.starts.get(&(sequence, place));
        let start = *start.with_context(|| format!("the integer model did not come by at {place}"))?;
        let [rows, channels] = self.shape.size(place, residues);
        let mut bytes = vec![0; 4 * rows * channels];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        BufReader::new(file).read_exact(&mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
    }
}

/// Bytes on disk of the states of a sequence of `residues`.
pub fn bytes(shape: &Shape, residues: usize) -> u64 {
    let size = |place| shape.size(place, residues).map(|n| n as u64).iter().product::<u64>();
    4 * shape.places().into_iter().map(size).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_by_sequence_and_place() {
        let shape = Shape { layers: 1, width: 2, trunk: None };
        let mut recorder = Recorder::new(shape, &std::env::temp_dir()).expect("a temporary file");
        for sequence in 0..2 {
            for layer in 0..2 {
                for token in 0..3 {
                    let value = 100 * sequence + 10 * layer + token;
                    let values = [value as i32, -(value as i32)];
                    recorder.add(sequence, Place::Hidden(layer), 1, &values).expect("written");
                }
            }
        }
        assert_eq!(recorder.written, 2 * bytes(&shape, 1));
        let states = recorder.finish().expect("flushed");
        let state = states.read(1, Place::Hidden(0), 1).expect("there");
        assert_eq!(state, [50.0, -50.0, 50.5, -50.5, 51.0, -51.0]);
        assert!(states.read(2, Place::Hidden(0), 1).is_err(), "there are two");
    }
}
