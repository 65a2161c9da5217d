//! PyTorch files (`pytorch_model.bin`, `.pt`): a zip archive of a pickled object and the storages it refers
//! to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;

use super::archive::{Archive, Entry};
use super::hostile;
use super::pickled::{self, StoredTensor};
use super::unpickle::{Node, Pickle};
use super::{CheckpointError, Element};

/// An open PyTorch file.
pub struct TorchArchive {
    path: PathBuf,
    /// Behind a lock because reading one member moves the file's position.
    zip: Mutex<ZipArchive<BufReader<File>>>,
    /// Folder of the members: `archive/` or the file's own name.
    folder: String,
    pickle: Pickle,
    tensors: BTreeMap<String, StoredTensor>,
    entries: BTreeMap<String, Entry>,
}

impl TorchArchive {
    /// Opens the file and reads the pickled object, but no tensor's values.
    ///
    /// # Errors
    /// The file can't be read, is no zip archive (PyTorch before 1.6 wrote others), or holds no dictionary of
    /// tensors.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |detail: String| CheckpointError::Format { path: path.into(), detail };
        let file = File::open(path).map_err(|source| CheckpointError::Io { path: path.into(), source })?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| {
            damaged(format!("{e} (files written by PyTorch before 1.6 must be saved again with a newer one)"))
        })?;
        let members: Vec<String> = zip.file_names().flatten().map(|name| name.into_owned()).collect();
        let folder = members
            .iter()
            .find_map(|name| name.strip_suffix("data.pkl"))
            .ok_or_else(|| damaged("no member data.pkl".into()))?
            .to_owned();
        let mut member = |name: &str| -> Result<Vec<u8>, String> {
            let mut bytes = Vec::new();
            zip.by_name(name)
                .map_err(|e| e.to_string())?
                .read_to_end(&mut bytes)
                .map_err(|e| format!("member {name}: {e}"))?;
            Ok(bytes)
        };
        let byte_order = format!("{folder}byteorder");
        if members.contains(&byte_order) && member(&byte_order).map_err(damaged)? != b"little" {
            return Err(damaged("stored in big-endian byte order".into()));
        }
        let pickle = member(&format!("{folder}data.pkl")).map_err(damaged)?;
        let pickle = Pickle::read(&pickle).map_err(|e| damaged(format!("data.pkl: {e}")))?;
        if let Some(function) = hostile::find(&pickle) {
            return Err(CheckpointError::Hostile { path: path.into(), function: function.into() });
        }
        let tensors = pickled::state_dict(&pickle).map_err(|e| damaged(format!("data.pkl: {e}")))?;
        let entries = tensors
            .iter()
            .map(|(name, t)| (name.clone(), Entry { element: t.element, shape: t.shape.clone() }))
            .collect();
        Ok(Self { path: path.into(), zip: Mutex::new(zip), folder, pickle, tensors, entries })
    }
}

impl Archive for TorchArchive {
    fn path(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.tensors.get(name).ok_or_else(|| CheckpointError::MissingTensors {
            path: self.path.clone(),
            names: vec![name.into()],
        })?;
        let damaged = |detail: String| CheckpointError::Format {
            path: self.path.clone(),
            detail: format!("tensor {name}: {detail}"),
        };
        let not_float = || CheckpointError::NotFloat {
            path: self.path.clone(),
            tensor: name.into(),
            found: Element::Other,
        };
        if tensor.element == Element::Other {
            return Err(not_float());
        }
        let mut bytes = Vec::new();
        // Reading to the end of the member also checks its CRC.
        self.zip
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_name(&format!("{}data/{}", self.folder, tensor.storage))
            .map_err(|e| damaged(e.to_string()))?
            .read_to_end(&mut bytes)
            .map_err(|e| damaged(e.to_string()))?;
        let storage = tensor.element.decode(&bytes).ok_or_else(not_float)?;
        gather(storage, tensor).ok_or_else(|| damaged("lies outside its storage".into()))
    }

    fn size_setting(&self, key: &str) -> Option<usize> {
        pickled::training_argument(&self.pickle, key).and_then(pickled::size)
    }

    fn flag_setting(&self, key: &str) -> Option<bool> {
        match pickled::training_argument(&self.pickle, key)? {
            Node::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// Values of a view that repeats those of its storage, at most.
const LARGEST_REPEATED: usize = 1 << 24;

/// The values of `tensor` in row-major order out of its storage; `None` if some lie outside.
fn gather(storage: Vec<f32>, tensor: &StoredTensor) -> Option<Vec<f32>> {
    let len = tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))?;
    if len == 0 {
        return Some(Vec::new());
    }
    if tensor.is_row_major() {
        if tensor.offset == 0 && storage.len() == len {
            return Some(storage);
        }
        return storage.get(tensor.offset..tensor.offset.checked_add(len)?).map(<[f32]>::to_vec);
    }
    let mut last = tensor.offset;
    for (&size, &stride) in tensor.shape.iter().zip(&tensor.stride) {
        last = last.checked_add((size - 1).checked_mul(stride)?)?;
    }
    storage.get(last)?;
    // A view may repeat the values of its storage (stride 0), and a forged one without end.
    if len > storage.len().max(LARGEST_REPEATED) {
        return None;
    }
    let mut values = Vec::with_capacity(len);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..len {
        let place: usize = index.iter().zip(&tensor.stride).map(|(i, stride)| i * stride).sum();
        values.push(storage[tensor.offset + place]);
        for (i, &size) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], stride: &[usize], offset: usize) -> Option<Vec<f32>> {
        let tensor = StoredTensor {
            element: Element::F32,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
            offset,
            storage: "0".into(),
        };
        gather((0..12u8).map(f32::from).collect(), &tensor)
    }

    #[test]
    fn views_of_a_storage_are_gathered_row_by_row() {
        assert_eq!(view(&[2, 3], &[3, 1], 4), Some(vec![4.0, 5.0, 6.0, 7.0, 8.0, 9.0]));
        assert_eq!(view(&[3, 2], &[1, 3], 0), Some(vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(view(&[2, 2], &[0, 6], 1), Some(vec![1.0, 7.0, 1.0, 7.0]));
        assert_eq!(view(&[0, 2], &[2, 1], 40), Some(vec![]));
    }

    #[test]
    fn views_past_the_storage_are_refused() {
        assert_eq!(view(&[3, 4], &[4, 1], 1), None);
        assert_eq!(view(&[4, 3], &[1, 4], 1), None);
        assert_eq!(view(&[usize::MAX, 3], &[3, 1], 0), None);
        assert_eq!(view(&[2, 2], &[1, usize::MAX], 1), None);
        assert_eq!(view(&[1 << 40, 3], &[0, 1], 0), None);
    }
}
