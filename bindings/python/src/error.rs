//! Errors of the engine as Python's exceptions, in the same words.

use std::convert::Infallible;

use fasta::FastaError;
use foldpoint_core::{esm, esmfold, omegafold};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;
use std_runner::batch::BatchError;
use std_runner::model;
use std_runner::task::TaskError;

create_exception!(
    foldpoint,
    ModelError,
    PyException,
    "A model that cannot be used: its file cannot be read or is damaged, or it lacks what is asked for."
);

/// A model's error.
pub fn of_model(error: model::ModelError) -> PyErr {
    let text = error.to_string();
    match error {
        model::ModelError::Allocation { .. } => PyMemoryError::new_err(text),
        _ => ModelError::new_err(text),
    }
}

/// The error of a sequence, which `label` says, unless there is but one.
pub fn of_sequence(label: &str, error: &BatchError<Infallible>) -> PyErr {
    let text = labelled(label, &error.to_string());
    match error {
        BatchError::Memory { .. } | BatchError::Task(TaskError::Allocation(_)) => {
            PyMemoryError::new_err(text)
        }
        BatchError::Task(
            TaskError::LanguageModel(
                esm::RunError::NoContactHead | esm::RunError::NoLmHead | esm::RunError::Format(_),
            )
            | TaskError::EsmFold(esmfold::RunError::Format(_))
            | TaskError::OmegaFold(omegafold::RunError::Format(_)),
        ) => ModelError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// The error of a file: the system's, if it can't be read.
pub fn of_file(error: &FastaError) -> PyErr {
    let text = error.to_string();
    match error {
        FastaError::Unreadable { reason, .. } => PyErr::from(std::io::Error::new(reason.kind(), text)),
        _ => PyValueError::new_err(text),
    }
}

/// An error of the system, such as that there are no more threads.
pub fn of_system(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(error.to_string())
}

/// A message about what `label` says.
pub fn labelled(label: &str, text: &str) -> String {
    if label.is_empty() { text.to_owned() } else { format!("{label}: {text}") }
}
