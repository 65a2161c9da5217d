//! The file of a sequence's results.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use fasta::Sequence;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::Value;

/// A result's kind, its values and its shape.
pub type Tensors = Vec<(&'static str, Vec<f32>, Vec<usize>)>;

/// Refuses results that are no numbers: finite weights may still be too large to compute with.
pub fn require_finite(id: &str, tensors: &Tensors) -> anyhow::Result<()> {
    for (kind, values, _) in tensors {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            bail!(
                "{id}: {kind} is {} at index {index}, expected finite values: weights of the checkpoint are too large to \
                 compute with in f32; nothing was written for this sequence",
                values[index]
            );
        }
    }
    Ok(())
}

/// Writes one sequence's file; its metadata hold the sequence and how it was made, so that nobody takes it
/// for another one's.
pub fn write(
    out: &Path,
    sequence: &Sequence,
    tensors: &Tensors,
    origin: &HashMap<String, String>,
) -> anyhow::Result<PathBuf> {
    let bytes: Vec<(String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(kind, values, shape)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (format!("{}.{kind}", sequence.id), shape.as_slice(), bytes)
        })
        .collect();
    let path = out.join(format!("{}.safetensors", sequence.stem));
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let residues = String::from_utf8_lossy(&sequence.residues).into_owned();
    let mut metadata = origin.clone();
    metadata.insert("sequence".to_owned(), residues);
    let written = views.and_then(|views| serialize_to_file(views, Some(metadata), &path));
    written.with_context(|| path.display().to_string())?;
    sort_header(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Puts the keys of a safetensors header in order: they are written as a hash map has them, in another order
/// each time, and equal references shall be equal files.
fn sort_header(path: &Path) -> anyhow::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut header = vec![0; usize::try_from(length)?];
    file.read_exact(&mut header)?;
    let sorted: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(&header)?;
    let mut sorted = serde_json::to_vec(&sorted)?;
    ensure!(sorted.len() <= header.len(), "its header cannot be put in order");
    sorted.resize(header.len(), b' ');
    file.seek(SeekFrom::Start(8))?;
    Ok(file.write_all(&sorted)?)
}
