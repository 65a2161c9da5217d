//! Sequences as Python gives them: a string, a path of a FASTA file, or any iterable of strings, of pairs of
//! an identifier and a string, or of objects that have `id` and `seq`, such as Biopython's records.

use std::path::PathBuf;

use fasta::{Batch, Sequence};
use pyo3::exceptions::{PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use std_runner::fold::to_fold;
use std_runner::model::Kind;

use crate::error;

/// Sequences, each with what messages call it.
pub struct Input {
    /// Those that can be run; `index` is their place among all.
    pub sequences: Vec<Sequence>,
    /// What messages call each of them; empty if there is but one.
    pub labels: Vec<String>,
    /// Places of those that can't, and why.
    pub rejected: Vec<(usize, String)>,
    /// Whether it was one sequence, and not a collection of one.
    pub is_one: bool,
}

/// What the sequences are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A language model, which takes masks.
    LanguageModel,
    /// Folding by a model of that kind, which doesn't.
    Folding(Kind),
    /// Variants of one chain, which has no masks.
    SingleChain,
}

impl Use {
    fn accept(self, batch: Batch) -> Batch {
        match self {
            Self::LanguageModel => batch,
            Self::Folding(kind) => to_fold(batch, kind),
            Self::SingleChain => batch.without_masks().single_chains(),
        }
    }
}

impl Input {
    /// One sequence, or several; a string is one.
    pub fn sequences(given: &Bound<'_, PyAny>, purpose: Use) -> PyResult<Self> {
        let Some((id, text)) = single(given)? else { return Self::collection(given, purpose) };
        Ok(Self {
            sequences: vec![one(given.py(), &text, &id, purpose)?],
            labels: vec![String::new()],
            rejected: vec![],
            is_one: true,
        })
    }

    /// What messages call a sequence.
    pub fn label(&self, index: usize) -> String {
        self.labels.get(index).cloned().unwrap_or_default()
    }

    /// A file of sequences, whose path may be a string, or an iterable of them.
    pub fn records(given: &Bound<'_, PyAny>, purpose: Use) -> PyResult<Self> {
        if given.is_instance_of::<PyString>() {
            return Self::files(given.py(), given.extract()?, purpose);
        }
        Self::collection(given, purpose)
    }

    /// Those sequences alone that can be run.
    ///
    /// # Errors
    /// `ValueError` about the first that can't.
    pub fn all(self) -> PyResult<Self> {
        match self.rejected.first() {
            Some((_, text)) => Err(PyValueError::new_err(text.clone())),
            None => Ok(self),
        }
    }

    fn collection(given: &Bound<'_, PyAny>, purpose: Use) -> PyResult<Self> {
        if given.hasattr("__fspath__")? {
            return Self::files(given.py(), given.extract()?, purpose);
        }
        // Iterated over, these would be other sequences than they look like.
        for (is_wrong, name) in [
            (given.is_instance_of::<PyBytes>(), "bytes"),
            (given.is_instance_of::<PyDict>(), "dict: give its values or its items"),
            (single(given)?.is_some(), "a single sequence: give it in a list"),
        ] {
            if is_wrong {
                return Err(PyTypeError::new_err(format!("expected sequences, got {name}")));
            }
        }
        let mut input = Self { sequences: vec![], labels: vec![], rejected: vec![], is_one: false };
        for (index, item) in given.try_iter()?.enumerate() {
            let label = format!("sequences[{index}]");
            let (id, text) = item_parts(&item?, &label)?;
            match read(given.py(), &text, &id, &label, purpose)? {
                Ok(sequence) => {
                    input.sequences.push(Sequence { index, ..sequence });
                    input.labels.push(label);
                }
                Err(problem) => input.rejected.push((index, problem)),
            }
        }
        Ok(input)
    }

    fn files(py: Python<'_>, path: PathBuf, purpose: Use) -> PyResult<Self> {
        let batch = purpose.accept(py.detach(|| fasta::read_paths(&[path], usize::MAX)));
        if let Some(error) = batch.failures.first() {
            return Err(error::of_file(error));
        }
        for text in &batch.warnings {
            warn(py, &text.to_string())?;
        }
        Ok(Self {
            labels: batch.sequences.iter().map(|sequence| sequence.place.to_string()).collect(),
            sequences: batch.sequences,
            rejected: batch.rejected.into_iter().map(|error| (error.index, error.to_string())).collect(),
            is_one: false,
        })
    }
}

/// One sequence, called `id`.
///
/// # Errors
/// `ValueError` that says what is wrong with it, and where.
pub fn one(py: Python<'_>, text: &str, id: &str, purpose: Use) -> PyResult<Sequence> {
    read(py, text, id, "", purpose)?.map_err(PyValueError::new_err)
}

/// A warning of the engine as one of Python's.
pub fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1)
}

/// Identifier and residues of what is one sequence: a string, an object that can be translated as one
/// (Biopython's `Seq`), or one with `id` and `seq`.
fn single(given: &Bound<'_, PyAny>) -> PyResult<Option<(String, String)>> {
    let text = |given: &Bound<'_, PyAny>| -> PyResult<Option<String>> {
        let is_text = given.is_instance_of::<PyString>()
            || given.hasattr("translate")? && !given.is_instance_of::<PyBytes>();
        if is_text { Ok(Some(given.str()?.to_str()?.to_owned())) } else { Ok(None) }
    };
    // A record of Biopython can be translated, too.
    let (Ok(id), Ok(sequence)) = (given.getattr("id"), given.getattr("seq")) else {
        return Ok(text(given)?.map(|text| (String::new(), text)));
    };
    let id = if id.is_none() { String::new() } else { id.str()?.to_str()?.to_owned() };
    Ok(text(&sequence)?.map(|text| (id, text)))
}

/// Identifier and residues of an item.
fn item_parts(item: &Bound<'_, PyAny>, label: &str) -> PyResult<(String, String)> {
    if item.is_instance_of::<PyTuple>()
        && let Ok(pair) = item.extract()
    {
        return Ok(pair);
    }
    if let Some(parts) = single(item)? {
        return Ok(parts);
    }
    let kind = item.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "{label}: expected a str, a tuple (identifier, str), or an object with `id` and `seq`, got {kind}"
    )))
}

/// Reads residues as a record of a FASTA file, which is called `label` in messages.
fn read(
    py: Python<'_>,
    text: &str,
    id: &str,
    label: &str,
    purpose: Use,
) -> PyResult<Result<Sequence, String>> {
    let record = format!(">\n{text}\n");
    let batch = purpose.accept(fasta::read(record.as_bytes(), label, usize::MAX));
    if let Some(error) = batch.failures.first() {
        return Ok(Err(error.to_string()));
    }
    if let Some(error) = batch.rejected.first() {
        let column = error.place.column.map(|column| match error.place.line {
            2 => format!("column {column}"),
            line => format!("line {}, column {column}", line - 1),
        });
        let place = [label].into_iter().chain(column.as_deref()).filter(|part| !part.is_empty());
        let place = place.collect::<Vec<_>>().join(", ");
        return Ok(Err(error::labelled(&place, &error.problem.to_string())));
    }
    for warning in &batch.warnings {
        let text = warning.to_string();
        let place = warning.place().map(|place| format!("{place}: ")).unwrap_or_default();
        warn(py, &error::labelled(label, text.strip_prefix(&place).unwrap_or(&text)))?;
    }
    let mut sequences = batch.sequences.into_iter();
    match (sequences.next(), sequences.next()) {
        (Some(sequence), None) => {
            Ok(Ok(Sequence { id: id.to_owned(), header: id.to_owned(), index: 0, ..sequence }))
        }
        _ => Ok(Err(error::labelled(label, "found `>` at the beginning of a line; expected one sequence"))),
    }
}
