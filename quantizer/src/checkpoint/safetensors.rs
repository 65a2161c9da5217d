//! Safetensors files, of which only the tensors asked for are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};

use super::archive::{Archive, Entry};
use super::{CheckpointError, Element};

/// An open safetensors file.
pub struct SafetensorsArchive {
    path: PathBuf,
    /// Behind a lock because reading moves the file's position. It isn't mapped: the pages of a map would count
    /// as the program's memory for as long as it runs.
    file: Mutex<File>,
    /// Where in the file the values begin; the offsets in `metadata` count from there.
    start: usize,
    metadata: Metadata,
    entries: BTreeMap<String, Entry>,
}

impl SafetensorsArchive {
    /// Reads the file's header.
    ///
    /// # Errors
    /// The file can't be read, or its header does not fit it.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is read only, and as for every program that maps its input, the file must not be
        // changed by another one meanwhile. A file that was truncated before is seen by the check of the
        // header below, which is all that the map is for.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|e| CheckpointError::Format { path: path.into(), detail: e.to_string() })?;
        let entries = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, Entry { element: element(info.dtype), shape: info.shape.clone() }))
            .collect();
        Ok(Self {
            path: path.into(),
            file: Mutex::new(file),
            start: size_of::<u64>() + header,
            metadata,
            entries,
        })
    }
}

impl Archive for SafetensorsArchive {
    fn path(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let missing =
            || CheckpointError::MissingTensors { path: self.path.clone(), names: vec![name.into()] };
        let info = self.metadata.info(name).ok_or_else(missing)?;
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end - begin];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let from = SeekFrom::Start((self.start + begin) as u64);
            file.seek(from)
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|source| CheckpointError::Io { path: self.path.clone(), source })?;
        }
        let found = element(info.dtype);
        found.decode(&bytes).ok_or_else(|| CheckpointError::NotFloat {
            path: self.path.clone(),
            tensor: name.into(),
            found,
        })
    }
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => Element::Other,
    }
}
