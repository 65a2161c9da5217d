//! A model file has the tensors of the table, and core reads every one of them and no other.

use std::path::Path;

use foldpoint_core::AlignedBytes;
use foldpoint_core::esm::LanguageModel;
use foldpoint_core::esmfold::FoldingModel;
use foldpoint_core::format::{FormatError, ModelFile};
use quantizer::checkpoint::Checkpoint;
use quantizer::encode::groups;
use quantizer::table::{Kind, Parts};
use quantizer::writer::ModelWriter;

use crate::fixture::folding::model;
use crate::fixture::golden;

/// The table's tensors of the checkpoint at `path`, sorted: those that inference reads, and the others.
fn tensors(path: &Path) -> [Vec<String>; 2] {
    let checkpoint = Checkpoint::open(path).unwrap();
    let mut names = [Vec::new(), Vec::new()];
    for group in groups(&checkpoint) {
        names[usize::from(group.kind == Kind::Metadata)].extend(group.tensors());
    }
    names.iter_mut().for_each(|names| names.sort());
    names
}

/// The same file without the tensor `left_out`.
fn without(file: &ModelFile, left_out: &str) -> AlignedBytes {
    let mut writer = ModelWriter::new();
    for tensor in file.tensors().filter(|tensor| tensor.name != left_out) {
        let shape: Vec<usize> = tensor.shape().iter().map(|&extent| extent as usize).collect();
        writer.add(tensor.name, tensor.dtype, &shape, tensor.bytes.to_vec()).unwrap();
    }
    AlignedBytes::copy_of(&writer.to_bytes().unwrap())
}

/// Holds `load` to the table for the checkpoint at `path`, which has these parts. Loads a file that has the
/// table's tensors and nothing more, so that there is no other that it needs; and misses each that is left
/// out, so that it reads all.
fn assert_reads_the_table(path: &Path, parts: Parts, load: impl Fn(&ModelFile) -> Result<(), FormatError>) {
    assert_eq!(Checkpoint::open(path).unwrap().parts(), parts);
    let model = model(path, ">a\nMKTAYIA\n", &["--round-to-nearest"]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let [read, others] = tensors(path);
    let mut all = [&read[..], &others[..]].concat();
    all.sort();
    let stored: Vec<&str> = file.tensors().map(|tensor| tensor.name).collect();
    assert_eq!(stored, all);
    assert_eq!(load(&file), Ok(()));
    for name in &read {
        let less = without(&file, name);
        let less = ModelFile::parse(less.bytes()).unwrap();
        assert_eq!(less.tensor_count() + 1, stored.len());
        assert_eq!(load(&less), Err(FormatError::missing_tensor(name)), "without {name}");
    }
    for name in &others {
        let less = without(&file, name);
        assert_eq!(load(&ModelFile::parse(less.bytes()).unwrap()), Ok(()), "without {name}");
    }
}

#[test]
fn core_reads_what_the_table_says_of_a_language_model() {
    let parts = Parts { contact_head: true, lm_head: true, fold: false };
    assert_reads_the_table(&golden("esm2-head16"), parts, |file| LanguageModel::load(file).map(drop));
}

#[test]
fn core_reads_what_the_table_says_of_a_folding_model() {
    let parts = Parts { contact_head: true, lm_head: false, fold: true };
    assert_reads_the_table(&golden("esmfold-tiny"), parts, |file| FoldingModel::load(file).map(drop));
}
