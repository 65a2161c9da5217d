//! Structures of many sequences, one after another, while the next ones are folded.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use fasta::Sequence;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std_runner::batch::{BatchError, Runner};
use std_runner::fold::FoldPrediction;
use std_runner::output::structure::Provenance;

use crate::engines::{FoldOptions, Loaded};
use crate::error;
use crate::input::Input;
use crate::session::{PATIENCE, Stoppable};
use crate::structure::Structure;

type Folded = Result<FoldPrediction, BatchError<Infallible>>;

/// How each sequence is folded.
pub struct Folding {
    /// The model.
    pub loaded: Arc<Loaded>,
    /// How it folds.
    pub options: FoldOptions,
}

/// Structures in the order of the sequences; those to come are folded meanwhile, a few ahead.
///
/// `len()` is the number of sequences. An error of a sequence is raised when its turn comes (or returned in
/// its place, with `errors="return"`); the next call goes on with the sequence after it.
#[pyclass(module = "foldpoint", frozen)]
pub struct FoldMany {
    waiting: Mutex<Waiting>,
    /// Of the thread that folds.
    results: Mutex<Receiver<Folded>>,
    stop: Arc<AtomicBool>,
    process: u32,
    provenance: Provenance,
    /// Whether errors are raised, and not returned.
    raise: bool,
    progress: Option<Py<PyAny>>,
    total: usize,
}

/// Sequences without a result yet.
struct Waiting {
    /// Those that are folded, with what messages call them.
    sequences: VecDeque<(Sequence, String)>,
    /// Those that can't be, with their places.
    rejected: VecDeque<(usize, String)>,
    next: usize,
}

impl FoldMany {
    /// Begins to fold.
    ///
    /// # Errors
    /// The model's, or the system's if it has no thread.
    pub fn start(
        folding: Folding,
        runner: Runner,
        input: Input,
        raise: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let provenance = {
            let engine = folding.loaded.fold_engine(folding.options)?;
            engine.provenance(folding.loaded.model()).map_err(error::of_model)?
        };
        let total = input.sequences.len() + input.rejected.len();
        let sequences = input.sequences.clone();
        // As many as are folded at the same time wait to be fetched.
        let (sender, results) = sync_channel(runner.threads);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            let Ok(engine) = folding.loaded.fold_engine(folding.options) else { return };
            let task = Stoppable { task: &engine, stop: &stopped };
            let report = |_: &Sequence, result: Folded| {
                // Without a receiver nobody wants it.
                let _ = sender.send(result);
            };
            // Without threads the sender is gone, and the receiver says so.
            let _ = runner.run(&task, &sequences, |_, _| {}, |_, folded, _| Ok(folded), report);
        };
        thread::Builder::new().name("foldpoint".into()).spawn(run).map_err(error::of_system)?;
        let waiting = Waiting {
            sequences: input.sequences.into_iter().zip(input.labels).collect(),
            rejected: input.rejected.into(),
            next: 0,
        };
        Ok(Self {
            waiting: Mutex::new(waiting),
            results: Mutex::new(results),
            stop,
            process: process::id(),
            provenance,
            raise,
            progress,
            total,
        })
    }

    /// The result of the sequence that is next, or its error.
    fn result(&self, py: Python<'_>) -> PyResult<Option<Result<Structure, PyErr>>> {
        if self.process != process::id() {
            return Err(PyRuntimeError::new_err("a child of fork() can't fetch what its parent folds"));
        }
        let folded = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let next = waiting.next;
            if waiting.rejected.front().is_some_and(|(index, _)| *index == next) {
                waiting.next += 1;
                let text = waiting.rejected.pop_front().map(|(_, text)| text).unwrap_or_default();
                return Ok(Some(Err(PyValueError::new_err(text))));
            }
            match waiting.sequences.pop_front() {
                None => return Ok(None),
                Some(sequence) => sequence,
            }
        };
        let (sequence, label) = folded;
        let received = loop {
            match py
                .detach(|| self.results.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE))
            {
                Ok(folded) => break folded,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the engine's threads could not be started"));
                }
            }
            if let Err(signal) = py.check_signals() {
                self.stop.store(true, Ordering::Relaxed);
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).sequences.clear();
                return Err(signal);
            }
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).next += 1;
        Ok(Some(match received {
            Ok(prediction) => Ok(Structure::new(sequence, prediction, self.provenance.clone())),
            Err(problem) => Err(error::of_sequence(&label, &problem)),
        }))
    }
}

#[pymethods]
impl FoldMany {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __len__(&self) -> usize {
        self.total
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(result) = self.result(py)? else { return Ok(None) };
        if let Some(progress) = &self.progress {
            let done = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).next;
            progress.call1(py, (done, self.total))?;
        }
        match result {
            Ok(structure) => Ok(Some(Bound::new(py, structure)?.into_any())),
            Err(error) if self.raise => Err(error),
            Err(error) => Ok(Some(error.into_value(py).into_bound(py).into_any())),
        }
    }
}

impl Drop for FoldMany {
    /// The thread ends after its step; what it needs is its own.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
