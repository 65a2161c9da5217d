//! Float reference outputs: one safetensors file for each sequence, as `quantizer reference` writes them.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fasta::Sequence;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

/// The longest header that is read, in bytes, as safetensors has it.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a safetensors header says beside its tensors.
#[derive(serde::Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
}

/// What the references are compared with, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Name of the checkpoint that the model was made of.
    pub checkpoint: Option<String>,
    /// SHA-256 of each of its files.
    pub sha256: BTreeSet<String>,
    /// How often the output goes through the model again, where it matters.
    pub recycles: Option<usize>,
}

impl Origin {
    /// That of a model whose `meta.json` says this.
    pub fn of(meta: Option<&Map<String, Value>>, recycles: Option<usize>) -> Self {
        let get = |key| meta.and_then(|meta| meta.get(key));
        let checkpoint = get("checkpoint").and_then(Value::as_str).map(str::to_owned);
        Self { checkpoint, sha256: get("sha256").map(hashes).unwrap_or_default(), recycles }
    }

    /// Compares with a reference file's metadata: what contradicts, if anything does; and else what should be
    /// known about it.
    fn compare(&self, made: &HashMap<String, String>) -> Result<Option<String>, String> {
        let mut missing = Vec::new();
        if !self.sha256.is_empty() {
            let found = made.get("sha256").and_then(|text| serde_json::from_str(text).ok());
            let found = found.as_ref().map(hashes).unwrap_or_default();
            if found.is_empty() {
                missing.push("checkpoint");
            } else if found != self.sha256 {
                let name = |name: Option<&String>| name.map_or_else(|| "unnamed".to_owned(), String::clone);
                return Err(format!(
                    "it is of other weights (checkpoint {}) than the model (made of {}); make the float references of the model's \
                     checkpoint",
                    name(made.get("checkpoint")),
                    name(self.checkpoint.as_ref())
                ));
            }
        }
        if let Some(recycles) = self.recycles {
            match made.get("recycles") {
                None => missing.push("recycles"),
                Some(found) if *found != recycles.to_string() => {
                    return Err(format!("it is of {found} recycles; expected {recycles}, as the model does"));
                }
                Some(_) => {}
            }
        }
        if !missing.is_empty() {
            return Ok(Some(format!("does not say of which {} it is", missing.join(" and "))));
        }
        let rounded = made.get("weights").filter(|weights| *weights != "float");
        Ok(rounded.map(|weights| format!("is of weights rounded to {weights}")))
    }
}

/// The hashes in an object of file names.
fn hashes(files: &Value) -> BTreeSet<String> {
    let values = files.as_object().into_iter().flat_map(Map::values);
    values.filter_map(|hash| hash.as_str().map(str::to_owned)).collect()
}

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
    /// Reads a sequence's file, `DIR/STEM.safetensors`, whose tensors are named `ID.contacts`, `ID.hidden`,
    /// `ID.logits`.
    ///
    /// # Errors
    /// [`ReferenceError`] with the file's name, also if the file says that it is another sequence's: names
    /// may be, where a file's records have changed since.
    pub fn open(dir: &Path, sequence: &Sequence) -> Result<Self, ReferenceError> {
        let path = path(dir, sequence);
        let error = |reason| ReferenceError { path: path.clone(), reason };
        let bytes =
            std::fs::read(&path).map_err(|e| error(format!("the float reference cannot be read: {e}")))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| error(e.to_string()))?;
        let residues = header.metadata().as_ref().and_then(|metadata| metadata.get("sequence"));
        is_of(sequence, residues).map_err(error)?;
        Ok(Self { path, id: sequence.id.clone(), bytes })
    }

    /// Compares the header of a sequence's file with the sequence and with `origin`; returns what should be
    /// known about the file: words that go on behind its name. Tensors are not read, so that all files can be
    /// checked before anything is computed.
    ///
    /// # Errors
    /// [`ReferenceError`] if the file cannot be read, or says that it is of another sequence, of other
    /// weights or of other recycles.
    pub fn check(dir: &Path, sequence: &Sequence, origin: &Origin) -> Result<Option<String>, ReferenceError> {
        let path = path(dir, sequence);
        let error = |reason| ReferenceError { path: path.clone(), reason };
        let unreadable = |e: std::io::Error| error(format!("the float reference cannot be read: {e}"));
        let mut file = File::open(&path).map_err(unreadable)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(unreadable)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(length).min(LONGEST_HEADER))
            .read_to_end(&mut header)
            .map_err(unreadable)?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|e| error(format!("no safetensors file: {e}")))?;
        is_of(sequence, header.metadata.get("sequence")).map_err(error)?;
        origin.compare(&header.metadata).map_err(error)
    }

    /// The f32 tensor `ID.kind`, which must have this shape; `None` if the file has no such tensor.
    ///
    /// # Errors
    /// [`ReferenceError`] if the file is damaged, or the tensor has another type or shape or a value that is
    /// not finite.
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
        let values: Vec<f32> = values.iter().map(|&b| f32::from_le_bytes(b)).collect();
        // Means and orders of such values would be wrong without a word.
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let value = values[at];
            return Err(error(format!("value {at} of {name} is {value}; expected finite numbers")));
        }
        Ok(Some(values))
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

/// Where a sequence's file is.
fn path(dir: &Path, sequence: &Sequence) -> PathBuf {
    dir.join(format!("{}.safetensors", sequence.stem))
}

/// Checks a file's sequence, if it says one.
fn is_of(sequence: &Sequence, residues: Option<&String>) -> Result<(), String> {
    if residues.is_some_and(|residues| residues.as_bytes() != sequence.residues) {
        return Err(format!(
            "it is of another sequence than {}; make the float references anew",
            sequence.place
        ));
    }
    Ok(())
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
        std_runner::output::safetensors(&mut bytes, &tensors, false).expect("in memory");
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

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let sequence = Sequence::from_residues("a", b"MK".to_vec());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut bytes = Vec::new();
            let tensors =
                BTreeMap::from([("a.contacts".to_owned(), (vec![2, 2], vec![0.0, 0.25, bad, 0.0]))]);
            std_runner::output::safetensors(&mut bytes, &tensors, false).expect("in memory");
            std::fs::write(dir.path().join("a.safetensors"), bytes).expect("written");
            let reference = Reference::open(dir.path(), &sequence).expect("a file");
            let error = reference.tensor("contacts", &[2, 2]).expect_err("not finite").to_string();
            assert!(error.contains(&format!("a.safetensors: value 2 of a.contacts is {bad}")), "{error}");
        }
    }

    #[test]
    fn references_of_other_weights_or_recycles_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let check = |metadata: &[(&str, &str)], origin: &Origin| {
            let metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            let tensor =
                safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("a tensor");
            let bytes = safetensors::serialize([("a.ptm", tensor)], Some(metadata)).expect("in memory");
            std::fs::write(dir.path().join("a.safetensors"), bytes).expect("written");
            let sequence = Sequence::from_residues("a", b"MK".to_vec());
            Reference::check(dir.path(), &sequence, origin).map_err(|error| error.to_string())
        };
        let meta = serde_json::json!({ "checkpoint": "one", "sha256": { "model.safetensors": "12ab" } });
        let origin = Origin::of(meta.as_object(), Some(3));
        // What a file is called does not matter.
        let (weights, recycles) = (("sha256", r#"{"renamed.safetensors":"12ab"}"#), ("recycles", "3"));
        assert_eq!(check(&[weights, recycles, ("weights", "float")], &origin), Ok(None));
        let rounded = check(&[weights, recycles, ("weights", "8 bits")], &origin);
        assert_eq!(rounded, Ok(Some("is of weights rounded to 8 bits".into())));
        let error = check(&[weights, ("recycles", "0")], &origin).expect_err("other recycles");
        assert!(
            error.ends_with("a.safetensors: it is of 0 recycles; expected 3, as the model does"),
            "{error}"
        );
        let other = [("sha256", r#"{"model.safetensors":"00"}"#), recycles, ("checkpoint", "two")];
        let error = check(&other, &origin).expect_err("other weights");
        assert!(error.contains("(checkpoint two) than the model (made of one)"), "{error}");
        // Of those that say nothing, that is said; a language model's have no recycles.
        let silent = check(&[], &origin);
        assert_eq!(silent, Ok(Some("does not say of which checkpoint and recycles it is".into())));
        assert_eq!(check(&[weights], &Origin::of(meta.as_object(), None)), Ok(None));
        assert_eq!(check(&[], &Origin::of(None, None)), Ok(None));
        assert!(check(&[("sequence", "MV")], &origin).is_err());
    }
}
