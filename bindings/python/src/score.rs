//! How the language model judges variants of a protein.

use std::collections::BTreeSet;

use fasta::Sequence;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std_runner::engine::Engine;
use std_runner::variants::{Marginals, Mutation, Passes, Strategy, parse};

use crate::error::labelled;
use crate::session::Session;

/// The way of asking that is called so on the command line, with a window of the command's.
pub fn strategy(name: &str, window: &str) -> PyResult<Strategy> {
    match (name, window) {
        ("wt-marginals", "optimal") => Ok(Strategy::WildType),
        ("wt-marginals", "overlapping") => Ok(Strategy::WildTypeInWindows),
        ("masked-marginals", "optimal") => Ok(Strategy::Masked),
        ("masked-marginals", "overlapping") => {
            Err(PyValueError::new_err("window=\"overlapping\" is for strategy=\"wt-marginals\""))
        }
        ("wt-marginals" | "masked-marginals", other) => Err(PyValueError::new_err(format!(
            "window: expected \"optimal\" or \"overlapping\", got {other:?}"
        ))),
        (other, _) => Err(PyValueError::new_err(format!(
            "strategy: expected \"wt-marginals\" or \"masked-marginals\", got {other:?}"
        ))),
    }
}

/// The mutations of each variant, as they are written.
///
/// # Errors
/// `ValueError` about the first that isn't one of the sequence.
pub fn mutations(
    variants: &Bound<'_, PyAny>,
    offset: i64,
    wild_type: &Sequence,
) -> PyResult<Vec<Vec<Mutation>>> {
    if variants.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("variants: expected several, such as [\"A12V\"], got str"));
    }
    let read = |(index, text): (usize, PyResult<Bound<'_, PyAny>>)| {
        parse(text?.extract()?, offset, &wild_type.residues).map_err(|error| {
            PyValueError::new_err(labelled(&format!("variants[{index}]"), &error.to_string()))
        })
    };
    variants.try_iter()?.enumerate().map(read).collect()
}

/// What the model says of the residues at the places `at`.
pub fn marginals(
    py: Python<'_>,
    session: &Session,
    engine: &Engine,
    wild_type: &Sequence,
    strategy: Strategy,
    at: &BTreeSet<usize>,
) -> PyResult<Marginals> {
    let residues = wild_type.residues.len();
    let mut marginals = Marginals::new(residues, engine.model().config().vocab);
    if at.is_empty() {
        return Ok(marginals);
    }
    let passes = Passes::new(engine, &wild_type.residues, strategy.passes(residues, at));
    let said = session.all(py, &passes, &passes.sequences(wild_type), |_| String::new(), |said| said)?;
    passes.passes().iter().zip(&said).for_each(|(pass, said)| marginals.add(pass, said));
    Ok(marginals)
}
