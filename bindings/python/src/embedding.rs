//! Which hidden states are wanted, and what is made of them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std_runner::embedding::{cls, mean, parse_layers, residues, to_floats};
use std_runner::engine::Prediction;

/// Numbers of hidden states.
pub struct Layers {
    /// From 0, in the order in which they are wanted.
    pub numbers: Vec<usize>,
    /// Whether it was one number, and not a collection of one.
    pub is_one: bool,
}

impl Layers {
    /// Those that `given` says, of a model of so many layers: a number, several, or text as on the command
    /// line; by default the last one.
    pub fn new(given: Option<&Bound<'_, PyAny>>, layers: usize) -> PyResult<Self> {
        let read = |text: &str| {
            parse_layers(text, layers).map_err(|text| PyValueError::new_err(format!("layers: {text}")))
        };
        let Some(given) = given else { return Ok(Self { numbers: vec![layers], is_one: true }) };
        if let Ok(text) = given.cast::<PyString>() {
            return Ok(Self { numbers: read(text.to_str()?)?, is_one: text.to_str()? == "last" });
        }
        if let Ok(number) = given.extract::<i64>() {
            return Ok(Self { numbers: read(&number.to_string())?, is_one: true });
        }
        let mut numbers = Vec::new();
        for number in given.try_iter()? {
            numbers.extend(read(&number?.extract::<i64>()?.to_string())?);
        }
        if numbers.is_empty() {
            return Err(PyValueError::new_err("layers: expected at least one"));
        }
        Ok(Self { numbers, is_one: false })
    }
}

/// What represents a whole sequence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean over residues.
    Mean,
    /// The row of `<cls>`.
    Cls,
}

impl Pool {
    /// The one of that name.
    pub fn new(name: &str) -> PyResult<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "cls" => Ok(Self::Cls),
            other => {
                Err(PyValueError::new_err(format!("pool: expected \"mean\", \"cls\" or None, got {other:?}")))
            }
        }
    }
}

/// The values of all hidden states of a prediction, one after another.
pub fn embedding(prediction: &Prediction, width: usize, pool: Option<Pool>) -> Vec<f32> {
    let of_layer = |hidden: &Vec<i32>| {
        let rows = residues(hidden, prediction.length, width);
        match pool {
            None => to_floats(rows),
            Some(Pool::Mean) => mean(rows, width),
            Some(Pool::Cls) => to_floats(cls(hidden, width)),
        }
    };
    match prediction.hidden.as_slice() {
        [hidden] => of_layer(hidden),
        several => several.iter().flat_map(of_layer).collect(),
    }
}
