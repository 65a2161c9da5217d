//! Float reference outputs: one safetensors file for each sequence, as `quantizer reference` writes them.

use std::path::{Path, PathBuf};

use fasta::Sequence;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// The bytes of one sequence's reference file.
#[derive(Debug)]
pub struct Reference {
    path: PathBuf,
    id: String,
    bytes: Vec<u8>,
}

/// A reference file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct ReferenceError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what was expected.
    pub reason: String,
}

impl Reference {
    /// Reads a sequence's file, `DIR/STEM.safetensors`, whose tensors are named `ID.contacts`, `ID.hidden`, `ID.logits`.
    ///
    /// # Errors
    /// [`ReferenceError`] with the file's name, also if the file says that it is another sequence's: names may be, where a file's records
    /// have changed since.
    pub fn open(dir: &Path, sequence: &Sequence) -> Result<Self, ReferenceError> {
        let path = dir.join(format!("{}.safetensors", sequence.stem));
        let error = |reason| ReferenceError { path: path.clone(), reason };
        let bytes =
            std::fs::read(&path).map_err(|e| error(format!("the float reference cannot be read: {e}")))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| error(e.to_string()))?;
        let residues = header.metadata().as_ref().and_then(|metadata| metadata.get("sequence"));
        if residues.is_some_and(|residues| residues.as_bytes() != sequence.residues) {
            return Err(error(format!(
                "it is of another sequence than {}; make the float references anew",
                sequence.place
            )));
        }
        Ok(Self { path, id: sequence.id.clone(), bytes })
    }

    /// The f32 tensor `ID.kind`, which must have this shape; `None` if the file has no such tensor.
    ///
    /// # Errors
    /// [`ReferenceError`] if the file is damaged, or the tensor has another type or shape.
    pub fn tensor(&self, kind: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, ReferenceError> {
        let error = |reason: String| ReferenceError { path: self.path.clone(), reason };
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| error(e.to_string()))?;
        let name = format!("{}.{kind}", self.id);
        let Ok(tensor) = file.tensor(&name).or_else(|_| file.tensor(kind)) else { return Ok(None) };
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let (dtype, found) = (tensor.dtype(), tensor.shape());
            return Err(error(format!("{name} is {dtype:?} {found:?}; expected F32 {shape:?}")));
        }
        let (values, _) = tensor.data().as_chunks::<4>();
        Ok(Some(values.iter().map(|&b| f32::from_le_bytes(b)).collect()))
    }

    /// As [`tensor`](Self::tensor), for a tensor that must be there.
    ///
    /// # Errors
    /// Also if the file has no such tensor.
    pub fn required(&self, kind: &str, shape: &[usize]) -> Result<Vec<f32>, ReferenceError> {
        self.tensor(kind, shape)?.ok_or_else(|| ReferenceError {
            path: self.path.clone(),
            reason: format!("has no tensor {}.{kind}; expected one of shape {shape:?}", self.id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn tensors_are_found_and_checked() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut bytes = Vec::new();
        let tensors = BTreeMap::from([("a|b.contacts".to_owned(), (vec![2, 2], vec![0.0, 0.25, 0.25, 0.0]))]);
        crate::output::safetensors(&mut bytes, &tensors, false).expect("in memory");
        std::fs::write(dir.path().join("a_b.safetensors"), bytes).expect("written");
        let sequence = Sequence::from_residues("a|b", b"MK".to_vec());
        let reference = Reference::open(dir.path(), &sequence).expect("a file");
        assert_eq!(reference.required("contacts", &[2, 2]).expect("there"), [0.0, 0.25, 0.25, 0.0]);
        assert_eq!(reference.tensor("hidden", &[2]).expect("fine"), None);
        let error = reference.required("contacts", &[3, 3]).expect_err("another shape").to_string();
        assert!(error.contains("a_b.safetensors") && error.contains("expected F32 [3, 3]"), "{error}");
        assert!(reference.required("logits", &[1]).expect_err("missing").to_string().contains("a|b.logits"));
        assert!(
            Reference::open(dir.path(), &Sequence::from_residues("c", vec![]))
                .expect_err("missing")
                .to_string()
                .contains("c.safetensors")
        );
    }

    #[test]
    fn a_reference_of_another_sequence_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let metadata = std::collections::HashMap::from([("sequence".to_owned(), "MK".to_owned())]);
        let tensor = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("a tensor");
        let bytes = safetensors::serialize([("a.ptm", tensor)], Some(metadata)).expect("in memory");
        std::fs::write(dir.path().join("a.safetensors"), bytes).expect("written");
        let open =
            |residues: &[u8]| Reference::open(dir.path(), &Sequence::from_residues("a", residues.to_vec()));
        assert_eq!(open(b"MK").expect("its own").required("ptm", &[1]).expect("there"), [0.0]);
        let error = open(b"MV").expect_err("another sequence").to_string();
        assert!(error.contains("a.safetensors: it is of another sequence than"), "{error}");
    }
}
